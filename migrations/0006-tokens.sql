-- Tokens of TCP besides that of the daemon's token file. Of the secret only its SHA-256 is kept.
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  digest BLOB NOT NULL UNIQUE,
  scope TEXT NOT NULL CHECK (scope IN ('read', 'run', 'admin')),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER                        -- to within a minute
) STRICT;
