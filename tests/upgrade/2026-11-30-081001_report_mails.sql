INSERT INTO report_mails (network_id, id, saved_report_id, owner_id, rhythm, on_day, at_hour, format, created_at, next_at)
VALUES (10{n}, 711, 701, 341, 'weekly', 1, 7, 'csv', now(), now() + interval '10 years');
INSERT INTO report_mail_recipients (network_id, report_mail_id, membership_id) VALUES (10{n}, 711, 341);
