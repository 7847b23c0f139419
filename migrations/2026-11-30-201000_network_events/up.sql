-- Events of a network that are about no conversion, for its webhooks and its event stream.
CREATE TABLE network_events (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('affiliate.applied', 'integration.failing', 'integration.recovered')),
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    is_queued boolean NOT NULL DEFAULT false,
    position bigint,
    queued_at timestamptz,
    PRIMARY KEY (network_id, id)
);
CREATE INDEX network_events_new ON network_events (network_id, at) WHERE NOT is_queued;
CREATE UNIQUE INDEX network_events_stream ON network_events (network_id, position) WHERE position IS NOT NULL;
COMMENT ON TABLE network_events IS 'Events of networks that are about no conversion, stored by the transaction that causes them if the network has destinations or event consumers.';
COMMENT ON COLUMN network_events.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN network_events.id IS 'Id of the event (evt_…); sorts by time.';
COMMENT ON COLUMN network_events.kind IS 'affiliate.applied: an application arrived. integration.failing: an alert about an advertiser opened. integration.recovered: it is over.';
COMMENT ON COLUMN network_events.at IS 'Time of the event.';
COMMENT ON COLUMN network_events.data IS 'Content of the event, as webhooks carry it.';
COMMENT ON COLUMN network_events.is_queued IS 'True once its deliveries are queued.';
COMMENT ON COLUMN network_events.position IS 'Position in the stream of the network; NULL before its deliveries are queued.';
COMMENT ON COLUMN network_events.queued_at IS 'Time at which it got its position; NULL without one.';
CALL enclose('network_events');
CALL admit_applier('network_events');
GRANT SELECT, INSERT, DELETE ON network_events TO clickledger_web;
GRANT SELECT, UPDATE ON network_events TO clickledger_ingest;

ALTER TABLE destinations DROP CONSTRAINT destinations_events_check;
ALTER TABLE destinations
    ADD CONSTRAINT destinations_events_check CHECK (events ~ '^(created|approved|rejected|reversed|reopened|adjusted|affiliate\.applied|integration\.failing|integration\.recovered)(,(created|approved|rejected|reversed|reopened|adjusted|affiliate\.applied|integration\.failing|integration\.recovered))*$'),
    ADD CONSTRAINT destinations_events_of_postback CHECK (kind = 'webhook' OR strpos(events, '.') = 0);

ALTER TABLE deliveries ALTER COLUMN conversion_id DROP NOT NULL;
ALTER TABLE deliveries
    ADD COLUMN event_id uuid,
    ADD CONSTRAINT deliveries_event CHECK ((conversion_id IS NULL) <> (event_id IS NULL));
CREATE UNIQUE INDEX deliveries_of_event ON deliveries (network_id, destination_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX deliveries_of_event_due ON deliveries (network_id, destination_id, next_at)
    WHERE state = 'waiting' AND event_id IS NOT NULL;
COMMENT ON COLUMN deliveries.conversion_id IS 'Conversion of the event; NULL for an event of the network.';
COMMENT ON COLUMN deliveries.version IS 'Version of the conversion after the event; with the conversion, the event. 0 for an event of the network.';
COMMENT ON COLUMN deliveries.event_id IS 'Event of the network; NULL for an event of a conversion.';
