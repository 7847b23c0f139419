INSERT INTO contradicted_verdicts (network_id, postback_id, answered_reason, answered_conversion_id, decided_reason, found_at)
VALUES (10{n}, '01930000-0000-7000-8000-000000000201', 'accepted', '01930000-0000-7000-8000-000000000101', 'goal_unknown',
    now());
