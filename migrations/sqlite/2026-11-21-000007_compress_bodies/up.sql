-- How `body` is stored: 0 as it was received, 1 as a zstd frame (see `journal/codec.rs`). What is there
-- stays as it is: only the default is written, into no row.
ALTER TABLE journal ADD COLUMN codec SMALLINT NOT NULL DEFAULT 0;
