//! Starting and ending a service.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;

use axum::routing::get;
use axum::{Json, Router};
use dataset_events::Ledger;
use dataset_events::config::Config;
use dataset_events_service::{HealthChecks, MetricsEndpoint, ServeOptions, ServeReport, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::config::{Ended, Patience, ServiceConfig, Start, Started};
use super::error::ServiceError;
use super::sinks::{SharedConfig, SinkReport, ledger_config, reload_on_sighup};
use super::{ENGINES, GATEWAY, Gateway, engines, gateway, ledgers_of};
use crate::engines::{Engines, Nexus, Sources};

/// A service that takes requests in this process.
///
/// Dropping it stops intake as [`end`](Self::end) does, without waiting.
#[derive(Debug)]
pub struct Running {
    started: Started,
    ledger: Ledger,
    config: SharedConfig,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<ServeReport, ServiceError>>,
}

impl Running {
    /// What it says when it takes requests.
    pub fn started(&self) -> &Started {
        &self.started
    }

    /// Its base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.started.listening)
    }

    /// Its ledger; closed when the service has ended.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Stops intake, answers what is in flight, drains and closes the ledger.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Serve`].
    ///
    /// # Panics
    ///
    /// When the task that serves has panicked.
    pub async fn end(mut self) -> Result<ServeReport, ServiceError> {
        drop(self.stop.take());
        match self.serving.await {
            Ok(report) => report,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Waits until it ends by itself: by a signal, or because it failed.
    async fn ended(self) -> Result<ServeReport, ServiceError> {
        let Self { stop, serving, .. } = self;
        let report = serving.await;
        drop(stop);
        match report {
            Ok(report) => report,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Starts a service in this process; it ends by [`Running::end`].
///
/// # Errors
///
/// [`ServiceError`].
pub async fn start(start: &Start) -> Result<Running, ServiceError> {
    start_with(start, Patience::default()).await
}

/// As [`start`], with another patience.
///
/// # Errors
///
/// [`ServiceError`].
pub async fn start_with(start: &Start, patience: Patience) -> Result<Running, ServiceError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        // Also when the sender is dropped.
        let _ = stopped.await;
    };
    start_until(start, patience, stop, shutdown).await
}

async fn start_until(
    start: &Start,
    patience: Patience,
    stop: oneshot::Sender<()>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, ServiceError> {
    let (name, config) = match start {
        Start::Engines(config) => (ENGINES, config),
        Start::Gateway(config) => (GATEWAY, &config.service),
    };
    let (ledger, ledger_config) = open_ledger(name, config)?;
    let ledger_config = SharedConfig::new(ledger_config);
    let nexus = Nexus::open(config.root.join(format!("{name}.sqlite")), Sources::system())?;
    let mut health = HealthChecks::new(&ledger);
    let (router, admission, views) = match start {
        Start::Engines(config) => {
            let engines = Engines::over(nexus);
            let (router, admission) =
                engines::router_with(&ledger, engines, &config.service_secret, patience)?;
            (router, admission, None)
        }
        Start::Gateway(config) => {
            let gateway = Gateway::new(&ledger, nexus, config)?;
            gateway.warm_up().await;
            health = gateway.checks(health);
            let (router, admission, views) = gateway::router_with(&ledger, gateway, config, patience)?;
            (router, admission, Some(views))
        }
    };
    let (listener, listening) = listen(config.listen).await?;
    let (operations, operating) = operations(config.operations, &ledger, &ledger_config, &health).await?;
    let started = Started {
        listening,
        operations,
        ledger_id: ledger.id(),
        ledger: ledger.path().map(ToOwned::to_owned).unwrap_or_default(),
    };
    let options = ServeOptions::new()
        .header_time(patience.head)
        .admission(&admission)
        .health(&health)
        .shutdown_on(shutdown);
    let served = serve(listener, router, ledger.clone(), options);
    let operating = tokio::spawn(operating);
    let serving = tokio::spawn(async move {
        let report = served.await;
        operating.abort();
        if let Some(views) = views {
            // A cache: when it cannot be written, the next start folds anew.
            let _ = tokio::task::spawn_blocking(move || views.save()).await;
        }
        Ok(report?)
    });
    Ok(Running { started, ledger, config: ledger_config, stop: Some(stop), serving })
}

/// Root and name are the service's own, whatever its configuration says.
fn open_ledger(name: &str, config: &ServiceConfig) -> Result<(Ledger, Config), ServiceError> {
    let root = ledgers_of(&config.root);
    let config = ledger_config(config.ledger_config.as_deref())?;
    let options = config.ledger_options().map_err(ServiceError::Config)?;
    let opened = options.root(&root).service(name, env!("CARGO_PKG_VERSION")).open();
    match opened {
        Ok(ledger) => Ok((ledger, config)),
        Err(source) => Err(ServiceError::Ledger { root, source }),
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServiceError> {
    let failed = |source| ServiceError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let listening = listener.local_addr().map_err(failed)?;
    Ok((listener, listening))
}

/// Health, readiness, metrics and sinks, on an address of their own: metrics name tenants.
async fn operations(
    address: SocketAddr,
    ledger: &Ledger,
    config: &SharedConfig,
    health: &HealthChecks,
) -> Result<(SocketAddr, impl Future<Output = ()> + Send + 'static), ServiceError> {
    let metrics = MetricsEndpoint::new(ledger).map_err(ServiceError::Metrics)?;
    let (of_sinks, config) = (ledger.clone(), config.clone());
    let sinks = get(|| async move { Json(SinkReport::of_ledger(&of_sinks, &config)) });
    let router = Router::new().merge(health.clone().router()).merge(metrics.router()).route("/sinks", sinks);
    let (listener, listening) = listen(address).await?;
    let serving = async move {
        // What happens to an operator's connection is no failure of the service.
        let _ = axum::serve(listener, router).await;
    };
    Ok((listening, serving))
}

/// Runs the service that the first line of standard input names, until a signal or the end of that input.
///
/// What it has to say goes to standard output, a line of JSON each: [`Started`], then [`Ended`].
///
/// # Errors
///
/// [`ServiceError`].
pub async fn run_from_stdin() -> Result<(), ServiceError> {
    let (instructions, input_ended) = read_stdin();
    let line = instructions.await.unwrap_or_else(|_| Err(std::io::ErrorKind::UnexpectedEof.into()));
    let line = line.map_err(ServiceError::Instructions)?;
    let start: Start =
        serde_json::from_str(&line).map_err(|error| ServiceError::Instructions(error.into()))?;
    let signals = signals().map_err(ServiceError::Instructions)?;
    let (stop, _unused) = oneshot::channel();
    let shutdown = async move {
        tokio::select! {
            // Whoever started this service is gone, or wants it to end.
            _ = input_ended => {}
            () = signals => {}
        }
    };
    tell_panics_in_one_line(match start {
        Start::Engines(_) => ENGINES,
        Start::Gateway(_) => GATEWAY,
    });
    let running = start_until(&start, Patience::default(), stop, shutdown).await?;
    let (ledger, config) = (running.ledger().clone(), running.config.clone());
    let file = match &start {
        Start::Engines(config) => config.ledger_config.clone(),
        Start::Gateway(config) => config.service.ledger_config.clone(),
    };
    let reloading = reload_on_sighup(ledger.clone(), file, config.clone()).map_err(ServiceError::Reload)?;
    let reloading = tokio::spawn(reloading);
    say(running.started())?;
    let report = running.ended().await?;
    reloading.abort();
    let sinks = SinkReport::of_ledger(&ledger, &config);
    say(&Ended { is_complete: report.cut == 0, drained_events: report.drained.events, sinks })
}

/// The first line of standard input, and its end. A thread of its own reads it: a blocked read would keep the
/// runtime from ending.
fn read_stdin() -> (oneshot::Receiver<std::io::Result<String>>, oneshot::Receiver<()>) {
    let (say_line, line) = oneshot::channel();
    let (say_end, end) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut text = String::new();
        let read = input.read_line(&mut text).map(|_| text);
        let _ = say_line.send(read);
        let mut rest = String::new();
        while input.read_line(&mut rest).is_ok_and(|bytes| bytes > 0) {
            rest.clear();
        }
        drop(say_end);
    });
    (line, end)
}

/// A panic of a request ends with that request, which is answered 500, and its event tells the rest.
fn tell_panics_in_one_line(service: &'static str) {
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("no message");
        match info.location() {
            Some(at) => eprintln!("{service}: panicked: {message}, {}:{}", at.file(), at.line()),
            None => eprintln!("{service}: panicked: {message}"),
        }
    }));
}

fn signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn say(what: &impl serde::Serialize) -> Result<(), ServiceError> {
    let mut line = serde_json::to_vec(what).map_err(|error| ServiceError::Say(error.into()))?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line).and_then(|()| output.flush()).map_err(ServiceError::Say)
}
