-- Two more advertising platforms.
ALTER TABLE destinations
    DROP CONSTRAINT destinations_format_check,
    ADD CONSTRAINT destinations_format_check CHECK (format IN ('standard', 'slack', 'telegram', 'meta', 'tiktok', 'openai', 'microsoft', 'google'));
COMMENT ON COLUMN destinations.format IS 'Body of the calls. standard: the parameters of a tracker, or the event as JSON. slack, telegram: a message, of a webhook. meta, tiktok, openai, microsoft, google: a conversion for an advertising platform, of an affiliate.';
