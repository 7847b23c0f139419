-- The roles stay: they belong to the cluster, and another database may use them.
REVOKE ALL ON __diesel_schema_migrations FROM clickledger_web;
DROP TABLE installation;
DROP PROCEDURE admit_applier(text[]);
DROP PROCEDURE enclose(text[]);
DROP FUNCTION operating();
DROP FUNCTION current_person();
DROP FUNCTION current_network();
DROP SEQUENCE configuration_ids;
DROP FUNCTION scatter(bigint);
