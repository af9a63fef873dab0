//! The main job: two services, eight scopes at work over HTTP, and a report read from both ledgers.
//!
//! It is a program; that it stands in the library lets other packages build it with other features.

mod client;
mod documents;
mod interrupted;
mod process;
mod program;
mod report;
mod restore;
mod services;
mod workload;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::services::{Issuer, SinkReport, dashboard_of, ledger_config, sign_in_link, with_causes};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use client::{Client, Counts};
use documents::Documents;
use interrupted::Interrupted;
use process::ProcessError;
pub use program::main;
use report::{Requests, Source};
use services::Services;

/// How long the last events may take from the journal to the log.
const SETTLING: Duration = Duration::from_secs(10);
/// How long the token that is printed for a look around is valid.
const VISIT: Duration = Duration::from_secs(12 * 3_600);

/// What the main job is told.
#[derive(Debug, Args)]
pub(crate) struct JobArgs {
    /// The directory whose text and image files are the input [default: this repository]
    #[arg(long, value_name = "DIR")]
    docs: Option<PathBuf>,
    /// How many of its files are used at most, evenly chosen
    #[arg(long, value_name = "N", default_value_t = 200)]
    files: usize,
    /// Where ledgers and the services' databases lie; a second run continues them
    #[arg(long, value_name = "DIR", default_value = "var")]
    root: PathBuf,
    /// Configure the ledgers and their sinks by this file [default: that of DATASET_EVENTS_CONFIG, if it is set]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the report as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End after the report, instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
}

/// What ends the work before it is done.
#[derive(Debug)]
enum Stop {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// A service is gone.
    Died(ProcessError),
}

/// How far the job came while its services ran.
enum Served {
    /// The work is done, and the report is to follow their end.
    Worked,
    /// The report was given; whether both ledgers verify.
    Reported(bool),
    /// The work was interrupted.
    Interrupted { before: Requests, counts: Counts },
}

/// Runs the job. Whether both ledgers verify.
pub(crate) async fn run(args: &JobArgs) -> Result<bool, Box<dyn Error>> {
    // First, so that from here on Ctrl-C ends the job in order.
    let interrupt = interrupt()?;
    tokio::pin!(interrupt);
    let directory = args.docs.clone().unwrap_or_else(repository);
    let documents = Arc::new(Documents::below(&directory, args.files)?);
    let config = args.config.clone().or_else(config_of_environment);
    // Each service reads it too; what is wrong with it is said before anything is started.
    ledger_config(config.as_deref())?;
    announce(&mut io::stdout(), &directory, &documents)?;

    let issuer = Issuer::start().await?;
    let mut services = Services::start(&args.root, config.as_deref(), &issuer).await?;
    let sources = services.sources();
    match serve(args, &mut services, &issuer, documents, interrupt).await {
        Ok(Served::Worked) => {
            // The last checkpoint, which closing makes, covers all that the report is about.
            let (ended, sinks) = match services.end().await {
                Ok(sinks) => (Ok(()), Ok(sinks)),
                Err(error) => {
                    let sinks = Err(with_causes(&error));
                    (Err(error), sinks)
                }
            };
            // The work is in the ledgers, also where a service did not end in order.
            let reported = report(args, sources, async { sinks }).await;
            ended?;
            reported
        }
        Ok(Served::Reported(is_verified)) => {
            println!("\nThe services answer what is in flight and drain their ledgers.");
            let sinks = services.end().await?;
            print!("{}", report::left(&sources, &sinks)?);
            Ok(is_verified)
        }
        Ok(Served::Interrupted { before, counts }) => {
            println!("\nInterrupted: the services answer what is in flight and drain their ledgers.");
            let sinks = services.end().await?;
            print!("{}", report::left(&sources, &sinks)?);
            println!("{}", Interrupted::of(before, requests(&sources).await?, counts)?);
            Ok(true)
        }
        Err(error) => {
            let error = services.cause_of(error).await;
            services.end_what_is_left().await;
            Err(error)
        }
    }
}

/// The work, and without `--once` the report and the time after it.
async fn serve(
    args: &JobArgs,
    services: &mut Services,
    issuer: &Issuer,
    documents: Arc<Documents>,
    mut interrupt: Pin<&mut impl Future<Output = ()>>,
) -> Result<Served, Box<dyn Error>> {
    let (gateway, engines) = (&services.gateway, &services.engines);
    println!(
        "The gateway (process {}) takes requests at {}; the engines (process {}) answer it at {}.",
        gateway.process_id(),
        gateway.url(),
        engines.process_id(),
        engines.url()
    );
    println!(
        "For operators: the gateway at http://{}, the engines at http://{} (/readyz, /metrics, /sinks).",
        gateway.started().operations,
        engines.started().operations
    );
    let client = Client::new(&gateway.url())?;
    let sources = services.sources();
    let before = requests(&sources).await?;
    let stop = stopped_by(services, interrupt.as_mut());
    match work(&client, &sources, before, issuer, documents, stop).await? {
        None => {}
        Some(Stop::Died(error)) => return Err(error.into()),
        Some(Stop::Interrupted) => return Ok(Served::Interrupted { before, counts: client.counts() }),
    }
    if args.once {
        return Ok(Served::Worked);
    }
    let asked = services.sinks();
    let mut stopped = None;
    let sinks = async {
        tokio::select! {
            sinks = asked => sinks,
            stop = stopped_by(services, interrupt.as_mut()) => {
                stopped = Some(stop);
                Err("the job ended before the services said".to_owned())
            }
        }
    };
    let is_verified = report(args, sources, sinks).await?;
    let stopped = match stopped {
        Some(stopped) => stopped,
        None => {
            invite(services, issuer)?;
            stopped_by(services, interrupt).await
        }
    };
    match stopped {
        Stop::Died(error) => Err(error.into()),
        Stop::Interrupted => Ok(Served::Reported(is_verified)),
    }
}

