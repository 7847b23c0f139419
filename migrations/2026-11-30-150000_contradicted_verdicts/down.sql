DROP TABLE contradicted_verdicts;
DELETE FROM ingest_cursors WHERE stream = 'verdicts';
ALTER TABLE ingest_cursors DROP CONSTRAINT ingest_cursors_stream_check;
ALTER TABLE ingest_cursors ADD CONSTRAINT ingest_cursors_stream_check CHECK (stream IN ('clicks', 'postbacks'));
