//! The API's description, put together from the handlers.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::handlers::{
    alerts, detectors, docs, events, health, metrics, mutes, suppressed, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "BillingWatch",
        description = "Receives Stripe's webhooks, keeps every event and tells when billing goes \
            wrong. Errors are `{\"error\": {\"code\", \"message\"}}` on every route; amounts are \
            integers in minor units; instants are RFC 3339 in UTC."
    ),
    paths(
        webhooks::receive,
        webhooks::receive_named,
        alerts::recent,
        alerts::list,
        alerts::show,
        alerts::acknowledge,
        alerts::resolve,
        alerts::mark_false_positive,
        alerts::mark_true_positive,
        mutes::list,
        mutes::lift,
        suppressed::list,
        events::list,
        events::show,
        events::raw,
        detectors::list,
        metrics::show,
        metrics::detectors,
        metrics::recent_events,
        health::show,
        health::ready,
        docs::page,
        docs::document,
    ),
    tags(
        (name = "webhooks", description = "What Stripe posts to"),
        (name = "alerts", description = "What was found, and what people say of it"),
        (name = "events", description = "What came in"),
        (name = "detectors", description = "What watches"),
        (name = "metrics", description = "Numbers"),
        (name = "service", description = "The server itself"),
    ),
    security(("token" = [])),
    modifiers(&Token)
)]
struct Document;

/// How callers say who they are.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token; see docs/api.md"))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI 3.1 document as indented JSON.
pub(crate) fn to_json() -> String {
    // Writing the derived document cannot fail; were it to, an empty document is what is true.
    Document::openapi()
        .to_pretty_json()
        .unwrap_or_else(|_| "{}".to_owned())
}
