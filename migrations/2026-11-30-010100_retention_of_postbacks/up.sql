-- A call that belongs to no advertiser is kept for a while, so that its sender can be helped, and then removed.
CREATE INDEX postbacks_unattributed ON postbacks (network_id, received_at)
    WHERE advertiser_id IS NULL AND status = 'rejected';
CREATE POLICY unattributed ON postbacks AS RESTRICTIVE FOR DELETE TO clickledger_ingest
    USING (advertiser_id IS NULL AND status = 'rejected' AND received_at < now() - interval '7 days');
GRANT DELETE ON postbacks TO clickledger_ingest;
