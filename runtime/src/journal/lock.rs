//! The lock that says which process writes a ledger.
//!
//! An open-file-description lock (fcntl `F_OFD_SETLK`): it is not lost when another descriptor of the same
//! file is closed, and it ends with the process. It would also be held by every forked child that does not
//! exec, for as long as that lives. So a handler of fork takes the descriptor away from the child.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

/// A descriptor that a forked child must not keep.
struct Held {
    /// [`NO_DESCRIPTOR`] while the place is free.
    descriptor: AtomicI32,
    next: AtomicPtr<Held>,
}

const NO_DESCRIPTOR: i32 = -1;
/// What a forked child finds in the place: the lock is its parent's.
const OF_THE_PARENT: i32 = -2;

/// A list that only grows, so that a child can walk it whatever its parent's threads were doing. It has as
/// many places as this process ever held locks at once.
static HELD: AtomicPtr<Held> = AtomicPtr::new(ptr::null_mut());

fn places() -> impl Iterator<Item = &'static Held> {
    let mut next = HELD.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: places are leaked, whole before they are published, and never written as a whole again.
        let place: &'static Held = unsafe { next.as_ref() }?;
        next = place.next.load(Ordering::Acquire);
        Some(place)
    })
}

/// Puts a descriptor where a forked child finds it.
fn register(descriptor: i32) -> &'static Held {
    for place in places() {
        let taken =
            place.descriptor.compare_exchange(NO_DESCRIPTOR, descriptor, Ordering::AcqRel, Ordering::Relaxed);
        if taken.is_ok() {
            return place;
        }
    }
    let mut first = HELD.load(Ordering::Acquire);
    let place: &'static Held =
        Box::leak(Box::new(Held { descriptor: AtomicI32::new(descriptor), next: AtomicPtr::new(first) }));
    while let Err(now) = HELD.compare_exchange_weak(
        first,
        ptr::from_ref(place).cast_mut(),
        Ordering::AcqRel,
        Ordering::Acquire,
    ) {
        first = now;
        place.next.store(first, Ordering::Release);
    }
    place
}

/// Runs in a forked child before `fork` returns there: each descriptor becomes one of `/dev/null`, so that
/// whoever still owns its number closes that. Async-signal-safe: atomics and system calls only.
extern "C" fn in_child() {
    for place in places() {
        let descriptor = place.descriptor.load(Ordering::Relaxed);
        if descriptor < 0 {
            continue;
        }
        // SAFETY: the path is a C string; the descriptors are this process's own.
        unsafe {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if null >= 0 {
                libc::dup3(null, descriptor, libc::O_CLOEXEC);
                libc::close(null);
            }
        }
        place.descriptor.store(OF_THE_PARENT, Ordering::Relaxed);
    }
}

/// Has the handler run at every fork from now on.
fn watch_forks() -> io::Result<()> {
    static WATCHING: Once = Once::new();
    let mut result = 0;
    WATCHING.call_once(|| {
        // SAFETY: the handler keeps to what a forked child may do.
        result = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Whether somebody holds the lock, asked without taking it: whoever wants it meanwhile gets it.
pub(crate) fn is_held(file: &File) -> io::Result<bool> {
    // SAFETY: an all-zero flock is a valid value; the fields that matter are set below.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = libc::F_WRLCK as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: the descriptor is open and the request outlives the call, which writes into it.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut request) };
    if result == 0 { Ok(i32::from(request.l_type) != libc::F_UNLCK) } else { Err(io::Error::last_os_error()) }
}

/// A whole file, locked for this process until this is dropped.
pub(crate) struct LockFile {
    file: File,
    place: &'static Held,
}

impl LockFile {
    /// Takes the lock; `None` when another process, or another part of this one, holds it.
    pub(crate) fn take(file: File) -> io::Result<Option<Self>> {
        watch_forks()?;
        // Before the lock is taken: a child forked in between must not keep it.
        let place = register(file.as_raw_fd());
        let lock = Self { file, place };
        match lock.set(libc::F_WRLCK) {
            Ok(()) => Ok(Some(lock)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn set(&self, kind: i32) -> io::Result<()> {
        // SAFETY: an all-zero flock is a valid value; the fields that matter are set below.
        let mut request: libc::flock = unsafe { std::mem::zeroed() };
        request.l_type = kind as libc::c_short;
        request.l_whence = libc::SEEK_SET as libc::c_short;
        // SAFETY: the descriptor is open and the request outlives the call.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &request) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.place.descriptor.load(Ordering::Relaxed) != self.file.as_raw_fd() {
            // A forked child: what this would unlock is its parent's.
            return;
        }
        // Said, not left to the close: a child that is between fork and exec keeps a copy open.
        let _ = self.set(libc::F_UNLCK);
        self.place.descriptor.store(NO_DESCRIPTOR, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_places_are_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let open = || {
            let path = directory.path().join("lock");
            File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
        };
        for _ in 0..100 {
            let held = LockFile::take(open()).unwrap().expect("free");
            assert!(LockFile::take(open()).unwrap().is_none());
            assert!(is_held(&File::open(directory.path().join("lock")).unwrap()).unwrap());
            drop(held);
            assert!(!is_held(&File::open(directory.path().join("lock")).unwrap()).unwrap());
        }
        // Other tests of this process hold locks too, but not a hundred at once.
        assert!(places().count() < 100);
    }
}
