//! Forks while its ledger is open; the child calls an annotated function, and only the parent records.
//!
//! `forked <root> <what the child does>`: `calls` | `ends-a-call` | `outlives`
//!
//! Says `child <how it ended>`; with `outlives` says `child-lives <pid>` and waits to be killed.
#![allow(unsafe_code, reason = "fork(2) is what this program is about, and std does not offer it")]

use std::path::PathBuf;

use dataset_events::{Health, Ledger, LedgerError, LedgerUnavailable, RequestContext, dataset_event};
use dataset_events_tests::child::{say_else, say_opened};

#[dataset_event(surface = "fork.recorded", access = "read", input(who))]
fn recorded(ctx: &RequestContext, who: &str) {}

#[dataset_event(surface = "fork.intent", input(who))]
fn intent(ctx: &RequestContext, who: &str) {}

#[dataset_event(surface = "fork.durable", guarantee = "durable", input(who))]
fn durable(ctx: &RequestContext, who: &str) -> Result<(), LedgerUnavailable> {
    Ok(())
}

#[dataset_event(surface = "fork.large", access = "read", input(who, text))]
fn large(ctx: &RequestContext, who: &str, text: &str) {}

/// Forks inside an annotated call; says in which process it returns.
#[dataset_event(surface = "fork.inside", access = "read")]
fn inside(ctx: &RequestContext) -> bool {
    fork_here() == 0
}

fn all(ctx: &RequestContext, who: &str) -> Result<(), LedgerUnavailable> {
    recorded(ctx, who);
    intent(ctx, who);
    large(ctx, who, &"x".repeat(20_000));
    durable(ctx, who)
}

/// The child's process id in the parent, 0 in the child.
fn fork_here() -> libc::pid_t {
    // SAFETY: the child runs on with this thread alone. It takes no lock that another thread of the parent
    // can hold: the ledger's threads neither print nor use this program's own data.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    pid
}

fn exit_now(code: i32) -> ! {
    // SAFETY: always sound; ends the child without running the parent's destructors a second time.
    unsafe { libc::_exit(code) }
}

/// How the child ended: `exited 0`, or `killed 11`.
fn wait_for(pid: libc::pid_t) -> String {
    let mut status = 0;
    // SAFETY: status is writable for the duration of the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert!(waited > 0, "waitpid: {}", std::io::Error::last_os_error());
    if libc::WIFEXITED(status) {
        format!("exited {}", libc::WEXITSTATUS(status))
    } else {
        format!("killed {}", libc::WTERMSIG(status))
    }
}

/// What the child does with its parent's ledger; an exit code that tells what was not as it must be.
fn in_child(ledger: Ledger, ctx: RequestContext) -> i32 {
    if !matches!(all(&ctx, "child"), Err(error) if error.to_string().contains("fork")) {
        return 2;
    }
    if ledger.flush() != Err(LedgerError::Forked) {
        return 3;
    }
    if ledger.health() == Health::Closed {
        return 4;
    }
    // A thread of the child has a lease of its own to make, and to give back.
    let other = ctx.clone();
    if std::thread::spawn(move || all(&other, "child").is_err()).join().ok() != Some(true) {
        return 5;
    }
    drop(ctx);
    drop(ledger);
    0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("expected <root> <what the child does>");
    let root = PathBuf::from(next()?);
    let what = next()?;
    let ledger = Ledger::options().root(root).journal_bytes(1 << 20).open()?;
    let ctx = ledger.context("acme", "prod").build()?;
    all(&ctx, "parent before")?;
    say_opened();
    match &*what {
        "calls" => {
            let pid = fork_here();
            if pid == 0 {
                exit_now(in_child(ledger, ctx));
            }
            // Beside the child, and behind it.
            all(&ctx, "parent")?;
            say_else(&format!("child {}", wait_for(pid)));
        }
        "ends-a-call" => {
            let parent = std::process::id();
            let is_child = inside(&ctx);
            if is_child {
                exit_now(i32::from(std::process::id() == parent));
            }
            // The child is the only one.
            say_else(&format!("child {}", wait_for(-1)));
        }
        "outlives" => {
            if fork_here() == 0 {
                // The child says it: then the handlers of fork have run in it.
                say_else(&format!("child-lives {}", std::process::id()));
            }
            loop {
                std::thread::park();
            }
        }
        other => return Err(format!("unknown: {other}").into()),
    }
    all(&ctx, "parent after")?;
    drop(ctx);
    ledger.close()?;
    Ok(())
}
