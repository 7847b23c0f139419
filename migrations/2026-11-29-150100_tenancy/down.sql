DROP FUNCTION erase_network();
DROP FUNCTION export_network();
DROP FUNCTION network_tables();
DROP TABLE operator_log, audit_log, idempotency_keys, api_keys, invitations, sessions, memberships, mailed_links,
    recovery_codes, people, applications, affiliates, affiliate_groups, advertisers, tracking_hosts, network_slugs,
    networks;
