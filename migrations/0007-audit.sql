-- Calls that may have changed something: who asked for what, and what came of it. Never bodies or queries.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,                     -- counts up; the newest is never deleted, so none is given out twice
  time INTEGER NOT NULL,                      -- when its answer was made
  caller TEXT NOT NULL,                       -- unix, token, or the id of a token
  caller_name TEXT NOT NULL,
  address TEXT,                               -- null for the unix socket
  method TEXT NOT NULL,
  route TEXT NOT NULL,
  path TEXT NOT NULL,
  sandbox TEXT,                               -- id
  status INTEGER NOT NULL,
  code TEXT,                                  -- of the problem
  created TEXT,                               -- path of what was made
  replayed INTEGER NOT NULL,
  milliseconds REAL NOT NULL
) STRICT;
