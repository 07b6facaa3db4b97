DROP TABLE snapshots;
DROP TABLE cursors;
DROP TABLE journal;
DROP TABLE journal_head;
