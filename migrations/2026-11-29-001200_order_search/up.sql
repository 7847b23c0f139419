-- Rejected, held and repeated postbacks are found by the order id that was sent. Accepted ones, which are most, are in no
-- such index: their conversion has one.

CREATE INDEX postbacks_of_order ON postbacks (network_id, order_id, id)
    WHERE status <> 'accepted' AND order_id IS NOT NULL;
