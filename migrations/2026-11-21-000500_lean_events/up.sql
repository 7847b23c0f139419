-- What each event costs, cut to what it is good for.
--
-- Events no longer have foreign keys: each cost a look-up per row, which was most of what a postback cost, and the plan
-- of such a look-up is kept from when the table was small. The applier takes every id from the configuration itself,
-- nothing of that is ever deleted but with the whole network, and `clickledger verify` proves that each id exists.

ALTER TABLE conversions
    DROP CONSTRAINT conversions_network_id_fkey,
    DROP CONSTRAINT conversions_network_id_advertiser_id_fkey,
    DROP CONSTRAINT conversions_network_id_campaign_id_fkey,
    DROP CONSTRAINT conversions_network_id_goal_id_fkey,
    DROP CONSTRAINT conversions_network_id_affiliate_id_fkey,
    DROP CONSTRAINT conversions_network_id_link_id_fkey;
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_network_id_fkey,
    DROP CONSTRAINT ledger_entries_network_id_conversion_id_fkey,
    DROP CONSTRAINT ledger_entries_network_id_advertiser_id_fkey,
    DROP CONSTRAINT ledger_entries_network_id_affiliate_id_fkey;
ALTER TABLE postbacks
    DROP CONSTRAINT postbacks_network_id_fkey;

-- Most postbacks are accepted and most conversions approved: whoever lists those goes along the key, which grows with
-- time. Only the others are found by an index, so that most events do not have to be entered there.
DROP INDEX postbacks_by_reason, postbacks_by_status, conversions_by_status;
CREATE INDEX postbacks_not_accepted ON postbacks (network_id, status, id) WHERE status <> 'accepted';
CREATE INDEX postbacks_by_reason ON postbacks (network_id, reason, id) WHERE status <> 'accepted';
CREATE INDEX conversions_not_approved ON conversions (network_id, status, id) WHERE status <> 'approved';

-- One index instead of two: entries are only ever looked for by their conversion.
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_pkey;
ALTER TABLE ledger_entries ADD PRIMARY KEY (network_id, conversion_id, id);
DROP INDEX ledger_entries_of_conversion;
