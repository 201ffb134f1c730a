-- The token that made a root; null: the host's administrator, or it was made before this column was.
ALTER TABLE roots ADD COLUMN owner TEXT;
CREATE INDEX roots_of_owner ON roots (owner) WHERE owner IS NOT NULL;
