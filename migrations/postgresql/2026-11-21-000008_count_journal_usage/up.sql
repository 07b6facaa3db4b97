-- What each source's events take, kept with every append, so that nobody has to add up the journal:
-- bodies as stored and 450 bytes for the rest of each row (see `retention.rs` of the store).
-- `passed_seq` is the last row that retention has looked at for the source.
CREATE TABLE journal_usage (
    source TEXT NOT NULL PRIMARY KEY,
    events BIGINT NOT NULL,
    size_bytes BIGINT NOT NULL,
    passed_seq BIGINT NOT NULL
);
INSERT INTO journal_usage (source, events, size_bytes, passed_seq)
SELECT source, count(*), CAST(sum(length(body)) AS BIGINT) + 450 * count(*), 0
FROM journal WHERE kind = 'event' GROUP BY source;
