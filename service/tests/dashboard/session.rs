//! Signing in and out, and the end of a session.

use std::sync::atomic::Ordering;

use crate::stage::{BASE, Stage, hrefs, texts};

fn cookie(answer: &reqwest::Response) -> String {
    answer.headers()["set-cookie"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_form_signs_in_and_a_button_signs_out() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let answer = stage.client.get(stage.url("/events?code=orders.empty")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.headers().get("www-authenticate").is_none(), "no browser's own window");
    let page = answer.text().await.unwrap();
    assert_eq!(texts(&page, "h1"), ["Sign in"]);
    let back = format!("{BASE}/events?code=orders.empty");
    assert!(page.contains(&format!("name=\"next\" value=\"{back}\"")));

    let form = [("token", "acme~u_ada"), ("next", back.as_str())];
    let body: String = form
        .iter()
        .map(|(name, value)| format!("{name}={}&", value.replace('=', "%3D").replace('?', "%3F")))
        .collect();
    let post = |site: &'static str| {
        let post = stage.client.post(stage.url("/sign-in")).header("sec-fetch-site", site);
        post.header("content-type", "application/x-www-form-urlencoded").body(body.clone())
    };
    assert_eq!(post("cross-site").send().await.unwrap().status(), 403);
    let answer = post("same-origin").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, &*back));
    let set = cookie(&answer);
    assert_eq!(set, format!("dataset_events_session=acme~u_ada; Path={BASE}; HttpOnly; SameSite=Strict"));

    let session = set.split(';').next().unwrap().to_owned();
    let answer = stage.client.get(stage.url("")).header("cookie", &session).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(texts(&answer.text().await.unwrap(), ".scope .name"), ["acme"]);

    let answer = stage
        .client
        .post(stage.url("/sign-out"))
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    let answer = stage
        .client
        .post(stage.url("/sign-out"))
        .header("sec-fetch-site", "same-origin")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 303);
    assert!(cookie(&answer).contains("dataset_events_session=; ") && cookie(&answer).contains("Max-Age=0"));
    assert_eq!(stage.client.get(stage.url("/sign-out")).send().await.unwrap().status(), 405, "not by a link");
}

#[tokio::test]
async fn a_link_signs_in_and_leaves_a_clean_address() {
    let stage = Stage::new().await;
    let path = stage.dashboard.sign_in_path("acme~u_ada");
    let url = stage.url(path.strip_prefix(BASE).unwrap());
    let answer = stage.client.get(&url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (303, &BASE.parse().unwrap()));
    assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(cookie(&answer).starts_with("dataset_events_session=acme~u_ada; "));
    let away = stage.client.get(&url).header("host", "dash.example.com").send().await.unwrap();
    assert!(cookie(&away).ends_with("; Secure"));
    let linked =
        stage.client.get(&url).header("sec-fetch-site", "cross-site").header("sec-fetch-dest", "document");
    let linked = linked.send().await.unwrap();
    assert_eq!(linked.status(), 200, "browsers would not send the strict cookie along with a redirect");
    assert_eq!(hrefs(&linked.text().await.unwrap(), "a.button"), [BASE]);
    let picture = stage.client.get(&url).header("sec-fetch-dest", "image").send().await.unwrap();
    assert_eq!(picture.status(), 403);
    let broken = stage.client.get(stage.url("/sign-in?token=a%0Ab")).send().await.unwrap();
    assert_eq!(broken.status(), 400);
    assert!(broken.headers().get("set-cookie").is_none());
}

#[tokio::test]
async fn a_session_ends_when_its_token_does() {
    let stage = Stage::new().await;
    let get = |path: &str| {
        stage.client.get(stage.url(path)).header("cookie", "other=1; dataset_events_session=acme~u_ada")
    };
    assert_eq!(get("").send().await.unwrap().status(), 200);
    stage.expired.0.store(true, Ordering::Relaxed);
    let answer = get("/events").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(cookie(&answer).contains("Max-Age=0"));
    let page = answer.text().await.unwrap();
    assert_eq!(texts(&page, "[role=alert]"), ["Your session has expired. Sign in again with a new token."]);
    assert!(!page.contains("acme~u_ada"), "a token is never shown");
    let api = get("/api/events").send().await.unwrap();
    assert_eq!(api.status(), 401);
    assert_eq!(crate::over_http::code(api).await.1, "auth.token_expired");
}

#[tokio::test]
async fn a_token_is_in_no_event() {
    let stage = Stage::new().await;
    let token = "acme~u_veryrecognisable";
    let session = format!("dataset_events_session={token}");
    for path in ["", "/events", "/nothing-here"] {
        stage.client.get(stage.url(path)).header("cookie", &session).send().await.unwrap();
    }
    let path = stage.dashboard.sign_in_path(token);
    stage.client.get(stage.url(path.strip_prefix(BASE).unwrap())).send().await.unwrap();
    let events = stage.events("acme");
    assert!(events.len() >= 5);
    assert!(events.iter().all(|event| !serde_json::to_string(event).unwrap().contains(token)));
}
