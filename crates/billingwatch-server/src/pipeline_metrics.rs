//! The pipeline's numbers in Prometheus's terms: read when scraped, kept by the pipeline.

use billingwatch_core::time::Timestamp;
use billingwatch_pipeline::PipelineStatus;
use billingwatch_pipeline::spool::SpoolStatus;
use billingwatch_pipeline::status::HistogramReading;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// Everything the pipeline says of itself, as of `now`.
pub(crate) fn families(status: &PipelineStatus, now: Timestamp) -> Vec<MetricFamily> {
    let mut families = vec![
        counter(
            "billingwatch_journal_entries_total",
            "Entries offered to the journal since start, by outcome.",
            [
                ("appended", status.received),
                ("duplicate", status.duplicates),
                ("refused_full", status.refused),
                ("store_failed", status.failed),
            ]
            .map(|(outcome, n)| (vec![("outcome", outcome)], n)),
        ),
        gauge(
            "billingwatch_ingest_queue_entries",
            "Entries waiting for their durable commit.",
            status.queue_len as f64,
        ),
        histogram(
            "billingwatch_journal_commit_duration_seconds",
            "Journal transactions; one commits many entries.",
            [(vec![], &status.ingest_commit_time)],
        ),
        gauge(
            "billingwatch_journal_last_seq",
            "The last sequence number known to be in the journal.",
            status.last_seq as f64,
        ),
        gauge(
            "billingwatch_journal_lag_rows",
            "Journal rows the detectors have still to see.",
            status.lag_rows as f64,
        ),
        gauge(
            "billingwatch_journal_lag_seconds",
            "How far engine time is behind the clock while rows wait; 0 when none do.",
            status.lag_secs as f64,
        ),
        gauge(
            "billingwatch_engine_time_seconds",
            "Engine time as committed, Unix seconds.",
            unix_secs(status.engine_now),
        ),
        gauge(
            "billingwatch_engine_caught_up",
            "1 when the engine is there, 0 while it is being rebuilt.",
            f64::from(u8::from(status.is_caught_up)),
        ),
        gauge(
            "billingwatch_engine_is_leader",
            "1 where this process runs the detectors, 0 where another on the same database does.",
            f64::from(u8::from(status.is_leader)),
        ),
        counter(
            "billingwatch_engine_rows_total",
            "Journal rows applied since start, by what they were to the engine.",
            [
                ("applied", status.rows),
                ("duplicate_change", status.duplicate_changes),
                ("unreadable", status.unreadable),
                ("rejected", status.rejected),
            ]
            .map(|(outcome, n)| (vec![("outcome", outcome)], n)),
        ),
        counter(
            "billingwatch_engine_rebuilds_total",
            "Times the engine was rebuilt from snapshot and journal since start.",
            [(vec![], status.rebuilds)],
        ),
        counter(
            "billingwatch_engine_snapshots_total",
            "Engine snapshots kept since start.",
            [(vec![], status.snapshots)],
        ),
        histogram(
            "billingwatch_engine_batch_duration_seconds",
            "How long a batch takes to parse and apply.",
            [(vec![], &status.engine_time)],
        ),
        histogram(
            "billingwatch_engine_commit_duration_seconds",
            "How long the transaction of a batch takes: alerts, outbox and cursor.",
            [(vec![], &status.pump_commit_time)],
        ),
        counter(
            "billingwatch_suppressed_findings_total",
            "Findings recognised as harmless since start.",
            [(vec![], status.suppressed)],
        ),
    ];
    families.extend(alerts(status));
    families.extend(deliveries(status));
    families.extend(loops(status));
    families.extend(watch(status));
    families.push(counter(
        "billingwatch_retention_deleted_total",
        "What was deleted for its age or size since start.",
        [
            (vec![("kind", "event")], status.deleted_events),
            (vec![("kind", "alert")], status.deleted_alerts),
        ],
    ));
    families.extend(spool(&status.spool.unwrap_or_default()));
    if let Some(at) = status.last_event_at {
        families.push(gauge(
            "billingwatch_last_event_timestamp_seconds",
            "When the newest event arrived, Unix seconds.",
            unix_secs(at),
        ));
        families.push(gauge(
            "billingwatch_last_event_age_seconds",
            "How long ago the newest event arrived.",
            now.since(at).as_millis() as f64 / 1000.0,
        ));
    }
    families
}

fn alerts(status: &PipelineStatus) -> [MetricFamily; 1] {
    [counter(
        "billingwatch_alert_changes_total",
        "Alerts that fired, escalated or resolved since start.",
        status.changes.iter().map(|(kind, n)| {
            let labels = vec![
                ("detector", kind.detector.as_str()),
                ("severity", kind.severity.as_str()),
                ("status", kind.status),
            ];
            (labels, *n)
        }),
    )]
}

