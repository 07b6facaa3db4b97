-- Bodies that were compressed stay compressed, and nothing says so any more: the release before cannot
-- read them. Only for a journal that is to be thrown away.
ALTER TABLE journal DROP COLUMN codec;
