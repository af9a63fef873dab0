//! The main job: eight scopes at work over real files, one ledger, and a report read from it.

mod documents;
mod expected_panic;
mod report;
mod workload;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use dataset_events::Ledger;
use dataset_events_examples::engines::Engines;
use indicatif::{ProgressBar, ProgressStyle};

use documents::Documents;

/// Runs the example engines as 4 tenants x 2 envs over the files of a directory, records every call,
/// and reports what the ledger holds.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The directory whose text and image files are the input [default: this repository]
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// How many of its files are used at most, evenly chosen
    #[arg(long, value_name = "N", default_value_t = 200)]
    files: usize,
    /// Where ledgers and the engines' database lie; a second run continues them
    #[arg(long, value_name = "DIR", default_value = "var")]
    root: PathBuf,
    /// Write the report as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End after the report: what happens without it too, for scripts that must end in any case
    #[arg(long = "once")]
    _once: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: the ledger does not verify; the report above says where");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  because: {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether the ledger verifies.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let directory = args.docs.clone().unwrap_or_else(repository);
    let documents = Arc::new(Documents::below(&directory, args.files)?);
    let mut console = io::stdout().lock();
    announce(&mut console, &directory, &documents)?;
    let ledger = Ledger::options()
        .root(args.root.join("ledgers"))
        .service(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .open()?;
    let engines = Engines::open(args.root.join("engines.sqlite"))?;

    let progress = ProgressBar::new((documents.items.len() * workload::SCOPES) as u64);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} documents  {elapsed}")?);
    expected_panic::install_hook(progress.clone());
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    runtime.block_on(workload::run(&engines, &ledger, documents, &progress))?;
    ledger.flush()?;
    progress.finish_and_clear();
    writeln!(console, "Done in {:.1} s.", began.elapsed().as_secs_f64())?;

    let collected = report::collect(ledger)?;
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&collected.report)?;
        std::fs::write(path, json)
            .map_err(|error| format!("write the report to {}: {error}", path.display()))?;
    }
    console.write_all(report::text(&collected)?.as_bytes())?;
    Ok(collected.report.verified)
}

/// The repository that this program was built from, or the current directory when it is gone.
fn repository() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match workspace.filter(|path| path.is_dir()) {
        Some(path) => path.to_owned(),
        None => PathBuf::from("."),
    }
}

fn announce(console: &mut impl Write, directory: &Path, documents: &Documents) -> io::Result<()> {
    let (texts, images) = (documents.texts(), documents.images().count());
    let (tenants, envs) = (workload::TENANTS.len(), workload::ENVS.len());
    writeln!(
        console,
        "{tenants} tenants x {envs} envs bring {texts} text and {images} image files of {}",
        directory.display()
    )?;
    if documents.unsuitable > 0 {
        writeln!(
            console,
            "({} files are neither, or larger than 4 MiB, and stay out)",
            documents.unsuitable
        )?;
    }
    if documents.surplus > 0 {
        writeln!(console, "({} more stay out; --files sets how many are used at most)", documents.surplus)?;
    }
    Ok(())
}
