//! The desk of the guide and its mail service, started for a test on ports of the system's choice.

use axum::Router;
use axum::extract::State;
use dataset_events::testing::TestLedger;
use dataset_events::{Code, Env, Ledger, RequestContext};
use dataset_events_service::{
    ApiError, Ctx, Json, JwtAuthenticator, KeySet, Route, RouteTable, ServiceTokens, VerificationKey,
};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::mailer::Mailer;
use crate::service;

const ISSUER: &str = "https://services.example";
const SECRET: &[u8] = b"known to the services of this test";
const NO_ADDRESS: Code = Code::new("mails.no_address").status(422);

/// Serves a router while the test's runtime lives.
pub(crate) async fn served(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// Two services with a ledger each.
pub(crate) struct Started {
    pub(crate) url: String,
    pub(crate) ledger: TestLedger,
    pub(crate) mails: TestLedger,
    /// The context of each mail that was taken.
    pub(crate) sent: UnboundedReceiver<RequestContext>,
}

fn tokens_for(service: &str) -> JwtAuthenticator {
    let key = VerificationKey::hs256(SECRET).expect("a key");
    let keys = KeySet::new([key]).expect("keys");
    JwtAuthenticator::for_service_tokens(ISSUER, service, keys).build().expect("an authenticator")
}

async fn take_mail(
    ctx: Ctx,
    State(sent): State<UnboundedSender<RequestContext>>,
    Json(mail): Json<Value>,
) -> Result<(), ApiError> {
    if !mail["to"].as_str().is_some_and(|to| to.contains('@')) {
        return Err(ApiError::new(NO_ADDRESS, "nobody can be reached there"));
    }
    // A test that does not look at the mails has dropped the other end.
    let _ = sent.send(ctx.0);
    Ok(())
}

impl Started {
    pub(crate) async fn new(env: &Env) -> Self {
        let (ledger, mails) = (TestLedger::new(), TestLedger::with_seed(2));
        let (sender, sent) = unbounded_channel();
        let admission = dataset_events_service::Admission::builder(mails.ledger())
            .authenticate(tokens_for("mails"))
            .env(env.clone())
            .build()
            .expect("an admission layer");
        let table = RouteTable::new().route(Route::post("/mails", take_mail).code(NO_ADDRESS));
        let mail_url = served(table.router().with_state(sender).layer(admission)).await;
        let mailer = Mailer::new(ledger.ledger(), &mail_url, SECRET).expect("a mailer");
        let desk = service::router(ledger.ledger(), env.clone(), tokens_for("desk"), mailer);
        let (router, _) = desk.expect("the desk");
        Self { url: served(router).await, ledger, mails, sent }
    }
}

/// A token for the desk of this context's tenant, env and user.
pub(crate) fn token_of(ctx: &RequestContext) -> String {
    let tokens = ServiceTokens::hs256(ISSUER, "test", SECRET).expect("tokens");
    tokens.mint(ctx, "desk").expect("a token")
}

/// A token of a user.
pub(crate) fn token(ledger: &Ledger, tenant: &str, env: &Env, user: &str) -> String {
    token_of(&ledger.context(tenant, env).user_id(user).build().expect("a context"))
}
