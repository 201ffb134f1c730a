-- Times are milliseconds since 1970, JSON columns hold the wire form of the API.

CREATE TABLE roots (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL,                       -- JSON
  state TEXT NOT NULL CHECK (state IN ('provisioning', 'ready', 'failed', 'deleting')),
  message TEXT,
  size_bytes INTEGER,
  file_count INTEGER,
  created_at INTEGER NOT NULL,
  ready_at INTEGER
) STRICT;

CREATE TABLE sandboxes (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  root_id TEXT REFERENCES roots (id),         -- null where the mount namespace is the host's
  definition TEXT NOT NULL,                   -- JSON, defaults filled in
  labels TEXT NOT NULL,                       -- JSON object of strings
  generation INTEGER NOT NULL,                -- counts changes of the definition; the ETag
  state TEXT NOT NULL,
  reason TEXT,
  message TEXT,
  since INTEGER NOT NULL,
  exit TEXT,                                  -- JSON: reason, code, signal, times; of the last run
  instance TEXT,                              -- JSON: what the supervisor reported; null unless one may be alive
  boot_id TEXT,                               -- of the boot in which `instance` was written
  receipt TEXT,                               -- JSON: the last teardown receipt
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  stop_by INTEGER                             -- when the grace of an order to stop is over; null unless there is one
) STRICT;
CREATE INDEX sandboxes_by_root ON sandboxes (root_id);

CREATE TABLE events (
  id INTEGER PRIMARY KEY,                     -- counts up; the newest is never deleted, so none is given out twice
  time INTEGER NOT NULL,
  type TEXT NOT NULL,                         -- such as sandbox.running, root.ready
  subject TEXT NOT NULL,                      -- id of the sandbox or root
  data TEXT NOT NULL                          -- JSON
) STRICT;

CREATE TABLE operations (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,                         -- such as root.provision
  subject TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
  phase TEXT NOT NULL,
  progress REAL,                              -- 0 to 1, null where it is not known
  result TEXT,                                -- JSON
  problem TEXT,                               -- JSON
  created_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT;

-- Facts that hold for the life of the database, such as that the default root was made once.
CREATE TABLE markers (
  name TEXT PRIMARY KEY,
  time INTEGER NOT NULL
) STRICT;

CREATE TABLE idempotency_keys (
  key TEXT NOT NULL,
  route TEXT NOT NULL,
  caller TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  status INTEGER,                             -- null while the first request is still running
  reply TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (caller, route, key)
) STRICT;
