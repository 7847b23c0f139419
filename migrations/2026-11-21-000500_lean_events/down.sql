CREATE INDEX ledger_entries_of_conversion ON ledger_entries (network_id, conversion_id);
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_pkey;
ALTER TABLE ledger_entries ADD PRIMARY KEY (network_id, id);
DROP INDEX conversions_not_approved, postbacks_by_reason, postbacks_not_accepted;
CREATE INDEX conversions_by_status ON conversions (network_id, status, id);
CREATE INDEX postbacks_by_status ON postbacks (network_id, status, id);
CREATE INDEX postbacks_by_reason ON postbacks (network_id, reason, id);
ALTER TABLE postbacks
    ADD FOREIGN KEY (network_id) REFERENCES networks (id);
ALTER TABLE ledger_entries
    ADD FOREIGN KEY (network_id) REFERENCES networks (id),
    ADD FOREIGN KEY (network_id, conversion_id) REFERENCES conversions (network_id, id),
    ADD FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    ADD FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id);
ALTER TABLE conversions
    ADD FOREIGN KEY (network_id) REFERENCES networks (id),
    ADD FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    ADD FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    ADD FOREIGN KEY (network_id, goal_id) REFERENCES goals (network_id, id),
    ADD FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    ADD FOREIGN KEY (network_id, link_id) REFERENCES tracking_links (network_id, id);
