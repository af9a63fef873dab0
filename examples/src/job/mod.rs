//! The main job: two services, eight scopes at work over HTTP, and a report read from both ledgers.

mod client;
mod documents;
mod process;
mod report;
mod workload;

use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use dataset_events_examples::services::{
    ENGINES, GATEWAY, GatewayConfig, Issuer, Secret, ServiceConfig, Start, dashboard_of, sign_in_link,
};
use indicatif::{ProgressBar, ProgressStyle};

use client::Client;
use documents::Documents;
use process::{ProcessError, Service};
use report::Source;

/// Any free port of this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// More than one tenant of the job sends to one route; clients that send more are refused.
const REQUESTS_PER_SECOND: u32 = 2_000;
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
    /// Write the report as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// End after the report, instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
}

/// Runs the job. Whether both ledgers verify.
pub(crate) async fn run(args: &JobArgs) -> Result<bool, Box<dyn Error>> {
    let directory = args.docs.clone().unwrap_or_else(repository);
    let documents = Arc::new(Documents::below(&directory, args.files)?);
    announce(&mut io::stdout(), &directory, &documents)?;
    let interrupt = interrupt()?;
    tokio::pin!(interrupt);

    let issuer = Issuer::start().await?;
    let mut services = Services::start(&args.root, &issuer).await?;
    println!(
        "The gateway takes requests at {}; the engines answer it at {}.",
        services.gateway.url(),
        services.engines.url()
    );
    let work = work(services.gateway.url(), services.sources(), &issuer, documents);
    tokio::select! {
        done = work => done?,
        error = services.died() => return Err(error.into()),
        () = &mut interrupt => {
            println!("\nInterrupted: the services answer what is in flight and drain their ledgers.");
            services.end().await?;
            return Ok(true);
        }
    }

    let sources = services.sources();
    if args.once {
        // The last checkpoint, which closing makes, covers all that the report is about.
        services.end().await?;
        return report(args, sources).await;
    }
    let is_verified = report(args, sources).await?;
    invite(&services, &issuer)?;
    tokio::select! {
        error = services.died() => return Err(error.into()),
        () = &mut interrupt => {}
    }
    println!("\nThe services answer what is in flight and drain their ledgers.");
    services.end().await?;
    Ok(is_verified)
}

/// The two services, each a process of its own.
#[derive(Debug)]
struct Services {
    engines: Service,
    gateway: Service,
}

impl Services {
    async fn start(root: &Path, issuer: &Issuer) -> Result<Self, Box<dyn Error>> {
        let service = ServiceConfig {
            root: root.to_owned(),
            listen: LOOPBACK,
            operations: LOOPBACK,
            service_secret: Secret::random()?,
        };
        let engines = Service::start(&Start::Engines(service.clone())).await?;
        let gateway = GatewayConfig {
            service,
            users: issuer.user_keys(),
            engines_url: engines.url(),
            requests_per_second: REQUESTS_PER_SECOND,
        };
        let gateway = Service::start(&Start::Gateway(gateway)).await?;
        Ok(Self { engines, gateway })
    }

    fn sources(&self) -> [Source; 2] {
        let source = |service, of: &Service| Source { service, ledger: of.started().ledger.clone() };
        [source(GATEWAY, &self.gateway), source(ENGINES, &self.engines)]
    }

    /// Waits until one of them ends, which none should.
    async fn died(&mut self) -> ProcessError {
        tokio::select! {
            error = self.gateway.died() => error,
            error = self.engines.died() => error,
        }
    }

    /// Ends both, the one that asks before the one that answers.
    async fn end(self) -> Result<(), ProcessError> {
        self.gateway.end().await?;
        self.engines.end().await?;
        Ok(())
    }
}

/// All scopes at work, until each answer has its event in the gateway's log.
async fn work(
    gateway: String,
    sources: [Source; 2],
    issuer: &Issuer,
    documents: Arc<Documents>,
) -> Result<(), Box<dyn Error>> {
    let client = Client::new(&gateway)?;
    let before = requests(&sources).await?;
    let progress = ProgressBar::new((documents.items.len() * workload::SCOPES) as u64);
    progress.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} documents  {elapsed}")?);
    let began = Instant::now();
    workload::run(&client, issuer, documents, &progress).await?;
    progress.finish_and_clear();
    println!("{} requests were answered in {:.1} s.", client.answers(), began.elapsed().as_secs_f64());

    // An answer's event survives from when it is given, and is in the log a group later.
    let deadline = Instant::now() + SETTLING;
    loop {
        let recorded = requests(&sources).await? - before;
        if recorded == client.answers() {
            return Ok(());
        }
        if recorded > client.answers() || Instant::now() > deadline {
            let answers = client.answers();
            return Err(format!("{answers} requests were answered, but the log holds {recorded}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn requests(sources: &[Source; 2]) -> Result<u64, Box<dyn Error>> {
    let ledger = sources[0].ledger.clone();
    Ok(tokio::task::spawn_blocking(move || report::requests(&ledger)).await??)
}

/// Prints the report and writes it as JSON. Whether both ledgers verify.
async fn report(args: &JobArgs, sources: [Source; 2]) -> Result<bool, Box<dyn Error>> {
    let collected = tokio::task::spawn_blocking(move || report::collect(&sources)).await??;
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
    println!("Health and metrics of the gateway: http://{0}/readyz  http://{0}/metrics", started.operations);
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
