-- A run that finds nothing new should wear the card little: each b-tree that a commit touches is a page.
-- The newest rows are found by `number`, the open one by its own index, and none by `id`; the other
-- indexes hold failed runs alone.
CREATE TABLE runs (
  number INTEGER PRIMARY KEY,                  -- their order, whatever the clock showed
  id TEXT NOT NULL,
  last_run_at TEXT,                            -- when the run before this one began
  started_at TEXT NOT NULL,
  completed_at TEXT,
  duration INTEGER,                            -- milliseconds
  fetched INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL DEFAULT 0,
  updated INTEGER NOT NULL DEFAULT 0,
  orphaned INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  errors INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL CHECK (status IN ('pending', 'success', 'failed')),
  message TEXT,
  created_at TEXT NOT NULL,
  gravity INTEGER NOT NULL DEFAULT 1           -- of a failed one: see gateway.store.runs.Gravity
) STRICT;
INSERT INTO runs
  SELECT rowid, id, last_run_at, started_at, completed_at, duration, fetched, created, updated,
         orphaned, deleted, errors, status, message, created_at, gravity
  FROM reconciliation_logs;
DROP TABLE reconciliation_logs;
ALTER TABLE runs RENAME TO reconciliation_logs;
CREATE UNIQUE INDEX reconciliation_logs_one_pending ON reconciliation_logs (status) WHERE status = 'pending';
CREATE INDEX reconciliation_logs_started_at ON reconciliation_logs (started_at) WHERE status = 'failed';
CREATE INDEX reconciliation_logs_status ON reconciliation_logs (status) WHERE status = 'failed';
CREATE INDEX reconciliation_logs_created_at ON reconciliation_logs (created_at) WHERE status = 'failed';
