DROP TABLE url_templates, integrations, coupons, tracking_links, commission_rules, goal_versions, goals, promoters, caps,
    landing_pages,
    campaigns;
