-- Bodies of calls that other systems understand.
ALTER TABLE destinations
    ADD COLUMN format text NOT NULL DEFAULT 'standard' CHECK (format IN ('standard', 'slack', 'telegram', 'meta', 'tiktok', 'openai')),
    ADD CONSTRAINT destinations_format_of_kind CHECK (format = 'standard' OR (kind = 'webhook') = (format IN ('slack', 'telegram')));
COMMENT ON COLUMN destinations.format IS 'Body of the calls. standard: the parameters of a tracker, or the event as JSON. slack, telegram: a message, of a webhook. meta, tiktok, openai: a conversion for an advertising platform, of an affiliate.';
