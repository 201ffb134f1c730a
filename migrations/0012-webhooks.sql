-- Where events are sent. The secret signs them, so it is kept as it is.
CREATE TABLE webhooks (
  id TEXT PRIMARY KEY,
  url TEXT NOT NULL,
  secret BLOB NOT NULL,
  types TEXT NOT NULL,                        -- JSON array of types or prefixes; empty: all
  sandbox TEXT,                               -- id; null: all. It may be gone
  max_attempts INTEGER NOT NULL,
  timeout_seconds INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  cursor INTEGER NOT NULL,                    -- the last event that is over and done with
  delivered INTEGER NOT NULL,
  dead_letters INTEGER NOT NULL,
  gaps INTEGER NOT NULL,
  last_delivered_at INTEGER,
  last_failure TEXT
) STRICT;
