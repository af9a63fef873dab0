//! A context in an extension: the admission layer puts one among those of each request.

use std::error::Error;

use axum::routing::{get, post};
use axum::{Extension, Router};
use dataset_events::{Env, ErrorCode, Ledger, RequestContext, TenantId, dataset_event};
use dataset_events_service::{Admission, ApiError, Ctx, Json, Path, StaticTokens, route_not_found};

#[derive(Debug, thiserror::Error, ErrorCode)]
#[error("there is no recipe {0}")]
#[code("recipes.not_found", status = 404)]
struct NoSuchRecipe(u32);

#[dataset_event(surface = "recipes.read", access = "read", input(id), output(bytes = ret.len()))]
fn read(ctx: &RequestContext, id: u32) -> Result<String, NoSuchRecipe> {
    match id {
        1 => Ok(format!("bread, as {} bakes it", ctx.tenant_id())),
        _ => Err(NoSuchRecipe(id)),
    }
}

/// `Ctx` takes the context out of the request, and hands it on as a `&RequestContext`.
async fn get_recipe(ctx: Ctx, Path(id): Path<u32>) -> Result<Json<String>, ApiError> {
    Ok(Json(read(&ctx, id)?))
}

/// axum's own extractor does it too; the attribute finds the context behind its pattern.
#[dataset_event(surface = "recipes.rate", access = "update", input(id, stars), cannot_fail = "votes count")]
async fn rate_recipe(
    Extension(ctx): Extension<RequestContext>,
    Path((id, stars)): Path<(u32, u8)>,
) -> Json<u32> {
    Json(id * 10 + u32::from(stars))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = Ledger::dev()?;
    let env = Env::from_static("prod");
    let admission = Admission::builder(&ledger)
        .authenticate(StaticTokens::parse("token-of-ada bakery ada")?)
        .env(env.clone())
        .build()?;
    let router = Router::new()
        .route("/recipes/{id}", get(get_recipe))
        .route("/recipes/{id}/stars/{stars}", post(rate_recipe))
        .fallback(route_not_found)
        .layer(admission);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let http = reqwest::Client::new();
    let missing = http.get(format!("{url}/recipes/2")).bearer_auth("token-of-ada").send().await?;
    assert_eq!(missing.status(), 404);
    let envelope: serde_json::Value = missing.json().await?;
    assert_eq!(envelope["error"]["code"], "recipes.not_found");
    let rated = http.post(format!("{url}/recipes/1/stars/5")).bearer_auth("token-of-ada").send().await?;
    assert_eq!(rated.text().await?, "15");
    assert_eq!(http.get(format!("{url}/recipes/1")).send().await?.status(), 401);

    ledger.flush()?;
    let newest = ledger.scope(&TenantId::new("bakery")?, &env).events().newest_first().limit(4);
    let events = newest.iter().map(|stored| Ok(stored?.event)).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let [_, rated, request, read] = events.as_slice() else { return Err("two requests, four events".into()) };
    assert_eq!((rated.surface.as_str(), rated.input_value()["stars"].as_u64()), ("recipes.rate", Some(5)));
    assert_eq!((read.surface.as_str(), read.code()), ("recipes.read", Some("recipes.not_found")));
    assert_eq!(read.user_id().map(|user| user.as_str()), Some("ada"));
    assert_eq!(
        (request.surface.as_str(), request.output_value()["status"].as_u64()),
        ("http.request", Some(404))
    );
    assert_eq!(read.parent_span_id, Some(request.span_id));
    assert_eq!(envelope["error"]["trace_id"], read.trace_id.to_string());
    println!("the read that failed is a call of the request {}", read.request_id);
    Ok(())
}
