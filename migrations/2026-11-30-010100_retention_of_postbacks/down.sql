REVOKE DELETE ON postbacks FROM clickledger_ingest;
DROP POLICY unattributed ON postbacks;
DROP INDEX postbacks_unattributed;
