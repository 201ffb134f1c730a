-- One-shot jobs. What they need of a sandbox is made when they start and gone when they end; what came of them is kept for a while.
-- What may be large comes last: SQLite reads the columns of a row in their order.
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  caller TEXT NOT NULL,                       -- whose turn it takes in the queue
  state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'ended', 'failed', 'cancelled')),
  root TEXT NOT NULL,                         -- as it was named
  labels TEXT NOT NULL,                       -- JSON object of strings
  sandbox_id TEXT,                            -- while one may be there
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  bytes INTEGER NOT NULL DEFAULT 0,           -- of `result`
  problem TEXT,                               -- JSON: code, detail, members, faults; why it failed, or its files are not there
  input TEXT,                                 -- JSON: what was asked for, with files and stdin; null once it is over
  result TEXT                                 -- JSON: how the command ended, its output, its files; null unless it ended
) STRICT;
CREATE INDEX runs_by_end ON runs (ended_at DESC, id DESC, bytes) WHERE ended_at IS NOT NULL;
