-- Stream of events for programs that fetch them: each event has a position, counted per network. The engine gives it after the
-- event is committed, one node at a time, so that no event gets a position behind one that was read already. Before, the
-- order was that of transactions, in which a later version of a conversion could come first.
ALTER TABLE conversion_events DROP COLUMN stored_in;
ALTER TABLE conversion_events
    ADD COLUMN position bigint,
    ADD COLUMN queued_at timestamptz;
CREATE UNIQUE INDEX conversion_events_stream ON conversion_events (network_id, position) WHERE position IS NOT NULL;
COMMENT ON TABLE conversion_events IS 'Events of conversions of networks with destinations or event consumers, stored by the transaction that changes the conversion.';
COMMENT ON COLUMN conversion_events.position IS 'Position in the stream of the network, from 1, without gaps; NULL before its deliveries are queued, and for an event that was restored for a back-fill.';
COMMENT ON COLUMN conversion_events.queued_at IS 'Time at which it got its position; NULL without one.';

CREATE TABLE event_streams (
    network_id integer NOT NULL REFERENCES networks (id),
    position bigint NOT NULL,
    removed bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (network_id),
    CONSTRAINT event_streams_removed CHECK (removed BETWEEN 0 AND position)
);
COMMENT ON TABLE event_streams IS 'Extent of the stream of events of each network.';
COMMENT ON COLUMN event_streams.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN event_streams.position IS 'Position of the latest event.';
COMMENT ON COLUMN event_streams.removed IS 'Highest position whose event was removed because of its age; 0 if none was.';

CREATE TABLE event_consumers (
    network_id integer NOT NULL REFERENCES networks (id),
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    position bigint NOT NULL CHECK (position >= 0),
    created_at timestamptz NOT NULL,
    acknowledged_at timestamptz,
    PRIMARY KEY (network_id, name)
);
COMMENT ON TABLE event_consumers IS 'Programs that fetch the stream of events of a network, each with its place in it.';
COMMENT ON COLUMN event_consumers.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN event_consumers.name IS 'Name that the program chose.';
COMMENT ON COLUMN event_consumers.position IS 'Position up to which events are acknowledged.';
COMMENT ON COLUMN event_consumers.created_at IS 'Time of creation.';
COMMENT ON COLUMN event_consumers.acknowledged_at IS 'Time of the last acknowledgement; NULL before the first.';

CALL enclose('event_streams', 'event_consumers');
CALL admit_applier('event_streams', 'event_consumers');
GRANT SELECT, UPDATE (removed) ON event_streams TO clickledger_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON event_consumers TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON event_streams TO clickledger_ingest;
GRANT SELECT ON event_consumers TO clickledger_ingest;
