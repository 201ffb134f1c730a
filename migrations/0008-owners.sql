-- The token that made a sandbox, and so whose it is; null: the host's administrator.
ALTER TABLE sandboxes ADD COLUMN owner TEXT;
CREATE INDEX sandboxes_by_owner ON sandboxes (owner) WHERE owner IS NOT NULL;
ALTER TABLE tokens ADD COLUMN selector TEXT;  -- JSON object of strings: labels of what it sees; null: what it made
-- Whose a deleted sandbox was, for as long as events tell of it.
CREATE TABLE departed (
  id TEXT PRIMARY KEY,
  owner TEXT,
  labels TEXT NOT NULL,                       -- JSON object of strings
  deleted_at INTEGER NOT NULL
) STRICT;
