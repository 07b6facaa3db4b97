DROP TABLE journal_types;
DROP INDEX journal_test_mode;
DROP INDEX journal_account;