/// Waits for what ends the job before it is done.
async fn stopped_by(services: &mut Services, interrupt: Pin<&mut impl Future<Output = ()>>) -> Stop {
    tokio::select! {
        error = services.died() => Stop::Died(error),
        () = interrupt => Stop::Interrupted,
    }
}

/// All scopes at work, until each answer has its event in the gateway's log; or until `stop` ends.
async fn work<S>(
    client: &Client,
    sources: &[Source; 2],
    before: Requests,
    issuer: &Issuer,
    documents: Arc<Documents>,
    stop: impl Future<Output = S>,
) -> Result<Option<S>, Box<dyn Error>> {
    tokio::pin!(stop);
    let progress = ProgressBar::new((documents.items.len() * workload::SCOPES) as u64);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} documents  {elapsed}")?);
    let began = Instant::now();
    let stopped = workload::run(client, issuer, documents, &progress, stop.as_mut()).await;
    progress.finish_and_clear();
    if let Some(stopped) = stopped? {
        return Ok(Some(stopped));
    }
    let answered = client.counts().answered;
    println!("{answered} requests were answered in {:.1} s.", began.elapsed().as_secs_f64());
    tokio::select! {
        stopped = stop => Ok(Some(stopped)),
        settled = settle(sources, before, answered) => settled.map(|()| None),
    }
}

/// Waits for the events of the last answers: each survives from when it is given, and is in the log a group later.
async fn settle(sources: &[Source; 2], before: Requests, answered: u64) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + SETTLING;
    loop {
        let recorded = requests(sources).await?.since(before).total();
        if recorded == answered {
            return Ok(());
        }
        if recorded > answered || Instant::now() > deadline {
            return Err(format!("{answered} requests were answered, but the log holds {recorded}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn requests(sources: &[Source; 2]) -> Result<Requests, Box<dyn Error>> {
    let ledger = sources[0].ledger.clone();
    Ok(tokio::task::spawn_blocking(move || Requests::of(&ledger)).await??)
}

/// Prints the report and writes it as JSON. Whether both ledgers verify.
async fn report(
    args: &JobArgs,
    sources: [Source; 2],
    sinks: impl Future<Output = Result<[Vec<SinkReport>; 2], String>>,
) -> Result<bool, Box<dyn Error>> {
    let mut collected = tokio::task::spawn_blocking(move || report::collect(&sources)).await??;
    // After the events were counted: what a sink lacks of them, it lacks at most.
    collected.add_sinks(sinks.await);
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&collected.report)?;
        std::fs::write(path, json)
            .map_err(|error| format!("write the report to {}: {error}", path.display()))?;
    }
    io::stdout().write_all(report::text(&collected)?.as_bytes())?;
    Ok(collected.report.verified)
}

/// Says what can be tried while the services go on.
fn invite(services: &Services, issuer: &Issuer) -> Result<(), Box<dyn Error>> {
    let tenant = workload::TENANTS[0];
    let token = issuer.token(tenant, workload::ENVS[0], "u_1", VISIT)?;
    let (url, started) = (services.gateway.url(), services.gateway.started());
    println!("\nThe services go on until Ctrl-C. As u_1 of {tenant}/{}:", workload::ENVS[0]);
    println!("  TOKEN={token}");
    println!("  curl -H \"Authorization: Bearer $TOKEN\" {url}/v1/bossman/overview");
    println!("  curl -H \"Authorization: Bearer $TOKEN\" '{url}/v1/bossman/events?outcome=error&limit=3'");
    println!(
        "The dashboard is at {}. To sign in, for {} hours:",
        dashboard_of(&url),
        VISIT.as_secs() / 3_600
    );
    for tenant in workload::TENANTS {
        for env in workload::ENVS {
            let token = issuer.token(tenant, env, "u_1", VISIT)?;
            println!("  {tenant}/{env}  {}", sign_in_link(&url, &token));
        }
    }
    println!(
        "Health, metrics and sinks of the gateway: http://{0}/readyz  http://{0}/metrics  http://{0}/sinks",
        started.operations
    );
    Ok(())
}

/// Ends at the first Ctrl-C or SIGTERM.
fn interrupt() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The file that the environment names.
fn config_of_environment() -> Option<PathBuf> {
    std::env::var_os("DATASET_EVENTS_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
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
