//! Functions and methods, sync and async, with everything that a first adoption uses.

use dataset_events::{Code, Env, ErrorCode, RequestContext, TenantId, dataset_event};

#[derive(Debug, ErrorCode)]
enum ChatError {
    #[code("chat.thread_not_found", status = 404)]
    ThreadNotFound,
    #[code("chat.blocked", denied, retryable)]
    #[allow(dead_code)]
    Blocked { by: String },
    #[code(transparent)]
    Store(StoreError),
}

#[derive(Debug, ErrorCode)]
#[code("store.failed", status = 503, retryable)]
struct StoreError;

impl From<StoreError> for ChatError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

struct Message {
    id: u64,
}

fn store(body: &str) -> Result<u64, StoreError> {
    if body.is_empty() { Err(StoreError) } else { Ok(7) }
}

#[dataset_event(
    surface = "chat.send_message",
    access = "create",
    input(thread_id, body_len = body.len(), draft = ?Some(1), %thread_id2, who = hashed(body), masked(body)),
    output(message_id = ret.id),
    source_refs(thread = thread_id),
)]
fn send_message(ctx: &RequestContext, thread_id: &str, thread_id2: &str, body: &str) -> Result<Message, ChatError> {
    if thread_id2 == "none" {
        return Err(ChatError::ThreadNotFound);
    }
    let id = store(body)?;
    Ok(Message { id })
}

#[dataset_event(surface = "chat.read", access = "read", input(thread_id), output(count = ret))]
async fn read(ctx: &RequestContext, thread_id: String) -> Result<usize, ChatError> {
    std::future::ready(()).await;
    Ok(thread_id.len())
}

fn code_of(_: &std::io::Error) -> Code {
    Code::new("io.failed")
}

struct Orders {
    tenant: TenantId,
}
const ENV: Env = Env::from_static("prod");

impl Orders {
    #[dataset_event(surface = "orders.create", tenant = self.tenant, env = ENV, error_code = "orders.failed")]
    fn create(&mut self, count: u32) -> Result<u32, std::io::Error> {
        if count == 0 { Err(std::io::ErrorKind::Other.into()) } else { Ok(count) }
    }

    #[dataset_event(surface = "orders.list", access = "read", tenant = self.tenant, env = ENV, error_code = code_of, error_message)]
    async fn list(&self) -> std::io::Result<Vec<u32>> {
        Ok(vec![1])
    }
}

#[dataset_event(surface = "plain.unit")]
fn unit(tenant_id: &TenantId, env: &Env) {
    let _ = (tenant_id, env);
}

fn main() {
    let ctx = RequestContext::builder("acme", "prod").build().unwrap();
    assert_eq!(send_message(&ctx, "th_1", "x", "hello").unwrap().id, 7);
    assert!(matches!(send_message(&ctx, "th_1", "none", "hello"), Err(ChatError::ThreadNotFound)));
    assert!(matches!(send_message(&ctx, "th_1", "x", ""), Err(ChatError::Store(StoreError))));
    let mut orders = Orders { tenant: TenantId::from_static("acme") };
    assert!(orders.create(0).is_err());
    unit(ctx.tenant_id(), ctx.env());
    drop(read(&ctx, String::new()));
    drop(orders.list());
    let site = dataset_events::surfaces().find(|site| site.surface == "chat.send_message").unwrap();
    assert!(site.was_entered());
    let names: Vec<_> = (site.codes)().iter().map(|code| code.name()).collect();
    assert_eq!(names, ["chat.thread_not_found", "chat.blocked", "store.failed"]);
    assert_eq!(site.line, 41);
    assert_eq!(site.inputs[0].rust_type, "&str");
}
