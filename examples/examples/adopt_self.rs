//! A context behind `self`: an engine that is made for each request, and one attribute on its `impl` block.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use dataset_events::{Env, ErrorCode, Ledger, RequestContext, TenantId, dataset_event, surfaces};
use dataset_events_service::{Admission, ApiError, Ctx, Json, Path, StaticTokens, route_not_found};

#[derive(Debug, thiserror::Error, ErrorCode)]
#[error("there is no parcel {0}")]
#[code("parcels.not_found", status = 404)]
struct NoSuchParcel(u32);

/// Where each parcel of each tenant is.
type Places = Arc<Mutex<BTreeMap<(TenantId, u32), String>>>;

struct Parcels {
    ctx: RequestContext,
    places: Places,
}

#[dataset_event(engine = "parcels", ctx = self.ctx)]
impl Parcels {
    #[dataset_event(skip = "makes the engine; touches no parcel")]
    pub(crate) fn new(ctx: Ctx, places: Places) -> Self {
        Self { ctx: ctx.0, places }
    }

    #[dataset_event(access = "read", input(id), output(place = ret))]
    pub(crate) fn locate(&self, id: u32) -> Result<String, NoSuchParcel> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(&self.key(id)).cloned().ok_or(NoSuchParcel(id))
    }

    #[dataset_event(access = "update", input(id), source_refs(parcel = id), cannot_fail = "any place will do")]
    pub(crate) fn arrive(&self, id: u32, at: &str) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let before = places.insert(self.key(id), at.to_owned());
        dataset_events::current().change("place", before, at);
    }

    fn key(&self, id: u32) -> (TenantId, u32) {
        (self.ctx.tenant_id().clone(), id)
    }
}

async fn locate(
    ctx: Ctx,
    State(places): State<Places>,
    Path(id): Path<u32>,
) -> Result<Json<String>, ApiError> {
    Ok(Json(Parcels::new(ctx, places).locate(id)?))
}

async fn arrive(ctx: Ctx, State(places): State<Places>, Path((id, at)): Path<(u32, String)>) {
    Parcels::new(ctx, places).arrive(id, &at);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::dev()?;
    let env = Env::from_static("prod");
    let admission = Admission::builder(&ledger)
        .authenticate(StaticTokens::parse("token-of-bo post bo")?)
        .env(env.clone())
        .build()?;
    let router = Router::new()
        .route("/parcels/{id}", get(locate))
        .route("/parcels/{id}/at/{place}", post(arrive))
        .fallback(route_not_found)
        .with_state(Places::default())
        .layer(admission);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/parcels", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let http = reqwest::Client::new();
    for place in ["graz", "linz"] {
        let arrived = http.post(format!("{url}/7/at/{place}")).bearer_auth("token-of-bo").send().await?;
        assert_eq!(arrived.status(), 200);
    }
    let located = http.get(format!("{url}/7")).bearer_auth("token-of-bo").send().await?;
    assert_eq!(located.text().await?, "\"linz\"");
    assert_eq!(http.get(format!("{url}/8")).bearer_auth("token-of-bo").send().await?.status(), 404);

    ledger.flush()?;
    let calls = ledger.scope(&TenantId::new("post")?, &env).events().surface("parcels.*");
    let newest = calls.newest_first().limit(3).iter();
    let events = newest.map(|stored| Ok(stored?.event)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let [missing, located, moved] = events.as_slice() else { return Err("too few events".into()) };
    assert_eq!((moved.changes[0].before.get(), moved.changes[0].after.get()), ("\"graz\"", "\"linz\""));
    assert_eq!((located.surface.as_str(), missing.code()), ("parcels.locate", Some("parcels.not_found")));
    let skipped = surfaces().find(|site| site.surface == "parcels.new").and_then(|site| site.skip);
    assert_eq!(skipped, Some("makes the engine; touches no parcel"));
    println!("{} moved in {}", moved.source_refs[0].id, moved.scope());
    Ok(())
}
