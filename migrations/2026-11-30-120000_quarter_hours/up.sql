-- Sums per quarter of an hour instead of per hour of the network's clock: the offsets of all time zones are multiples of it,
-- so that reports are exact in each of them, and a network can change its time zone. Of months whose clicks retention has
-- dropped, the sums per hour stay; reports read their blocks.
ALTER TABLE click_rollups RENAME COLUMN hour TO quarter_hour;
ALTER TABLE conversion_rollups RENAME COLUMN hour TO quarter_hour;
COMMENT ON TABLE click_rollups IS 'Clicks per quarter of an hour and link, updated in the transaction that stores the clicks.';
COMMENT ON COLUMN click_rollups.quarter_hour IS 'Start of the quarter of an hour.';
COMMENT ON TABLE conversion_rollups IS 'Conversions and their money per quarter of an hour, link, goal, currency and status, updated in the transaction that stores the conversion. A change of status moves sums between rows.';
COMMENT ON COLUMN conversion_rollups.quarter_hour IS 'Start of the quarter of an hour of the conversion.';
COMMENT ON COLUMN conversion_spans.span IS 'Span of the quarters of an hour of the rollups: six hours, counted since 1970.';

-- The owner of the tables reads the rows of all networks here.
ALTER TABLE clicks NO FORCE ROW LEVEL SECURITY;
ALTER TABLE click_rollups NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversion_rollups NO FORCE ROW LEVEL SECURITY;

DELETE FROM click_rollups WHERE quarter_hour >= (
    SELECT min(to_date(relname, '"y"YYYY"m"MM')) AT TIME ZONE 'UTC' FROM pg_class
    WHERE relnamespace = 'clicks_by_month'::regnamespace AND relkind = 'r');
INSERT INTO click_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, clicks, unique_clicks, invalid_clicks)
SELECT network_id, date_bin('15 minutes', clicked_at, 'epoch'), campaign_id, affiliate_id, link_id, count(*),
       count(*) FILTER (WHERE is_unique), count(flag)
FROM clicks GROUP BY 1, 2, 3, 4, 5;

DELETE FROM conversion_rollups;
INSERT INTO conversion_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, goal_id, currency, status,
                                conversions, paid, amount_micros, commission_micros, revenue_micros)
SELECT network_id, date_bin('15 minutes', converted_at, 'epoch'), campaign_id, affiliate_id, link_id, goal_id, currency, status,
       count(*), count(*) FILTER (WHERE status IN ('pending', 'approved') AND unpaid_because IS NULL),
       sum(coalesce(amount_micros, 0)), sum(commission_micros), sum(revenue_micros)
FROM conversions GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;

ALTER TABLE clicks FORCE ROW LEVEL SECURITY;
ALTER TABLE click_rollups FORCE ROW LEVEL SECURITY;
ALTER TABLE conversions FORCE ROW LEVEL SECURITY;
ALTER TABLE conversion_rollups FORCE ROW LEVEL SECURITY;
