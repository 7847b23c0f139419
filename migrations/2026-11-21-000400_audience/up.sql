-- Whom a campaign wants: clicks of others, and those beyond its day's number, are sent on and counted as what they are.

ALTER TABLE campaigns
    ADD COLUMN countries text[] NOT NULL DEFAULT '{}',
    ADD COLUMN devices text[] NOT NULL DEFAULT '{}'
        CHECK (devices <@ ARRAY['desktop', 'mobile', 'tablet', 'tv', 'other']),
    ADD COLUMN daily_clicks integer CHECK (daily_clicks > 0);
COMMENT ON COLUMN campaigns.countries IS 'ISO 3166-1 codes of where its visitors should come from; none means anywhere.';
COMMENT ON COLUMN campaigns.devices IS 'What its visitors should use; none means anything.';
COMMENT ON COLUMN campaigns.daily_clicks IS 'How many valid clicks it wants in a day on the network''s clock; NULL for as many as come.';

-- Every month has the constraint as its own, too, because it was made before it became a part.
ALTER TABLE clicks DROP CONSTRAINT clicks_flag_check;
DO $$
DECLARE
    month regclass;
BEGIN
    FOR month IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'clicks'::regclass LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS clicks_flag_check', month);
    END LOOP;
END
$$;
ALTER TABLE clicks ADD CONSTRAINT clicks_flag_check CHECK (flag IN
    ('prefetch', 'bot', 'blocked', 'data_center', 'not_targeted', 'velocity', 'duplicate', 'cap_reached'));
