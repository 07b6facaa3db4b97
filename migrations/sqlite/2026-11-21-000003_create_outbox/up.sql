-- One row for each channel that is to be told of one change of one alert. A lease pushes
-- `due_at_ms` into the future, so that a process that dies holding one gives it back by itself.
CREATE TABLE deliveries (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    due_at_ms BIGINT NOT NULL,
    settled_at_ms BIGINT
);
CREATE UNIQUE INDEX deliveries_key ON deliveries (alert_id, channel, revision);
CREATE INDEX deliveries_due ON deliveries (channel, due_at_ms) WHERE settled_at_ms IS NULL;

-- Every attempt to send one, and what came of it.
CREATE TABLE delivery_attempts (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    delivery_id BIGINT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    status_code BIGINT,
    detail TEXT NOT NULL
);
CREATE INDEX delivery_attempts_delivery_id ON delivery_attempts (delivery_id);

-- Channels that were switched off, and why (a receiver that answered 410 Gone).
CREATE TABLE channels (
    name TEXT NOT NULL PRIMARY KEY,
    disabled_at_ms BIGINT,
    disabled_reason TEXT
);
