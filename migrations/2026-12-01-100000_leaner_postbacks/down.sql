CREATE INDEX postbacks_of_click ON postbacks (network_id, click_id) WHERE click_id IS NOT NULL;
DROP INDEX conversion_changes_of_click;
DROP INDEX postbacks_of_click_beside_made;
CREATE INDEX conversions_of_order_by_goal ON conversions (network_id, goal_id, order_id)
    WHERE order_id IS NOT NULL AND order_id <> unique_key;
CREATE INDEX conversions_of_order ON conversions (network_id, order_id) WHERE order_id IS NOT NULL;
DROP INDEX conversions_of_order_beside_key;
ALTER TABLE conversions ADD UNIQUE (network_id, goal_id, unique_key);
ALTER TABLE conversions DROP CONSTRAINT conversions_network_id_unique_key_goal_id_key;
UPDATE postbacks SET incomplete = 'redacted' WHERE incomplete = 'removed';
ALTER TABLE postbacks DROP CONSTRAINT postbacks_incomplete_check;
ALTER TABLE postbacks ADD CONSTRAINT postbacks_incomplete_check CHECK (incomplete IN ('truncated', 'redacted'));
