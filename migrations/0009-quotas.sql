-- JSON object of integers: the most that a token may have at a time.
ALTER TABLE tokens ADD COLUMN quotas TEXT NOT NULL DEFAULT '{}';
