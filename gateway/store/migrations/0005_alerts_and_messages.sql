-- What people were told and are still to be told.

CREATE TABLE alerts (
  event TEXT NOT NULL,
  subject TEXT NOT NULL,
  since TEXT NOT NULL,
  told TEXT NOT NULL,                          -- JSON: the parts that were told; []: it may be a blip
  told_at TEXT,
  gone_since TEXT,
  unit TEXT,
  PRIMARY KEY (event, subject)
) STRICT;

CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL,                           -- what it tells: once per channel
  channel TEXT NOT NULL,                       -- a keyed hash of where it goes
  reservation_id TEXT REFERENCES reservations (id), -- of a guest's PIN; its text is made when it is sent
  notice TEXT,                                 -- JSON: what the text of a notice is made of
  state TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'interrupted', 'dropped')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at TEXT NOT NULL,
  created_at TEXT NOT NULL,
  ended_at TEXT,
  CHECK ((reservation_id IS NULL) <> (notice IS NULL)),
  UNIQUE (key, channel)
) STRICT;
CREATE INDEX messages_open ON messages (channel, next_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX messages_reservation ON messages (reservation_id) WHERE reservation_id IS NOT NULL;

-- How much a failed run says: 0 nothing (it was interrupted), 1 if the next one fails too, 2 by itself.
ALTER TABLE reconciliation_logs ADD COLUMN gravity INTEGER NOT NULL DEFAULT 1;

ALTER TABLE lock_status ADD COLUMN foreign_report_at TEXT; -- somebody else's write was reported

-- Listings of which people know already.
INSERT INTO alerts (event, subject, since, told, told_at)
  SELECT 'listing.unmapped', id, unmapped_told_at, '["start"]', unmapped_told_at
  FROM stays_accommodations WHERE unmapped_told_at IS NOT NULL;
ALTER TABLE stays_accommodations DROP COLUMN unmapped_told_at;
