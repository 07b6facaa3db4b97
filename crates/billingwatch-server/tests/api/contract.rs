//! What the document, the docs and the server say of each other.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{TestApp, get, post, request};

fn document() -> Value {
    serde_json::from_str(&billingwatch_server::openapi_json()).unwrap()
}

/// `GET /health` and so on, of every operation.
fn operations() -> BTreeSet<String> {
    let document = document();
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn the_document_is_as_reviewed() {
    let mut document = document();
    document["info"]["version"] = json!("[version]");
    assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
}

#[test]
fn the_document_is_openapi_3_1_and_complete() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert!(
                operation["responses"]["200"].is_object()
                    || operation["responses"]["202"].is_object()
            );
        }
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
}

#[test]
fn every_documented_operation_is_served() {
    let app = TestApp::start();
    for operation in operations() {
        let (method, path) = operation.split_once(' ').unwrap();
        let target = path.replace("{id}", "x").replace("{source}", "eu");
        let response = match method {
            "GET" => app.ask(get(&target)),
            "POST" => app.ask(post(&target).json(&json!({}))),
            "DELETE" => app.ask(request("DELETE", &target)),
            other => panic!("what is {other}?"),
        };
        assert_ne!(response.status, 405, "{operation}");
        if response.status == 404 {
            assert!(!response.text().contains("no such path"), "{operation}");
        }
    }
}

#[test]
fn the_docs_list_the_documented_routes_and_no_others() {
    let docs = include_str!("../../../../docs/api.md");
    let listed: BTreeSet<String> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, operations());
}

#[test]
fn unknown_paths_and_wrong_methods_get_the_envelope() {
    let app = TestApp::start();
    for path in [
        "/nowhere",
        "/api/v1",
        "/api/v1/alerts/x/y",
        "/docs/secret",
        "/.env",
        "//",
    ] {
        let response = app.ask(get(path));
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.error_code(), "not_found", "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/webhooks/stripe", "POST"),
        ("PUT", "/webhooks/stripe", "POST"),
        ("DELETE", "/health", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("PATCH", "/api/v1/alerts", "GET, HEAD"),
        ("BREW", "/docs", "GET, HEAD"),
    ] {
        let response = app.ask(request(method, path));
        assert_eq!(response.status, 405, "{method} {path}");
        assert_eq!(response.error_code(), "method_not_allowed");
        assert_eq!(response.header("allow"), Some(allow));
    }
}

#[test]
fn every_answer_carries_the_security_headers() {
    let app = TestApp::start();
    for path in [
        "/",
        "/docs",
        "/docs/start.js",
        "/openapi.json",
        "/health",
        "/metrics",
        "/nowhere",
    ] {
        let response = app.ask_bare(get(path));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            response.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(response.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(response.header("server"), None, "{path}");
    }
    let page = app.ask_bare(get("/docs"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self';"), "{policy}");
}
