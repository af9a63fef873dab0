//! The operator's pages: for operators alone, and recorded.

use dataset_events_service::Identity;

use crate::stage::{BASE, Stage, hrefs, texts};

async fn with_operators() -> Stage {
    Stage::with(|builder| {
        builder.operators(|identity: &Identity| identity.tenants.iter().any(|tenant| *tenant == "operations"))
    })
    .await
}

#[tokio::test]
async fn a_tenant_is_refused_and_learns_nothing() {
    for stage in [Stage::new().await, with_operators().await] {
        stage.seed("acme");
        stage.seed("globex");
        assert_eq!(stage.get("acme", "/operator").await.status(), 403);
        let mut answers = Vec::new();
        for scope in ["globex/test", "acme/test", "nobody/test", "$system/$system"] {
            let answer = stage.get("acme", &format!("/operator/scopes/{scope}")).await;
            assert_eq!(answer.status(), 404, "{scope}");
            let page = answer.text().await.unwrap();
            answers.push(texts(&page, "p,dt,h1"));
            assert_eq!(
                stage.get("acme", &format!("/operator/scopes/{scope}/api/events")).await.status(),
                404
            );
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
        assert!(!stage.page("acme", "").await.contains("/operator"));
        assert!(stage.reads("globex").is_empty());
    }
}

#[tokio::test]
async fn an_operator_looks_at_any_scope_and_is_recorded() {
    let stage = with_operators().await;
    let seeded = stage.seed("globex");
    let page = stage.page("operations", "/operator").await;
    let links = hrefs(&page, "tbody th a");
    assert!(links.contains(&format!("{BASE}/operator/scopes/globex/test")), "{links:?}");
    assert!(links.contains(&format!("{BASE}/operator/scopes/$system/$system")), "{links:?}");
    let visited = stage.page("operations", "/operator/scopes/globex/test").await;
    assert_eq!(texts(&visited, ".scope .name"), ["globex"]);
    assert!(
        hrefs(&visited, "nav.side a")
            .iter()
            .filter(|href| !href.ends_with("/operator"))
            .all(|href| href.starts_with(&format!("{BASE}/operator/scopes/globex/test")))
    );
    let event = stage
        .json("operations", &format!("/operator/scopes/globex/test/api/events/{}", seeded.place(0)))
        .await;
    assert_eq!(event["tenant_id"], "globex");
    stage.flush();
    let system = stage
        .json("operations", "/operator/scopes/$system/$system/api/events?surface=ledger.operator_opened")
        .await;
    let reasons: Vec<_> = system["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["event"]["input"]["reason"].as_str().unwrap())
        .collect();
    assert!(
        reasons.iter().any(|reason| reason.contains("test|u_ada") && reason.contains("globex/test")),
        "{reasons:?}"
    );
    let views: Vec<_> = stage
        .reads("operations")
        .iter()
        .map(|event| {
            (
                event.input_value()["view"].as_str().unwrap().to_owned(),
                event.input_value()["tenant"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected =
        [("scopes", "operations"), ("overview", "globex"), ("event", "globex"), ("events", "$system")];
    assert_eq!(views, expected.map(|(view, tenant)| (view.to_owned(), tenant.to_owned())));
    let form = stage.get("operations", "/operator?tenant=globex&env=test").await;
    assert_eq!(form.headers()["location"], format!("{BASE}/operator/scopes/globex/test"));
}
