//! The API's description and the page that draws it, all from the binary: no other host is asked.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use actix_web::http::header;
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse, Responder};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use crate::error::ApiError;
use crate::openapi;

/// Swagger UI draws with styles in the markup and icons as data URLs; scripts come from here alone.
const CSP_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; font-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The assets change with the release alone.
const CACHE_A_DAY: &str = "public, max-age=86400";

static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("openapi.json")));

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| openapi::to_json().into());

/// Where a browser that was given the bare address goes.
pub(crate) async fn to_docs() -> impl Responder {
    HttpResponse::TemporaryRedirect()
        .insert_header((header::LOCATION, "/docs"))
        .finish()
}

/// This API, drawn
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "getDocs",
    tag = "service",
    responses((status = 200, description = "Swagger UI", body = String, content_type = "text/html")),
    security(())
)]
pub(crate) async fn page() -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, CSP_DOCS))
        .body(include_str!("../../static/docs.html"))
}

pub(crate) async fn asset(req: HttpRequest, name: Path<String>) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, CACHE_A_DAY));
    if name == "start.js" {
        return Ok(response
            .content_type("text/javascript; charset=utf-8")
            .body(include_str!("../../static/start.js")));
    }
    // Only what the page loads: the archive's own pages would load more than the policy lets them.
    if !matches!(name.as_str(), "swagger-ui.css" | "swagger-ui-bundle.js") {
        return Err(ApiError::not_found("no such file"));
    }
    let file = utoipa_swagger_ui::serve(&name, Arc::clone(&CONFIG))
        .ok()
        .flatten()
        .ok_or_else(|| ApiError::not_found("no such file"))?;
    let mut bytes = file.bytes.into_owned();
    // They are kept compressed, at a quarter of their size.
    if file.gzpipped {
        response.insert_header((header::VARY, "accept-encoding"));
        if takes_gzip(&req) {
            response.insert_header((header::CONTENT_ENCODING, "gzip"));
        } else {
            let packed = std::mem::take(&mut bytes);
            GzDecoder::new(packed.as_slice())
                .read_to_end(&mut bytes)
                .map_err(|_| ApiError::not_found("no such file"))?;
        }
    }
    Ok(response.content_type(file.content_type).body(bytes))
}

/// Whether the client says that it can unpack gzip, and does not say so with a weight of zero.
fn takes_gzip(req: &HttpRequest) -> bool {
    let given = req.headers().get(header::ACCEPT_ENCODING);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or("");
    given.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// This API as an OpenAPI 3.1 document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenapi",
    tag = "service",
    responses((status = 200, description = "The document", body = serde_json::Value)),
    security(())
)]
pub(crate) async fn document() -> impl Responder {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT.clone())
}

pub(crate) async fn favicon() -> impl Responder {
    HttpResponse::Ok()
        .content_type("image/x-icon")
        .insert_header((header::CACHE_CONTROL, CACHE_A_DAY))
        .body(include_bytes!("../../static/favicon.ico").as_slice())
}
