//! Which of two answers an `Accept` header prefers: JSON, or Prometheus text.

use actix_web::http::header::{self, HeaderMap};

/// Whether the client prefers Prometheus text. Without a header, and in doubt, it gets JSON: a
/// browser or a bare `curl` is a person, and Prometheus names what it wants.
pub(crate) fn wants_text(headers: &HeaderMap) -> bool {
    let (mut text, mut json) = (0.0_f32, 0.0_f32);
    for value in headers.get_all(header::ACCEPT) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            match kind.as_str() {
                "text/plain" | "application/openmetrics-text" => text = text.max(quality),
                "application/json" | "application/*" => json = json.max(quality),
                // A browser asks for pages first and takes anything else with `*/*`.
                "text/html" => json = json.max(quality),
                _ => {}
            }
        }
    }
    text > json
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn prometheus_gets_text_and_people_get_json() {
        let wants = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            wants_text(&headers)
        };
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert!(wants(prometheus));
        assert!(wants("text/plain"));
        assert!(wants("text/plain, application/json;q=0.5"));
        assert!(!wants("application/json, text/plain;q=0.5"));
        assert!(!wants("application/json, text/plain, */*"));
        assert!(!wants("*/*"));
        assert!(!wants("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wants_text(&HeaderMap::new()));
    }
}
