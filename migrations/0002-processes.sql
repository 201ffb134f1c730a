-- Commands started in sandboxes through the API. The main process has no row: what is known of it stands with its sandbox.
CREATE TABLE processes (
  sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  definition TEXT NOT NULL,                   -- JSON: command, env, cwd, user, tty, stdin, timeoutSeconds, outputBytes, labels
  state TEXT NOT NULL CHECK (state IN ('starting', 'running', 'ended', 'lost')),
  started TEXT,                               -- JSON: pid, pidInside, startTicks, startedAt; null until it executes
  boot_id TEXT NOT NULL,                      -- of the boot in which it was started
  exit TEXT,                                  -- JSON: reason, code, signal, times; null unless it ended and that was seen
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  PRIMARY KEY (sandbox_id, id)
) STRICT, WITHOUT ROWID;
