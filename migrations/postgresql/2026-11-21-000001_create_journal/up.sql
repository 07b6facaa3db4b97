-- All inputs in arrival order. `journal_head` is one row that every appender updates first and
-- holds to its commit: so sequence numbers are handed out in commit order, without gaps, and a
-- reader that has read up to one can never later find a lower one.
CREATE TABLE journal_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last_seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
);
INSERT INTO journal_head (id, last_seq, at_ms) VALUES (1, 0, 0);

-- `body` is the input byte for byte as it came; the other columns are keys to find it by.
CREATE TABLE journal (
    seq BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT,
    event_type TEXT NOT NULL,
    object_id TEXT,
    customer_id TEXT,
    created_at BIGINT,
    received_at_ms BIGINT NOT NULL,
    account TEXT,
    livemode BOOLEAN NOT NULL,
    api_version TEXT,
    is_historical BOOLEAN NOT NULL,
    body BYTEA NOT NULL
);

-- Each index slows ingest down: these are all. Only events have an `event_id`.
CREATE UNIQUE INDEX journal_event_id ON journal (event_id, source) WHERE event_id IS NOT NULL;
CREATE INDEX journal_object_id ON journal (object_id, seq) WHERE object_id IS NOT NULL;
CREATE INDEX journal_customer_id ON journal (customer_id, seq) WHERE customer_id IS NOT NULL;
-- `kind` is in both of these, rather than in a WHERE of theirs, so that counts of events are
-- answered from the index alone: SQLite fetches the row to check a partial index's condition.
CREATE INDEX journal_event_type ON journal (kind, event_type, seq);
CREATE INDEX journal_received_at ON journal (received_at_ms, kind, event_type);

-- How far each consumer has read; committed together with what came of it.
CREATE TABLE cursors (
    name TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
);

-- A consumer's state as of a cursor, so that a restart need not read the journal from the start.
CREATE TABLE snapshots (
    name TEXT NOT NULL,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (name, seq, at_ms)
);
