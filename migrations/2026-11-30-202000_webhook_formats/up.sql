-- Bodies of webhooks that other systems understand.
ALTER TABLE destinations
    ADD COLUMN format text NOT NULL DEFAULT 'standard' CHECK (format IN ('standard', 'slack', 'telegram')),
    ADD CONSTRAINT destinations_format_of_postback CHECK (kind = 'webhook' OR format = 'standard');
COMMENT ON COLUMN destinations.format IS 'Body of a webhook. standard: the event as JSON. slack: a message for Slack and systems that take its incoming webhooks. telegram: a message of a bot.';
