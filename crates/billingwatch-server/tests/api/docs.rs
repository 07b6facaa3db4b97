//! The page that draws the API, from the binary alone.

use crate::support::{TestApp, get};

#[test]
fn the_page_loads_nothing_but_what_is_served_here() {
    let app = TestApp::start();
    let page = app.ask_bare(get("/docs"));
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let html = page.text();
    assert!(!html.contains("://"), "{html}");
    assert!(!html.contains("<script>"), "{html}");
    let links = html.split(['"']).filter(|part| {
        [".js", ".css", ".ico", ".json"]
            .iter()
            .any(|end| part.ends_with(end))
    });
    let mut loaded = 0;
    for link in links {
        let response = app.ask_bare(get(&format!("/{link}")));
        assert_eq!(response.status, 200, "{link}");
        assert!(!response.body.is_empty(), "{link}");
        loaded += 1;
    }
    assert_eq!(loaded, 5);
    let script = app.ask_bare(get("/docs/swagger-ui-bundle.js"));
    let kind = script.header("content-type").unwrap();
    assert!(kind.contains("javascript"), "{kind}");
}

#[test]
fn a_browser_gets_the_assets_packed_and_everybody_else_as_they_are() {
    let app = TestApp::start();
    for (accepted, is_packed) in [
        (Some("gzip, deflate, br"), true),
        (Some("br, GZIP;q=0.5"), true),
        (Some("gzip;q=0"), false),
        (Some("br"), false),
        (None, false),
    ] {
        let mut request = get("/docs/swagger-ui.css");
        if let Some(accepted) = accepted {
            request = request.header("Accept-Encoding", accepted);
        }
        let response = app.ask_bare(request);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("vary"), Some("accept-encoding"));
        let encoding = response.header("content-encoding");
        assert_eq!(encoding, is_packed.then_some("gzip"), "{accepted:?}");
        let is_gzip = response.body.starts_with(&[0x1f, 0x8b]);
        assert_eq!(is_gzip, is_packed, "{accepted:?}");
        let text = String::from_utf8_lossy(&response.body);
        assert_eq!(text.contains(".swagger-ui"), !is_packed, "{accepted:?}");
    }
}

#[test]
fn the_bare_address_leads_to_the_page() {
    let app = TestApp::start();
    for path in ["/", "/docs/"] {
        let response = app.ask_bare(get(path));
        assert_eq!(response.status, 307, "{path}");
        assert_eq!(response.header("location"), Some("/docs"));
    }
}

#[test]
fn the_document_served_is_the_document_written() {
    let app = TestApp::start();
    let response = app.ask_bare(get("/openapi.json"));
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.text(), billingwatch_server::openapi_json());
}
