-- What people muted: a projection of the journal's `mute` and `lift` entries, written in the
-- transaction that appends them. `mute` is the whole of it as JSON. A mute said again under its id
-- replaces the row, with the newer entry's `seq`.
CREATE TABLE mutes (
    id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL UNIQUE,
    alert_id TEXT NOT NULL,
    detector TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    lifted_at_ms BIGINT,
    lifted_by TEXT,
    mute TEXT NOT NULL
);
CREATE INDEX mutes_alert_id ON mutes (alert_id);
