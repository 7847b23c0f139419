DELETE FROM deliveries WHERE event_id IS NOT NULL;
DROP INDEX deliveries_of_event_due;
DROP INDEX deliveries_of_event;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_event, DROP COLUMN event_id;
ALTER TABLE deliveries ALTER COLUMN conversion_id SET NOT NULL;
COMMENT ON COLUMN deliveries.conversion_id IS 'Conversion of the event.';
COMMENT ON COLUMN deliveries.version IS 'Version of the conversion after the event; with the conversion, the event.';
ALTER TABLE destinations DROP CONSTRAINT destinations_events_of_postback, DROP CONSTRAINT destinations_events_check;
DELETE FROM destinations WHERE strpos(events, '.') > 0;
ALTER TABLE destinations
    ADD CONSTRAINT destinations_events_check CHECK (events ~ '^(created|approved|rejected|reversed|reopened|adjusted)(,(created|approved|rejected|reversed|reopened|adjusted))*$');
DROP TABLE network_events;
