-- Advertisers see affiliates by ID, unless the network names them. Networks from before go on naming them.
ALTER TABLE networks ADD COLUMN names_affiliates boolean NOT NULL DEFAULT true;
ALTER TABLE networks ALTER COLUMN names_affiliates SET DEFAULT false;
COMMENT ON COLUMN networks.names_affiliates IS 'True if advertisers see the names of affiliates, otherwise their IDs.';
