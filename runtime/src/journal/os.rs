//! System calls that the standard library does not have.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Mapped memory, readable and writable, unmapped on drop.
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    is_file: bool,
    /// The process that mapped it.
    process: u32,
}

// SAFETY: the mapping is plain memory that outlives every pointer handed out by `Arena`, which owns it;
// who may write where is the arena's protocol.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a file, shared.
    pub(crate) fn file(file: &File, len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_SHARED, file.as_raw_fd(), true)
    }

    /// Maps `len` bytes of zeroed memory that no file stands behind.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, false)
    }

    fn map(len: usize, flags: i32, fd: i32, is_file: bool) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address the kernel chooses overlaps nothing.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, fd, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        let mapping = Self { base, len, is_file, process: std::process::id() };
        // A child of fork must not see, let alone write, its parent's journal.
        mapping.advise(0, len, libc::MADV_DONTFORK)?;
        Ok(mapping)
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Faults the pages in for writing, so that no caller pays for it. A kernel before 5.14 does not
    /// know the advice; then the first write of each page costs a fault, and nothing else changes.
    pub(crate) fn populate(&self, offset: usize, len: usize) {
        if self.is_file {
            let _ = self.advise(offset, len, libc::MADV_POPULATE_WRITE);
        }
    }

    fn advise(&self, offset: usize, len: usize, advice: i32) -> io::Result<()> {
        debug_assert!(offset + len <= self.len);
        // SAFETY: the range lies in the mapping; none of the advices used discards its contents here.
        let result = unsafe { libc::madvise(self.base().add(offset).cast(), len, advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A forked child does not have the mapping; what lies at its place there is something else.
        if std::process::id() != self.process {
            return;
        }
        // SAFETY: the owner of the mapping goes, and with it every way to a pointer into it.
        unsafe {
            libc::munmap(self.base().cast(), self.len);
        }
    }
}

/// Allocates the blocks of a file, so that writing to its mapping cannot find the disk full.
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
    let len = i64::try_from(len).map_err(io::Error::other)?;
    loop {
        // SAFETY: the descriptor is open for the duration of the call.
        let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// File systems on which a shared mapping of an allocated file can still find the disk full, or lose
/// writes behind the kernel's back. Magic numbers as in statfs(2).
const UNFIT_FILE_SYSTEMS: &[(libc::__fsword_t, &str)] = &[
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0x6969, "nfs"),
    (0x6573_5546, "fuse"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
];

/// The name of the file system at `path` when a journal must not lie on it.
pub(crate) fn unfit_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: path is a C string and stat is written by the call when it returns 0.
    let kind = unsafe {
        if libc::statfs(path.as_ptr(), stat.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat.assume_init().f_type
    };
    Ok(UNFIT_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name))
}

/// A word that reads 1 in the process that made it and 0 in every child forked from it.
pub(crate) struct LiveWord {
    page: NonNull<AtomicU32>,
    len: usize,
}

// SAFETY: the word is an atomic in memory that lives as long as this value.
unsafe impl Send for LiveWord {}
// SAFETY: as above.
unsafe impl Sync for LiveWord {}

impl LiveWord {
    pub(crate) fn new() -> io::Result<Self> {
        let len = 4096;
        // SAFETY: a fresh anonymous mapping; MADV_WIPEONFORK zeroes it in a child and nowhere else.
        let page = unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if page == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            if libc::madvise(page, len, libc::MADV_WIPEONFORK) != 0 {
                let error = io::Error::last_os_error();
                libc::munmap(page, len);
                return Err(error);
            }
            page
        };
        let page = NonNull::new(page.cast::<AtomicU32>()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        let word = Self { page, len };
        word.word().store(1, Ordering::Relaxed);
        Ok(word)
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped, aligned and zero-initialised, and lives as long as self.
        unsafe { self.page.as_ref() }
    }

    /// Whether this is the process that opened the ledger.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.word().load(Ordering::Relaxed) == 1
    }
}

impl Drop for LiveWord {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the page once its owner goes.
        unsafe {
            libc::munmap(self.page.as_ptr().cast(), self.len);
        }
    }
}

/// Has a function run when the process exits, while its threads still do. Where the list of such functions
/// is full, it does not run.
pub(crate) fn at_exit(run: extern "C" fn()) {
    // SAFETY: registers a function that lives as long as the program.
    unsafe { libc::atexit(run) };
}

/// The host's name, for the writer's instance.
pub(crate) fn host_name() -> String {
    let mut buffer = [0_u8; 256];
    // SAFETY: the buffer is writable for its length less one, so that a zero always ends it.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    let len = buffer.iter().position(|byte| *byte == 0).unwrap_or(0);
    match (result, std::str::from_utf8(&buffer[..len])) {
        (0, Ok(name)) if !name.is_empty() => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

/// Runs `work` in a forked child; returns its exit code, or the signal that ended it, negated.
#[cfg(test)]
pub(crate) fn in_forked_child(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `work` and leaves without returning to the test harness.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(101);
            libc::_exit(code);
        }
        assert!(child > 0, "{}", io::Error::last_os_error());
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        if libc::WIFSIGNALED(status) { -libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_unmaps_nothing_of_its_own() {
        let mapping = Mapping::anonymous(1 << 20).unwrap();
        let code = in_forked_child(|| {
            // The child does not have its parent's mapping: its own memory may come to lie there.
            // SAFETY: nothing of the child lies at the address, and the byte written is in the new mapping.
            unsafe {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
                let at = mapping.base();
                let own =
                    libc::mmap(at.cast(), mapping.len(), libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
                if own != at.cast() {
                    return 2;
                }
                at.write_volatile(7);
                drop(mapping);
                i32::from(at.read_volatile() != 7)
            }
        });
        assert_eq!(code, 0);
    }

    #[test]
    fn unfit_file_systems_go_by_the_kernels_numbers() {
        let name =
            |magic: i64| UNFIT_FILE_SYSTEMS.iter().find(|(one, _)| *one == magic).map(|(_, name)| *name);
        // Those that libc has too; ZFS, CIFS and SMB2 are in none of its lists.
        assert_eq!(name(libc::BTRFS_SUPER_MAGIC), Some("btrfs"));
        assert_eq!(name(libc::NFS_SUPER_MAGIC), Some("nfs"));
        assert_eq!(name(libc::FUSE_SUPER_MAGIC), Some("fuse"));
        for fit in
            [libc::EXT4_SUPER_MAGIC, libc::XFS_SUPER_MAGIC, libc::TMPFS_MAGIC, libc::OVERLAYFS_SUPER_MAGIC]
        {
            assert_eq!(name(fit), None);
        }
    }

    #[test]
    fn the_file_system_of_a_directory_is_found() {
        assert_eq!(unfit_file_system(Path::new("/proc")).unwrap(), None);
        assert!(unfit_file_system(Path::new("/proc/no/such/place")).is_err());
    }
}
