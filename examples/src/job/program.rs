//! The program: the main job, and the services that it starts.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::JobArgs;
use super::restore::{self, RestoreArgs};
use crate::services;

/// Starts the example engines as two services, works on them as 4 tenants x 2 envs over HTTP with the files of a
/// directory, reports what both ledgers hold, and goes on serving.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(flatten)]
    job: JobArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one service. What to run is read as a line of JSON from standard input; the service ends with that
    /// input, or at SIGTERM.
    Serve,
    /// Puts ledgers together again from a replica and verifies them: when their disk is gone.
    Restore(RestoreArgs),
}

/// Runs what the arguments of this process say.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let ended =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into).and_then(
            |runtime| match args.command {
                Some(Command::Serve) => Ok(runtime.block_on(services::run_from_stdin()).map(|()| true)?),
                Some(Command::Restore(args)) => restore::run(&args),
                None => runtime.block_on(super::run(&args.job)),
            },
        );
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: a ledger does not verify; the report above says where");
            ExitCode::FAILURE
        }
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn report(error: &dyn Error) {
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        eprintln!("  because: {error}");
        source = error.source();
    }
}
