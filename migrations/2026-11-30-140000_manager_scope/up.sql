-- Managers see all affiliates, as before, unless the network restricts each to the affiliates they manage.
ALTER TABLE networks ADD COLUMN managers_see_all boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN networks.managers_see_all IS 'True if managers see the events and money of all affiliates, otherwise of the affiliates they manage.';
