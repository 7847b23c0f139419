INSERT INTO installation (secret_fingerprint) VALUES ('\x00') ON CONFLICT DO NOTHING;
