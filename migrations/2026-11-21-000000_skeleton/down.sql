DROP TABLE conversion_rollups, click_rollups, ledger_entries, conversions, postbacks, clicks, tracking_links, goals,
    campaigns, integrations, sessions, memberships, affiliates, advertisers, people, tracking_hosts, networks, installation;
DROP SEQUENCE configuration_ids;
DROP FUNCTION scatter(bigint);
