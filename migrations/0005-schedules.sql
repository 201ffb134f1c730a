-- What is to happen to a sandbox by itself, and when: the end of its lifetime, of its patience with idleness, its next restart.
ALTER TABLE sandboxes ADD COLUMN expires_at INTEGER;
ALTER TABLE sandboxes ADD COLUMN idle_at INTEGER;     -- null also while something is attached to it
ALTER TABLE sandboxes ADD COLUMN restart_at INTEGER;
ALTER TABLE sandboxes ADD COLUMN restart_count INTEGER NOT NULL DEFAULT 0;  -- in a row, since a caller started it or it ran for a while
ALTER TABLE sandboxes ADD COLUMN due_at INTEGER GENERATED ALWAYS AS (nullif(min(
  coalesce(expires_at, 9007199254740991), coalesce(idle_at, 9007199254740991), coalesce(restart_at, 9007199254740991)
), 9007199254740991)) VIRTUAL;
CREATE INDEX sandboxes_by_due ON sandboxes (due_at) WHERE due_at IS NOT NULL;
UPDATE sandboxes SET definition = json_set(definition, '$.autostart', json('false'));
