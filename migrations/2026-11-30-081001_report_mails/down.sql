DROP TABLE report_mail_recipients, report_mails;
