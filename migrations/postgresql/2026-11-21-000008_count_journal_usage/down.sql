DROP TABLE journal_usage;
