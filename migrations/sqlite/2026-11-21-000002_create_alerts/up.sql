-- One row an incident. `alert` is the whole of it as JSON; the columns repeat what lists filter by.
-- The marks people leave (acknowledged, verdict) live beside it, for the engine never sees them.
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    detector TEXT NOT NULL,
    source TEXT NOT NULL,
    account TEXT,
    livemode BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    severity BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    fired_at_ms BIGINT NOT NULL,
    last_seen_at_ms BIGINT NOT NULL,
    resolved_at_ms BIGINT,
    alert TEXT NOT NULL,
    acknowledged_at_ms BIGINT,
    acknowledged_by TEXT,
    acknowledged_note TEXT,
    verdict TEXT,
    verdict_at_ms BIGINT,
    verdict_by TEXT,
    verdict_note TEXT
);
CREATE INDEX alerts_fired_at ON alerts (fired_at_ms, id);
CREATE INDEX alerts_open ON alerts (fired_at_ms, id) WHERE resolved_at_ms IS NULL;
CREATE INDEX alerts_detector ON alerts (detector, fired_at_ms, id);

-- Every id an alert is about.
CREATE TABLE alert_subjects (
    subject TEXT NOT NULL,
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    PRIMARY KEY (subject, alert_id)
);
CREATE INDEX alert_subjects_alert_id ON alert_subjects (alert_id);

-- What happened to an alert: the engine's changes (with a revision, each recorded once) and
-- people's marks (without).
CREATE TABLE alert_history (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    alert_id TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    revision BIGINT,
    status TEXT,
    alert TEXT,
    actor TEXT,
    note TEXT,
    verdict TEXT
);
CREATE UNIQUE INDEX alert_history_revision ON alert_history (alert_id, revision);

-- What looked wrong and was recognised as harmless: the newest hundred thousand.
CREATE TABLE suppressed (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at_ms BIGINT NOT NULL,
    detector TEXT NOT NULL,
    source TEXT NOT NULL,
    account TEXT,
    livemode BOOLEAN NOT NULL,
    reason TEXT NOT NULL,
    subject TEXT,
    message TEXT NOT NULL
);
CREATE INDEX suppressed_detector ON suppressed (detector, id);
CREATE INDEX suppressed_subject ON suppressed (subject, id) WHERE subject IS NOT NULL;
