ALTER TABLE clicks DROP CONSTRAINT clicks_flag_check;
ALTER TABLE clicks ADD CONSTRAINT clicks_flag_check CHECK (flag IN
    ('prefetch', 'bot', 'blocked', 'data_center', 'velocity', 'duplicate')) NOT VALID;
ALTER TABLE campaigns DROP COLUMN daily_clicks, DROP COLUMN devices, DROP COLUMN countries;
