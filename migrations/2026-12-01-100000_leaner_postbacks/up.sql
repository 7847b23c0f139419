-- A stored postback takes less: fewer entries in indexes, and its request may be removed after a time.

COMMENT ON COLUMN postbacks.trace IS 'Steps that led to the verdict, in order: JSON, an array of [check, result, text]; compressed, as crates/postbacks/src/trace.rs explains, unless it begins with a bracket.';

-- Most goals deduplicate by order, so that the key of most conversions is their order ID. The key with the order first finds
-- those without naming a goal, and an index has only the others.
ALTER TABLE conversions ADD UNIQUE (network_id, unique_key, goal_id);
ALTER TABLE conversions DROP CONSTRAINT conversions_network_id_goal_id_unique_key_key;
CREATE INDEX conversions_of_order_beside_key ON conversions (network_id, order_id) WHERE order_id <> unique_key;
DROP INDEX conversions_of_order;
DROP INDEX conversions_of_order_by_goal;

-- A postback that made a conversion is found through it: by its click, or by the click that it had before it was moved.
CREATE INDEX postbacks_of_click_beside_made ON postbacks (network_id, click_id)
    WHERE click_id IS NOT NULL AND reason <> 'accepted';
CREATE INDEX conversion_changes_of_click ON conversion_changes (network_id, click_id)
    WHERE click_id IS NOT NULL AND source = 'report';
DROP INDEX postbacks_of_click;

ALTER TABLE postbacks DROP CONSTRAINT postbacks_incomplete_check;
ALTER TABLE postbacks ADD CONSTRAINT postbacks_incomplete_check CHECK (incomplete IN ('truncated', 'redacted', 'removed'));
COMMENT ON COLUMN postbacks.incomplete IS 'Reason why the stored request is not complete, so that it cannot be replayed. truncated: only the beginning of the body is stored, because the sender was not authenticated. redacted: a field that decisions depend on is redacted. removed: retention removed it. NULL: it is complete.';
