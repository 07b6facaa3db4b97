//! What the server counts about itself, in Prometheus's terms.
//!
//! One registry per server, so that two in a process (tests, the demo) do not add up. Labels come
//! from fixed sets or the configuration, never from what a caller sent.

use billingwatch_core::stripe::signature::SignatureError;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
};

/// Bounds of the ingest histogram, seconds: a durable commit takes 0.2 to 7 ms by disk.
const INGEST_BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0,
];

/// Bounds of the request histogram, seconds.
const REQUEST_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0];

/// The server's own counters.
#[derive(Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
    webhook_events: IntCounterVec,
    verify_failures: IntCounterVec,
    ingest_seconds: Histogram,
    http_requests: IntCounterVec,
    http_seconds: HistogramVec,
}

/// How a webhook post ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Received {
    Accepted,
    Duplicate,
    BadSignature,
    BadPayload,
    TooLarge,
    Incomplete,
    Unavailable,
}

impl Received {
    const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Duplicate,
        Self::BadSignature,
        Self::BadPayload,
        Self::TooLarge,
        Self::Incomplete,
        Self::Unavailable,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::BadSignature => "bad_signature",
            Self::BadPayload => "bad_payload",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Telemetry {
    /// Counters at zero for each of these sources, so that a rate has a beginning.
    pub(crate) fn new<'a>(
        sources: impl Iterator<Item = &'a str>,
    ) -> Result<Self, prometheus::Error> {
        let telemetry = Self {
            registry: Registry::new(),
            webhook_events: IntCounterVec::new(
                Opts::new(
                    "billingwatch_webhook_events_total",
                    "Webhook posts by source and how they ended.",
                ),
                &["source", "outcome"],
            )?,
            verify_failures: IntCounterVec::new(
                Opts::new(
                    "billingwatch_webhook_verification_failures_total",
                    "Webhook posts whose signature did not verify, by source and reason.",
                ),
                &["source", "reason"],
            )?,
            ingest_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "billingwatch_ingest_duration_seconds",
                    "From a verified event to its durable commit.",
                )
                .buckets(INGEST_BUCKETS.to_vec()),
            )?,
            http_requests: IntCounterVec::new(
                Opts::new(
                    "billingwatch_http_requests_total",
                    "HTTP requests by method, route pattern and status.",
                ),
                &["method", "route", "status"],
            )?,
            http_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "billingwatch_http_request_duration_seconds",
                    "From a request's head to its answer's, by route pattern.",
                )
                .buckets(REQUEST_BUCKETS.to_vec()),
                &["route"],
            )?,
        };
        let registry = &telemetry.registry;
        registry.register(Box::new(telemetry.webhook_events.clone()))?;
        registry.register(Box::new(telemetry.verify_failures.clone()))?;
        registry.register(Box::new(telemetry.ingest_seconds.clone()))?;
        registry.register(Box::new(telemetry.http_requests.clone()))?;
        registry.register(Box::new(telemetry.http_seconds.clone()))?;
        for source in sources {
            for outcome in Received::ALL {
                telemetry
                    .webhook_events
                    .with_label_values(&[source, outcome.as_str()]);
            }
            for reason in SignatureError::CODES {
                telemetry
                    .verify_failures
                    .with_label_values(&[source, reason]);
            }
        }
        Ok(telemetry)
    }

    pub(crate) fn count_webhook(&self, source: &str, outcome: Received) {
        self.webhook_events
            .with_label_values(&[source, outcome.as_str()])
            .inc();
    }

    pub(crate) fn count_verify_failure(&self, source: &str, reason: &'static str) {
        self.verify_failures
            .with_label_values(&[source, reason])
            .inc();
    }

    pub(crate) fn observe_ingest(&self, secs: f64) {
        self.ingest_seconds.observe(secs);
    }

    pub(crate) fn observe_request(&self, method: &str, route: &str, status: u16, secs: f64) {
        self.http_requests
            .with_label_values(&[method, route, &status.to_string()])
            .inc();
        self.http_seconds.with_label_values(&[route]).observe(secs);
    }

    /// Everything as Prometheus text, with `more` families from elsewhere.
    pub(crate) fn render(
        &self,
        more: Vec<prometheus::proto::MetricFamily>,
    ) -> Result<String, prometheus::Error> {
        let mut families = self.registry.gather();
        families.extend(more);
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families)
    }
}
