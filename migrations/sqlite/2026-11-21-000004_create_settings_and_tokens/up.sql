-- Which detector settings are overridden now: a projection of the journal's `settings` entries,
-- written in the transaction that appends them. An empty `source` means all sources.
CREATE TABLE settings_overrides (
    detector TEXT NOT NULL,
    source TEXT NOT NULL,
    seq BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    change TEXT NOT NULL,
    PRIMARY KEY (detector, source)
);

-- API tokens: only the SHA-256 of each is kept.
CREATE TABLE tokens (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT
);
