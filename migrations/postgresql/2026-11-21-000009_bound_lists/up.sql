-- Lists of a connected account's events, and of those in test mode: beside millions of others they were
-- looked for row by row. An event of one's own live account is in neither index and pays for none.
CREATE INDEX journal_account ON journal (account, seq) WHERE account IS NOT NULL;
CREATE INDEX journal_test_mode ON journal (seq) WHERE NOT livemode;

-- How many events of each type are kept, for `GET /metrics`: kept with every append and every deletion,
-- so that nobody has to count the journal.
CREATE TABLE journal_types (
    event_type TEXT NOT NULL PRIMARY KEY,
    events BIGINT NOT NULL
);
INSERT INTO journal_types (event_type, events)
SELECT event_type, count(*) FROM journal WHERE kind = 'event' GROUP BY event_type;
