//! The whole URL map on one page.
//!
//! Open routes ask for no token: those a machine without one must reach (health, Stripe's posts,
//! which a signature guards) and those that only describe the API. Everything else is closed.

use actix_web::body::BoxBody;
use actix_web::guard::{Any, Delete, Get, Head, Post};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, JsonConfig, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder, Route};
use billingwatch_store::TokenRole;

use crate::auth::require_role;
use crate::error::ApiError;
use crate::handlers::{
    alerts, detectors, docs, events, health, metrics, mutes, suppressed, webhooks,
};

/// The largest JSON body of the API, in bytes: a note.
const JSON_BYTES_MAX: usize = 32 * 1024;

pub(crate) fn configure(app: &mut ServiceConfig) {
    // Open. Patterns are tried in order, when a request comes and when its route is logged: the one
    // that has to be quick stands first.
    app.service(at("/webhooks/stripe").write(webhooks::receive).open())
        .service(
            at("/webhooks/stripe/{source}")
                .write(webhooks::receive_named)
                .open(),
        )
        .service(at("/").read(docs::to_docs).open())
        .service(at("/docs").read(docs::page).open())
        .service(at("/docs/").read(docs::to_docs).open())
        .service(at("/docs/{asset}").read(docs::asset).open())
        .service(at("/openapi.json").read(docs::document).open())
        .service(at("/favicon.ico").read(docs::favicon).open())
        .service(at("/health").read(health::show).open())
        .service(at("/health/ready").read(health::ready).open());
    // Closed: a token, unless in development on loopback.
    app.service(at("/webhooks/alerts").read(alerts::recent).closed())
        .service(at("/webhooks/detectors").read(detectors::list).closed())
        .service(at("/metrics").read(metrics::show).closed())
        .service(at("/metrics/detectors").read(metrics::detectors).closed())
        .service(
            at("/metrics/recent-events")
                .read(metrics::recent_events)
                .closed(),
        )
        .service(at("/api/v1/alerts").read(alerts::list).closed())
        .service(at("/api/v1/alerts/{id}").read(alerts::show).closed())
        .service(
            at("/api/v1/alerts/{id}/acknowledge")
                .write(alerts::acknowledge)
                .closed(),
        )
        .service(
            at("/api/v1/alerts/{id}/resolve")
                .write(alerts::resolve)
                .closed(),
        )
        .service(
            at("/api/v1/alerts/{id}/false-positive")
                .write(alerts::mark_false_positive)
                .closed(),
        )
        .service(
            at("/api/v1/alerts/{id}/true-positive")
                .write(alerts::mark_true_positive)
                .closed(),
        )
        .service(at("/api/v1/mutes").read(mutes::list).closed())
        .service(at("/api/v1/mutes/{id}").delete(mutes::lift).closed())
        .service(at("/api/v1/suppressed").read(suppressed::list).closed())
        .service(at("/api/v1/events").read(events::list).closed())
        .service(at("/api/v1/events/{id}").read(events::show).closed())
        .service(at("/api/v1/events/{id}/raw").read(events::raw).closed());
    app.default_service(web::to(async || {
        Err::<String, _>(ApiError::not_found("no such path; GET /docs lists them"))
    }));
    app.app_data(QueryConfig::default().error_handler(|error, _| {
        ApiError::invalid_query(format!("the query makes no sense: {error}")).into()
    }));
    app.app_data(
        PathConfig::default()
            .error_handler(|_, _| ApiError::invalid_path("the path makes no sense").into()),
    );
    app.app_data(
        JsonConfig::default()
            .limit(JSON_BYTES_MAX)
            .error_handler(|error, _| json_refusal(&error).into()),
    );
}

fn json_refusal(error: &actix_web::error::JsonPayloadError) -> ApiError {
    use actix_web::error::JsonPayloadError as Error;
    match error {
        Error::OverflowKnownLength { .. } | Error::Overflow { .. } => {
            ApiError::body_too_large(JSON_BYTES_MAX)
        }
        Error::ContentType => ApiError::unsupported_media_type(),
        Error::Deserialize(error) => {
            ApiError::invalid_body(format!("the body is not what is expected here: {error}"))
        }
        _ => ApiError::incomplete_body(),
    }
}

/// A path on its way into the map.
struct Path {
    path: &'static str,
}

/// A path with what it does.
struct Endpoint {
    path: &'static str,
    route: Route,
    allow: &'static str,
    /// What a caller must be at least, where the path is closed.
    role: TokenRole,
}

const fn at(path: &'static str) -> Path {
    Path { path }
}

impl Path {
    /// GET, and HEAD for those who only want to know whether it answers.
    fn read<F, Args>(self, handler: F) -> Endpoint
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Endpoint {
            path: self.path,
            route: web::route().guard(Any(Get()).or(Head())).to(handler),
            allow: "GET, HEAD",
            role: TokenRole::Viewer,
        }
    }

    /// POST.
    fn write<F, Args>(self, handler: F) -> Endpoint
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Endpoint {
            path: self.path,
            route: web::route().guard(Post()).to(handler),
            allow: "POST",
            role: TokenRole::Operator,
        }
    }

    /// DELETE.
    fn delete<F, Args>(self, handler: F) -> Endpoint
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Endpoint {
            path: self.path,
            route: web::route().guard(Delete()).to(handler),
            allow: "DELETE",
            role: TokenRole::Operator,
        }
    }
}

impl Endpoint {
    fn open(self) -> Resource {
        let allow = self.allow;
        let refuse = move || async move { Err::<String, _>(ApiError::method_not_allowed(allow)) };
        web::resource(self.path)
            .route(self.route)
            .default_service(web::to(refuse))
    }

    /// Behind a token: a viewer's for what reads, an operator's for what changes.
    fn closed(self) -> impl actix_web::dev::HttpServiceFactory {
        let role = self.role;
        self.open().wrap(from_fn(move |req, next: Next<BoxBody>| {
            require_role(role, req, next)
        }))
    }
}