fn deliveries(status: &PipelineStatus) -> [MetricFamily; 2] {
    let attempts = status.channels.iter().flat_map(|channel| {
        [
            ("delivered", channel.delivered),
            ("retried", channel.retried),
            ("gave_up", channel.gave_up),
        ]
        .map(|(outcome, n)| {
            (
                vec![("channel", channel.name.as_str()), ("outcome", outcome)],
                n,
            )
        })
    });
    let times = status
        .channels
        .iter()
        .map(|channel| (vec![("channel", channel.name.as_str())], &channel.send_time));
    [
        counter(
            "billingwatch_deliveries_total",
            "Attempts to tell a channel about an alert, since start.",
            attempts,
        ),
        histogram(
            "billingwatch_delivery_duration_seconds",
            "How long an attempt takes.",
            times,
        ),
    ]
}

fn spool(spool: &SpoolStatus) -> [MetricFamily; 5] {
    [
        gauge(
            "billingwatch_spool_entries",
            "Events that wait in the local spool for the database.",
            spool.usage.entries as f64,
        ),
        gauge(
            "billingwatch_spool_size_bytes",
            "What the events in the spool take.",
            spool.usage.size_bytes as f64,
        ),
        gauge(
            "billingwatch_spool_oldest_age_seconds",
            "How long the first event in the spool has waited; 0 when none does.",
            spool.oldest_age_secs.unwrap_or(0) as f64,
        ),
        gauge(
            "billingwatch_spool_set_aside",
            "Events in the spool that the journal refuses.",
            spool.usage.set_aside as f64,
        ),
        counter(
            "billingwatch_spool_events_total",
            "Events that went into the spool, and from there into the journal, since start.",
            [("spooled", spool.spooled), ("drained", spool.drained)]
                .map(|(outcome, n)| (vec![("outcome", outcome)], n)),
        ),
    ]
}

fn loops(status: &PipelineStatus) -> [MetricFamily; 2] {
    let running = status.loops.iter().map(|one| {
        let value = f64::from(u8::from(one.is_running && one.last_error.is_none()));
        (vec![("loop", one.name.as_str())], value)
    });
    let restarts = status
        .loops
        .iter()
        .map(|one| (vec![("loop", one.name.as_str())], one.restarts));
    [
        gauges(
            "billingwatch_loop_healthy",
            "1 while a loop runs and its last step succeeded.",
            running,
        ),
        counter(
            "billingwatch_loop_restarts_total",
            "Times a loop was started again after a panic.",
            restarts,
        ),
    ]
}

/// The watch watching itself.
fn watch(status: &PipelineStatus) -> [MetricFamily; 4] {
    let canary = &status.canary;
    let (sent, failed, withheld) = status.heartbeat.unwrap_or_default();
    [
        counter(
            "billingwatch_canaries_total",
            "Entries of our own sent through the whole path since start, by outcome.",
            [("passed", canary.passed), ("failed", canary.failed)]
                .map(|(outcome, n)| (vec![("outcome", outcome)], n)),
        ),
        histogram(
            "billingwatch_canary_latency_seconds",
            "How long a canary takes from the queue to the detectors' commit.",
            [(vec![], &canary.latency)],
        ),
        gauge(
            "billingwatch_canary_last_passed_timestamp_seconds",
            "When a canary last came through, Unix seconds; 0 before the first.",
            canary.last_passed_at.map_or(0.0, unix_secs),
        ),
        counter(
            "billingwatch_heartbeats_total",
            "Beats of the outgoing heartbeat since start, by outcome.",
            [("sent", sent), ("failed", failed), ("withheld", withheld)]
                .map(|(outcome, n)| (vec![("outcome", outcome)], n)),
        ),
    ]
}

/// A gauge with one value.
pub(crate) fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    gauges(name, help, [(vec![], value)])
}

/// A gauge with labels.
pub(crate) fn gauges<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, f64)>,
) -> MetricFamily {
    let values = values.into_iter().map(|(labels, value)| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = labelled(labels);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, values)
}

fn counter<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, u64)>,
) -> MetricFamily {
    let values = values.into_iter().map(|(labels, value)| {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = labelled(labels);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, values)
}

fn histogram<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, &'a HistogramReading)>,
) -> MetricFamily {
    let values = values.into_iter().map(|(labels, reading)| {
        let buckets = reading.at_most.iter().map(|(micros, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*micros as f64 / 1e6);
            bucket.set_cumulative_count(*count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(reading.count);
        histogram.set_sample_sum(reading.sum_micros as f64 / 1e6);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        metric
    });
    family(name, help, MetricType::HISTOGRAM, values)
}

fn family(
    name: &str,
    help: &str,
    kind: MetricType,
    metrics: impl Iterator<Item = Metric>,
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics.collect());
    family
}

fn labelled(labels: Vec<(&str, &str)>) -> Metric {
    let labels = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    Metric::from_label(labels.collect())
}

fn unix_secs(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1000.0
}
