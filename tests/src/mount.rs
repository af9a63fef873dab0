//! File systems that a test has to itself: mounted in a mount namespace of their own, so that they end
//! with the process that uses them, whatever happens to it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A command that runs `program` in a mount namespace of its own, after `setup`, a line of shell in which
/// `$1` is `directory`.
///
/// Needs root and `unshare` of util-linux. Where mounting is not possible the command fails, and its
/// stderr says so: see [`WHAT_IS_NEEDED`].
pub fn with_mount(program: impl AsRef<OsStr>, directory: &Path, setup: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command.arg(format!("{setup} || {{ echo \"{WHAT_IS_NEEDED}\" >&2; exit 97; }}\nshift; exec \"$@\""));
    // `$0`, `$1`, then the program: its own arguments follow.
    command.arg("setup").arg(directory).arg(program);
    command
}

/// What to say when a file system cannot be mounted.
pub const WHAT_IS_NEEDED: &str = "this test mounts a file system of its own: run it as root, \
    with CAP_SYS_ADMIN, on Linux with util-linux";
