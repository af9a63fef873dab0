//! Headers of every answer, and what no page holds: inline code, and effects of hostile texts.

use std::collections::BTreeSet;

use scraper::{Html, Selector};

use crate::stage::{Stage, context, hrefs, texts};

const HOSTILE: [&str; 5] = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)\" style=\"x",
    "\u{202e}gpj.exe\u{2066}",
    "a\u{0}b\u{1b}[31mc\r\nd",
    "]]>--></title></script><svg/onload=alert(1)>",
];

/// Every page, with its status.
async fn pages(stage: &Stage) -> Vec<(String, u16, String)> {
    let seeded = stage.seed("acme");
    let mut paths: Vec<String> = [
        "",
        "/events",
        "/events?surface=%3Cscript%3E",
        "/coverage",
        "/health",
        "/nothing",
        "/events/nothing",
        "/operator",
        "/events?outcome=x",
        "/sign-in",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.push(format!("/traces/{}", seeded.trace_id));
    let list = stage.page("acme", "/events").await;
    paths.extend(
        hrefs(&list, "tbody th a")
            .into_iter()
            .map(|href| href.strip_prefix(crate::stage::BASE).unwrap().to_owned()),
    );
    let mut pages = Vec::new();
    for path in paths {
        let answer = stage.get("acme", &path).await;
        let status = answer.status().as_u16();
        pages.push((path, status, answer.text().await.unwrap()));
    }
    let answer = stage.client.get(stage.url("")).send().await.unwrap();
    pages.push(("unauthenticated".to_owned(), answer.status().as_u16(), answer.text().await.unwrap()));
    pages
}

fn assert_no_inline_code(path: &str, page: &str) {
    let document = Html::parse_document(page);
    assert!(document.errors.is_empty(), "{path}: {:?}", document.errors);
    for element in document.select(&Selector::parse("*").unwrap()) {
        let name = element.value().name();
        for (attribute, value) in element.value().attrs() {
            assert!(!attribute.starts_with("on") && attribute != "style", "{path}: <{name} {attribute}>");
            assert!(!value.trim_start().to_ascii_lowercase().starts_with("javascript:"), "{path}: {value}");
        }
        assert!(name != "style" && name != "iframe" && name != "base" && name != "img", "{path}: <{name}>");
        if name == "script" {
            assert!(element.attr("src").is_some_and(|src| src.starts_with(crate::stage::BASE)));
            assert_eq!(element.text().collect::<String>(), "", "{path}");
        }
    }
}

#[tokio::test]
async fn no_page_has_inline_code_and_each_has_one_order_of_headings() {
    let stage = Stage::new().await;
    for (path, _, page) in pages(&stage).await {
        assert_no_inline_code(&path, &page);
        let document = Html::parse_document(&page);
        let headings: Vec<_> = document
            .select(&Selector::parse("h1,h2,h3").unwrap())
            .map(|h| h.value().name().to_owned())
            .collect();
        assert_eq!(headings.iter().filter(|name| *name == "h1").count(), 1, "{path}");
        assert_eq!(headings[0], "h1", "{path}");
        let ids: Vec<_> = document
            .select(&Selector::parse("[id]").unwrap())
            .map(|e| e.attr("id").unwrap().to_owned())
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{path}: ids are unique");
        for table in document.select(&Selector::parse("table").unwrap()) {
            assert!(
                table.select(&Selector::parse("caption").unwrap()).next().is_some(),
                "{path}: a table has a caption"
            );
        }
        for head in document.select(&Selector::parse("th").unwrap()) {
            assert!(head.attr("scope").is_some(), "{path}: a head has a scope");
        }
        for field in document.select(&Selector::parse("input:not([type=hidden]),select").unwrap()) {
            let label = format!("label[for={}]", field.attr("id").unwrap());
            assert_eq!(document.select(&Selector::parse(&label).unwrap()).count(), 1, "{path}: {label}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let stage = Stage::new().await;
    stage.seed("acme");
    let page = stage.page("acme", "").await;
    let [style] = &hrefs(&page, "link[rel=stylesheet]")[..] else { panic!("one style") };
    let style = style.strip_prefix(crate::stage::BASE).unwrap().to_owned();
    let paths =
        ["", "/events", "/api/events", "/api/events/x", "/nothing", "/sign-in", "/assets/none.js", &style];
    for path in paths {
        let answer = stage.get("acme", path).await;
        let headers = answer.headers();
        let is = |name: &str, value: &str| assert_eq!(headers[name], value, "{path}: {name}");
        is(
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        );
        is("x-content-type-options", "nosniff");
        is("referrer-policy", "same-origin");
        is("cross-origin-opener-policy", "same-origin");
        is("cross-origin-resource-policy", "same-origin");
        let cached = if path == style { "public, max-age=31536000, immutable" } else { "no-store" };
        is("cache-control", cached);
        assert_eq!(headers.get_all("cache-control").iter().count(), 1);
    }
    assert_eq!(stage.get("acme", "/assets/dashboard.0000000000000000.css").await.status(), 404);
}

#[tokio::test]
async fn hostile_texts_are_only_texts() {
    let stage = Stage::new().await;
    let ctx = context(&stage.orders, "acme");
    for text in HOSTILE {
        ctx.event("orders.place")
            .input("name", text)
            .output("name", text)
            .change("field", text, text)
            .source_ref("thing", text)
            .record()
            .unwrap();
    }
    let long = "\u{5e9}x".repeat(1_365);
    ctx.event("orders.place").input("name", &long).record().unwrap();
    stage.flush();
    let allowed = [
        "a", "bdi", "body", "button", "caption", "circle", "code", "dd", "details", "div", "dl", "dt",
        "form", "g", "h1", "h2", "head", "header", "html", "input", "label", "li", "line", "link", "main",
        "meta", "nav", "ol", "option", "p", "path", "pre", "rect", "script", "section", "select", "span",
        "summary", "svg", "table", "tbody", "td", "th", "thead", "time", "title", "tr", "ul",
    ];
    let (mut texts_seen, mut has_long) = (BTreeSet::new(), false);
    for (path, status, page) in pages(&stage).await {
        assert_no_inline_code(&path, &page);
        assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{0}', '\u{1b}']), "{path}");
        let document = Html::parse_document(&page);
        for element in document.select(&Selector::parse("*").unwrap()) {
            assert!(
                allowed.contains(&element.value().name()),
                "{path} ({status}): <{}>",
                element.value().name()
            );
        }
        assert_eq!(document.select(&Selector::parse("script").unwrap()).count(), 1, "{path}");
        texts_seen.extend(texts(&page, "td bdi"));
        has_long |= page.contains(&long);
    }
    assert!(texts_seen.contains(HOSTILE[0]), "shown as it is: {texts_seen:?}");
    assert!(texts_seen.contains("\u{27e8}U+202E\u{27e9}gpj.exe\u{27e8}U+2066\u{27e9}"), "{texts_seen:?}");
    assert!(texts_seen.contains("a\u{2400}b\u{241b}[31mc\u{240d}\u{240a}d"), "{texts_seen:?}");
    assert!(has_long, "the whole of a long text is in the page");
}
