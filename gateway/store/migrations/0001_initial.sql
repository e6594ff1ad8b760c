-- Times are RFC 3339 in UTC to the second ('2026-02-01T10:30:00Z'), so that text order is time order.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE stays_accommodations (
  id TEXT PRIMARY KEY,
  code TEXT,
  name TEXT,
  read_at TEXT,
  unmapped_told_at TEXT
) STRICT;

CREATE TABLE reservations (
  id TEXT PRIMARY KEY,
  code TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('reserved', 'booked', 'contract', 'blocked', 'maintenance', 'canceled')),
  listing_id TEXT NOT NULL,
  check_in_date TEXT NOT NULL,
  check_in_time TEXT,
  check_out_date TEXT NOT NULL,
  check_out_time TEXT,
  client_id TEXT,
  partner_code TEXT,
  channel TEXT,
  unit TEXT,                                   -- the unit it is mapped to, by the last run
  check_in_at TEXT NOT NULL,
  check_out_at TEXT NOT NULL,
  guest_name TEXT,
  guest_phone TEXT,
  guest_read_at TEXT,
  first_seen_at TEXT NOT NULL,
  changed_at TEXT NOT NULL,
  over_at_first_sight INTEGER NOT NULL DEFAULT 0 CHECK (over_at_first_sight IN (0, 1)),
  deleted_at TEXT,
  missing_reads INTEGER NOT NULL DEFAULT 0,    -- consecutive runs that read a 404 of a guest inside
  held_since TEXT,                             -- the brake holds its revocation
  held_reads INTEGER NOT NULL DEFAULT 0,       -- further runs that read its cancellation again
  held_verdict TEXT CHECK (held_verdict IN ('kept')), -- a person keeps its PIN against Stays' word
  blocked_at TEXT,                             -- a person revoked it: only a person's reissue lifts it
  blocked_by TEXT,
  blocked_reason TEXT,
  CHECK (check_in_at < check_out_at)
) STRICT;
CREATE INDEX reservations_code ON reservations (code);
CREATE INDEX reservations_unit ON reservations (unit, check_out_at);
CREATE INDEX reservations_check_out ON reservations (check_out_at);

CREATE TABLE credentials (
  id TEXT PRIMARY KEY,                         -- <code>-<lock>
  reservation_id TEXT NOT NULL REFERENCES reservations (id),
  lock TEXT NOT NULL,
  unit TEXT NOT NULL,
  valid_from TEXT NOT NULL,
  valid_until TEXT NOT NULL,
  wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)),
  withdrawn_because TEXT,                      -- cancelled, deleted, moved, unmapped, person
  pin BLOB,                                    -- sealed
  pin_hash BLOB,                               -- keyed
  pin_refusals INTEGER NOT NULL DEFAULT 0,     -- how often a lock refused the PIN itself
  follows TEXT REFERENCES credentials (id),      -- of the same guest's stay just before, on this lock
  taken_over_by TEXT REFERENCES credentials (id),
  confirmed_at TEXT,
  revoked_at TEXT,
  reason TEXT,                                 -- what stands in the way, in words
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  CHECK (valid_from < valid_until),
  CHECK ((wanted = 1) = (withdrawn_because IS NULL)),
  UNIQUE (reservation_id, lock)
) STRICT;
CREATE INDEX credentials_lock ON credentials (lock, revoked_at);

CREATE TABLE placements (
  id INTEGER PRIMARY KEY,
  credential_id TEXT NOT NULL REFERENCES credentials (id),
  lock TEXT NOT NULL,
  device_id TEXT NOT NULL,
  node_id TEXT,
  member INTEGER,
  slot INTEGER,
  sequence INTEGER,
  message_id INTEGER,
  pin BLOB,                                    -- sealed; erased 7 days after the confirmed revocation
  pin_hash BLOB NOT NULL,
  written_from TEXT,                           -- the window as written; both null: no limits
  written_until TEXT,
  evidence TEXT NOT NULL CHECK (evidence IN ('sent', 'confirmed', 'observed', 'unknown', 'rejected', 'revoking', 'revoked')),
  operation TEXT CHECK (operation IN ('create', 'modify', 'delete')), -- sent, outcome not known
  operation_from TEXT,                         -- the window that a modify carries
  operation_until TEXT,
  operation_at TEXT,
  creates INTEGER NOT NULL DEFAULT 1,          -- how often its create was sent
  modify_refusals INTEGER NOT NULL DEFAULT 0,
  sent_at TEXT NOT NULL,
  confirmed_at TEXT,
  revoked_at TEXT,
  known_from TEXT,                             -- report, late report, opening, same slot, expired on lock
  reason TEXT
) STRICT;
CREATE INDEX placements_credential ON placements (credential_id);
CREATE INDEX placements_live ON placements (lock) WHERE evidence NOT IN ('revoked', 'rejected');
CREATE INDEX placements_pin ON placements (lock, pin_hash);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('gen', 'rev')),
  credential_id TEXT NOT NULL REFERENCES credentials (id),
  run_at TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT
) STRICT;
CREATE INDEX jobs_credential ON jobs (credential_id);

CREATE TABLE reconciliation_logs (
  id TEXT PRIMARY KEY,
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
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX reconciliation_logs_started_at ON reconciliation_logs (started_at);
CREATE INDEX reconciliation_logs_status ON reconciliation_logs (status);
CREATE INDEX reconciliation_logs_created_at ON reconciliation_logs (created_at);
CREATE UNIQUE INDEX reconciliation_logs_one_pending ON reconciliation_logs (status) WHERE status = 'pending';

CREATE TABLE audit_log (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  actor TEXT NOT NULL,                         -- a token's subject, "gateway" or "lock:<name>"
  event TEXT NOT NULL,
  reservation_id TEXT,
  credential_id TEXT,
  lock TEXT,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_reservation ON audit_log (reservation_id);

CREATE TABLE lock_status (
  lock TEXT PRIMARY KEY,
  reachable INTEGER CHECK (reachable IN (0, 1)),
  since TEXT,                                  -- of `reachable`
  last_seen_at TEXT,
  reason TEXT,
  battery_percent INTEGER,
  battery_state TEXT,
  alarm TEXT
) STRICT;
