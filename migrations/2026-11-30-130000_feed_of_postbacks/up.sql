-- Verdicts in the order in which they become visible: the identifier of the transaction that stored the latest one. A
-- reader that stops below the oldest running transaction misses none and repeats none. Transactions of a batch share
-- their entries in the index, so that it stays small.
ALTER TABLE postbacks ADD COLUMN decided_in bigint NOT NULL DEFAULT 0;
ALTER TABLE postbacks ALTER COLUMN decided_in SET DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN postbacks.decided_in IS 'Identifier of the transaction that stored the latest verdict, for the feed of verdicts; 0 if it is older than the feed.';
CREATE INDEX postbacks_feed ON postbacks (network_id, decided_in);
