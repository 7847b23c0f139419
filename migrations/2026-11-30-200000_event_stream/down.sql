DROP TABLE event_consumers;
DROP TABLE event_streams;
DROP INDEX conversion_events_stream;
ALTER TABLE conversion_events DROP COLUMN position, DROP COLUMN queued_at;
ALTER TABLE conversion_events ADD COLUMN stored_in bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX conversion_events_order ON conversion_events (network_id, stored_in);
COMMENT ON TABLE conversion_events IS 'Events of conversions of networks with destinations, stored by the transaction that changes the conversion.';
COMMENT ON COLUMN conversion_events.stored_in IS 'Identifier of the transaction that stored it, which orders the events.';
