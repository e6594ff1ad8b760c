-- PINs for people whom Stays does not know, what a person asked for a code, and a trail that only grows.

-- A CHECK cannot be altered: the column is replaced.
ALTER TABLE reservations ADD COLUMN origin_now TEXT NOT NULL DEFAULT 'stays'
  CHECK (origin_now IN ('stays', 'canary', 'guest', 'staff'));
UPDATE reservations SET origin_now = origin;
ALTER TABLE reservations DROP COLUMN origin;
ALTER TABLE reservations RENAME COLUMN origin_now TO origin;

CREATE TABLE access (
  reservation_id TEXT PRIMARY KEY REFERENCES reservations (id) ON DELETE CASCADE,
  unit TEXT,                                   -- of a guest; null: staff, who take part in no turnover
  locks TEXT NOT NULL,                         -- JSON
  weekly TEXT                                  -- '12345 08:00-12:00': days (0 is Sunday) and hours
) STRICT;

ALTER TABLE placements ADD COLUMN asked TEXT CHECK (asked IN ('remove', 'rewrite')); -- by a person
ALTER TABLE placements ADD COLUMN written_weekly TEXT;
ALTER TABLE placements ADD COLUMN operation_weekly TEXT; -- the hours that a modify carries

CREATE INDEX audit_log_at ON audit_log (at);

CREATE TRIGGER audit_log_is_not_rewritten BEFORE UPDATE ON audit_log
BEGIN
  SELECT raise(ABORT, 'the audit trail is not rewritten');
END;

-- Rows from before the moment that the retention has set may go, and those that are far too many; a
-- younger one stays whatever else is deleted.
CREATE TRIGGER audit_log_keeps_young_rows BEFORE DELETE ON audit_log
WHEN old.at >= coalesce((SELECT value FROM meta WHERE key = 'audit_kept_from'), '')
  AND old.id > (SELECT max(id) FROM audit_log) - 200000
BEGIN
  SELECT raise(IGNORE);
END;
