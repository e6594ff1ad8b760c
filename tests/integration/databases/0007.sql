BEGIN TRANSACTION;
CREATE TABLE access (
  reservation_id TEXT PRIMARY KEY REFERENCES reservations (id) ON DELETE CASCADE,
  unit TEXT,                                   -- of a guest; null: staff, who take part in no turnover
  locks TEXT NOT NULL,                         -- JSON
  weekly TEXT                                  -- '12345 08:00-12:00': days (0 is Sunday) and hours
) STRICT;
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
INSERT INTO "audit_log" VALUES(1,'2026-02-02T15:00:00Z','stays','reservation.created','32ea6928f6236bf2504b74ba',NULL,NULL,'booked in Apto 102, 2026-02-06 to 2026-02-09');
INSERT INTO "audit_log" VALUES(2,'2026-02-02T15:00:00Z','stays','reservation.created','7814e8a25f2dd97f1cfb10f6',NULL,NULL,'booked in Apto 101, 2026-02-02 to 2026-02-02');
INSERT INTO "audit_log" VALUES(3,'2026-02-02T15:00:00Z','stays','reservation.created','0074513021da8978206f5c66',NULL,NULL,'booked in Apto 101, 2026-02-04 to 2026-02-07');
INSERT INTO "audit_log" VALUES(4,'2026-02-02T15:00:00Z','stays','reservation.created','687c966c377b9aa2bb2edb20',NULL,NULL,'booked in Apto 102, 2026-02-02 to 2026-02-04');
INSERT INTO "audit_log" VALUES(5,'2026-02-02T15:00:00Z','gateway','pin.minted','7814e8a25f2dd97f1cfb10f6',NULL,NULL,'for apt-101, street');
INSERT INTO "audit_log" VALUES(6,'2026-02-02T15:00:00Z','gateway','pin.minted','687c966c377b9aa2bb2edb20',NULL,NULL,'for apt-102, street');
INSERT INTO "audit_log" VALUES(7,'2026-02-02T15:00:00Z','lock:apt-101','credential.confirmed','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','the lock reports it');
INSERT INTO "audit_log" VALUES(8,'2026-02-02T15:00:00Z','lock:street','credential.confirmed','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(9,'2026-02-02T15:00:00Z','lock:apt-102','credential.confirmed','687c966c377b9aa2bb2edb20','FC7298E-apt-102','apt-102','the lock reports it');
INSERT INTO "audit_log" VALUES(10,'2026-02-02T15:00:00Z','lock:street','pin.issued','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(11,'2026-02-02T15:00:00Z','lock:apt-102','pin.issued','687c966c377b9aa2bb2edb20','FC7298E-apt-102','apt-102','the PIN opens the door');
INSERT INTO "audit_log" VALUES(12,'2026-02-02T15:00:00Z','lock:apt-101','pin.issued','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','the PIN opens the door');
INSERT INTO "audit_log" VALUES(13,'2026-02-02T15:00:00Z','lock:street','credential.confirmed','687c966c377b9aa2bb2edb20','FC7298E-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(14,'2026-02-02T15:00:00Z','lock:street','pin.issued','687c966c377b9aa2bb2edb20','FC7298E-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(15,'2026-02-02T15:00:01Z','stays','reservation.updated','32ea6928f6236bf2504b74ba',NULL,NULL,'canceled in Apto 102, 2026-02-06 to 2026-02-09');
INSERT INTO "audit_log" VALUES(16,'2026-02-02T15:00:01Z','lock:street','credential.revoked','32ea6928f6236bf2504b74ba','FY6288G-street','street','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(17,'2026-02-02T15:00:01Z','lock:apt-102','credential.revoked','32ea6928f6236bf2504b74ba','FY6288G-apt-102','apt-102','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(18,'2026-02-02T16:00:00Z','lock:street','credential.revoked','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(19,'2026-02-02T16:00:00Z','lock:apt-101','credential.revoked','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(20,'2026-02-02T18:00:01Z','stays','reservation.created','5c76f18a0585a01c4c7d6df0',NULL,NULL,'booked in Apto 101, 2026-02-02 to 2026-02-03');
INSERT INTO "audit_log" VALUES(21,'2026-02-02T18:00:01Z','gateway','pin.minted','5c76f18a0585a01c4c7d6df0',NULL,NULL,'for apt-101, street');
INSERT INTO "audit_log" VALUES(22,'2026-02-02T18:00:01Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(23,'2026-02-02T18:00:01Z','lock:street','credential.confirmed','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(24,'2026-02-02T18:00:01Z','lock:street','pin.issued','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(25,'2026-02-02T18:00:06Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(26,'2026-02-02T18:00:15Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(27,'2026-02-02T18:00:36Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(28,'2026-02-02T18:01:23Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(29,'2026-02-02T18:02:37Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(30,'2026-02-02T18:05:34Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(31,'2026-02-02T18:09:54Z','lock:apt-101','credential.rejected','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock refused to create: timeout');
INSERT INTO "audit_log" VALUES(32,'2026-02-02T19:00:00Z','gateway','pin.unreadable','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101',NULL,'its stored PIN is damaged: another one is minted when it is due');
INSERT INTO "audit_log" VALUES(33,'2026-02-02T19:00:00Z','gateway','pin.unreadable','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101',NULL,'its stored PIN is damaged: another one is minted when it is due');
INSERT INTO "audit_log" VALUES(34,'2026-02-02T19:00:00Z','gateway','pin.unreadable','687c966c377b9aa2bb2edb20','FC7298E-apt-102',NULL,'its stored PIN is damaged: the guest''s PIN goes on opening the door, but nobody can show it any more, and a change of its window will need another one');
INSERT INTO "audit_log" VALUES(35,'2026-02-02T19:00:00Z','gateway','pin.unreadable','7814e8a25f2dd97f1cfb10f6','DU224H-street',NULL,'its stored PIN is damaged: another one is minted when it is due');
INSERT INTO "audit_log" VALUES(36,'2026-02-02T19:00:00Z','gateway','pin.unreadable','687c966c377b9aa2bb2edb20','FC7298E-street',NULL,'its stored PIN is damaged: the guest''s PIN goes on opening the door, but nobody can show it any more, and a change of its window will need another one');
INSERT INTO "audit_log" VALUES(37,'2026-02-02T19:00:00Z','gateway','pin.unreadable','5c76f18a0585a01c4c7d6df0','JC4947L-street',NULL,'its stored PIN is damaged: the guest''s PIN goes on opening the door, but nobody can show it any more, and a change of its window will need another one');
INSERT INTO "audit_log" VALUES(38,'2026-02-02T19:00:00Z','gateway','pin.minted','5c76f18a0585a01c4c7d6df0',NULL,NULL,'for apt-101, street');
INSERT INTO "audit_log" VALUES(39,'2026-02-02T19:00:00Z','lock:apt-101','credential.confirmed','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock reports it');
INSERT INTO "audit_log" VALUES(40,'2026-02-02T19:00:00Z','lock:apt-101','pin.issued','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the PIN opens the door');
INSERT INTO "audit_log" VALUES(41,'2026-02-02T19:00:00Z','lock:street','credential.confirmed','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(42,'2026-02-02T19:00:00Z','lock:street','pin.issued','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(43,'2026-02-02T19:00:00Z','lock:street','pin.issued','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(44,'2026-02-02T19:00:00Z','stays','reservation.updated','7814e8a25f2dd97f1cfb10f6',NULL,NULL,'booked in Apto 101, 2026-02-02 to 2026-02-03');
INSERT INTO "audit_log" VALUES(45,'2026-02-02T19:00:00Z','stays','reservation.updated','687c966c377b9aa2bb2edb20',NULL,NULL,'booked in Apto 102, 2026-02-05 to 2026-02-07');
INSERT INTO "audit_log" VALUES(46,'2026-02-02T19:00:00Z','stays','reservation.deleted','0074513021da8978206f5c66',NULL,NULL,'booked in Apto 101, 2026-02-04 to 2026-02-07');
INSERT INTO "audit_log" VALUES(47,'2026-02-02T19:00:00Z','gateway','pin.minted','7814e8a25f2dd97f1cfb10f6',NULL,NULL,'for apt-101, street');
INSERT INTO "audit_log" VALUES(48,'2026-02-02T19:00:00Z','lock:apt-101','credential.revoked','0074513021da8978206f5c66','GF4749F-apt-101','apt-101','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(49,'2026-02-02T19:00:00Z','lock:street','credential.revoked','0074513021da8978206f5c66','GF4749F-street','street','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(50,'2026-02-02T19:00:00Z','lock:apt-102','credential.rejected','687c966c377b9aa2bb2edb20','FC7298E-apt-102','apt-102','the lock refused to delete: failed');
INSERT INTO "audit_log" VALUES(51,'2026-02-02T19:00:00Z','lock:apt-101','credential.moved','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the lock reports it');
INSERT INTO "audit_log" VALUES(52,'2026-02-02T19:00:00Z','lock:street','credential.moved','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(53,'2026-02-02T19:00:00Z','lock:apt-101','pin.issued','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','the PIN opens the door');
INSERT INTO "audit_log" VALUES(54,'2026-02-02T19:00:00Z','lock:street','pin.issued','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(55,'2026-02-02T19:00:00Z','lock:apt-101','credential.confirmed','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','the lock reports it');
INSERT INTO "audit_log" VALUES(56,'2026-02-02T19:00:00Z','lock:street','credential.confirmed','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(57,'2026-02-02T19:00:00Z','lock:apt-101','pin.issued','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','the PIN opens the door');
INSERT INTO "audit_log" VALUES(58,'2026-02-02T19:00:00Z','lock:street','pin.issued','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(59,'2026-02-02T19:00:00Z','stays','reservation.deleted','5c76f18a0585a01c4c7d6df0',NULL,NULL,'booked in Apto 101, 2026-02-02 to 2026-02-03');
INSERT INTO "audit_log" VALUES(60,'2026-02-02T19:00:00Z','lock:apt-101','credential.moved','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','the lock reports it');
INSERT INTO "audit_log" VALUES(61,'2026-02-02T19:00:00Z','lock:street','credential.moved','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','the lock reports it');
INSERT INTO "audit_log" VALUES(62,'2026-02-02T19:00:00Z','lock:apt-101','pin.issued','7814e8a25f2dd97f1cfb10f6','DU224H-apt-101','apt-101','the PIN opens the door');
INSERT INTO "audit_log" VALUES(63,'2026-02-02T19:00:00Z','lock:street','pin.issued','7814e8a25f2dd97f1cfb10f6','DU224H-street','street','the PIN opens the door');
INSERT INTO "audit_log" VALUES(64,'2026-02-02T19:00:00Z','lock:apt-101','credential.revoked','5c76f18a0585a01c4c7d6df0','JC4947L-apt-101','apt-101','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(65,'2026-02-02T19:00:00Z','lock:street','credential.revoked','5c76f18a0585a01c4c7d6df0','JC4947L-street','street','nothing of it is on the lock');
INSERT INTO "audit_log" VALUES(66,'2026-02-02T19:00:00Z','tester','reconcile.asked',NULL,NULL,NULL,'a reconciliation, now');
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
INSERT INTO "credentials" VALUES('FY6288G-street','32ea6928f6236bf2504b74ba','street','Apto 102','2026-02-06T13:00:00Z','2026-02-09T15:00:00Z',0,'cancelled',NULL,NULL,0,NULL,NULL,NULL,'2026-02-02T15:00:01Z',NULL,'2026-02-02T15:00:00Z','2026-02-02T15:00:01Z');
INSERT INTO "credentials" VALUES('FY6288G-apt-102','32ea6928f6236bf2504b74ba','apt-102','Apto 102','2026-02-06T13:00:00Z','2026-02-09T15:00:00Z',0,'cancelled',NULL,NULL,0,NULL,NULL,NULL,'2026-02-02T15:00:01Z',NULL,'2026-02-02T15:00:00Z','2026-02-02T15:00:01Z');
INSERT INTO "credentials" VALUES('DU224H-street','7814e8a25f2dd97f1cfb10f6','street','Apto 101','2026-02-02T16:00:00Z','2026-02-04T18:00:00Z',1,NULL,X'0291314D58BD53C6F720E3CD52E11E6844391C86B15A10834AF37CDFB0ED05307467',X'B0332538FCD757C5EF3DC0D4EFCB09FDB4006529B1E462AC84F37BE7745D4DD0',0,NULL,NULL,'2026-02-02T19:00:00Z',NULL,NULL,'2026-02-02T15:00:00Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('DU224H-apt-101','7814e8a25f2dd97f1cfb10f6','apt-101','Apto 101','2026-02-02T16:00:00Z','2026-02-04T18:00:00Z',1,NULL,X'75C89E4440F25173A2E2AFA462ADA0F0F95DF01BB762AE7812BCF1F8566AA032BC1D',X'B0332538FCD757C5EF3DC0D4EFCB09FDB4006529B1E462AC84F37BE7745D4DD0',0,NULL,NULL,'2026-02-02T19:00:00Z',NULL,NULL,'2026-02-02T15:00:00Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('GF4749F-street','0074513021da8978206f5c66','street','Apto 101','2026-02-04T13:00:00Z','2026-02-07T15:00:00Z',0,'deleted',NULL,NULL,0,NULL,NULL,NULL,'2026-02-02T19:00:00Z',NULL,'2026-02-02T15:00:00Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('GF4749F-apt-101','0074513021da8978206f5c66','apt-101','Apto 101','2026-02-04T13:00:00Z','2026-02-07T15:00:00Z',0,'deleted',NULL,NULL,0,NULL,NULL,NULL,'2026-02-02T19:00:00Z',NULL,'2026-02-02T15:00:00Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('FC7298E-street','687c966c377b9aa2bb2edb20','street','Apto 102','2026-02-05T17:00:00Z','2026-02-08T19:00:00Z',1,NULL,NULL,X'816BD5621CFA571D087F02182F7A3001C275630A4A32571C91571E15CC8B143E',0,NULL,NULL,'2026-02-02T15:00:00Z',NULL,NULL,'2026-02-02T15:00:00Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('FC7298E-apt-102','687c966c377b9aa2bb2edb20','apt-102','Apto 102','2026-02-05T17:00:00Z','2026-02-08T19:00:00Z',1,NULL,NULL,X'816BD5621CFA571D087F02182F7A3001C275630A4A32571C91571E15CC8B143E',0,NULL,NULL,'2026-02-02T15:00:00Z',NULL,NULL,'2026-02-02T15:00:00Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('JC4947L-street','5c76f18a0585a01c4c7d6df0','street','Apto 101','2026-02-02T15:00:00Z','2026-02-03T05:00:00Z',0,'deleted',X'9F69DE45206CC4C2D2BDFB02C8DC27236DF79A8E0F32F77F145168915DE7F2A33FE6',X'7FFA102A0FE2F42EE80B00E5EBFDD596D7C75CDFC1D2B32972ADFF63DD692172',0,NULL,NULL,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,'2026-02-02T18:00:01Z','2026-02-02T19:00:00Z');
INSERT INTO "credentials" VALUES('JC4947L-apt-101','5c76f18a0585a01c4c7d6df0','apt-101','Apto 101','2026-02-02T15:00:00Z','2026-02-03T05:00:00Z',0,'deleted',X'A26DA4D2CE3DD454FC01A9BCE50C3C4347A7267E03B96ACEFDFC6F04B96A2E07D2AF',X'7FFA102A0FE2F42EE80B00E5EBFDD596D7C75CDFC1D2B32972ADFF63DD692172',0,NULL,NULL,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,'2026-02-02T18:00:01Z','2026-02-02T19:00:00Z');
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('gen', 'rev')),
  credential_id TEXT NOT NULL REFERENCES credentials (id),
  run_at TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT
) STRICT;
INSERT INTO "jobs" VALUES('rev-FC7298E-street','rev','FC7298E-street','2026-02-08T19:00:00Z',0,NULL);
INSERT INTO "jobs" VALUES('rev-FC7298E-apt-102','rev','FC7298E-apt-102','2026-02-08T19:00:00Z',0,NULL);
INSERT INTO "jobs" VALUES('rev-DU224H-street','rev','DU224H-street','2026-02-04T18:00:00Z',0,NULL);
INSERT INTO "jobs" VALUES('rev-DU224H-apt-101','rev','DU224H-apt-101','2026-02-04T18:00:00Z',0,NULL);
INSERT INTO "jobs" VALUES('gen-FC7298E-street','gen','FC7298E-street','2026-02-05T17:00:00Z',0,NULL);
INSERT INTO "jobs" VALUES('gen-FC7298E-apt-102','gen','FC7298E-apt-102','2026-02-05T17:00:00Z',0,NULL);
CREATE TABLE lock_status (
  lock TEXT PRIMARY KEY,
  reachable INTEGER CHECK (reachable IN (0, 1)),
  since TEXT,                                  -- of `reachable`
  last_seen_at TEXT,
  reason TEXT,
  battery_percent INTEGER,
  battery_state TEXT,
  alarm TEXT
, door TEXT, opened_at TEXT, hijacked_at TEXT, doorbell_at TEXT, clock_skew INTEGER, listed_at TEXT, listed_device TEXT, list_proven INTEGER NOT NULL DEFAULT 0 CHECK (list_proven IN (0, 1)), foreign_slots TEXT, stray_codes INTEGER, foreign_report_at TEXT) STRICT;
INSERT INTO "lock_status" VALUES('street',1,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
INSERT INTO "lock_status" VALUES('apt-101',1,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-02-02T19:30:00Z','d101 cid-101',1,'[]',0,NULL);
INSERT INTO "lock_status" VALUES('apt-102',1,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
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
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
INSERT INTO "meta" VALUES('generation','0');
INSERT INTO "meta" VALUES('clean_stop','1');
INSERT INTO "meta" VALUES('doors','{"unit": {"Apto 101": {"listings": ["bde5c0994164d8399f767c45"], "locks": ["street", "apt-101"]}, "Apto 102": {"listings": ["HW2579B"], "locks": ["street", "apt-102"]}}, "lock": {"street": {"device": "street-device/", "window": "full", "trust_window": false, "shared": true}, "apt-101": {"device": "d101/cid-101", "window": "full", "trust_window": false, "shared": false}, "apt-102": {"device": "d102/cid-102", "window": "full", "trust_window": false, "shared": false}}, "policy": {"activate_before": "2:00:00", "revoke_after": "1 day, 0:00:00", "yield_to_next_guest": "True", "program_ahead": "1 day, 0:00:00", "pin_length": "6", "mint_ahead": "0:00:00"}}');
INSERT INTO "meta" VALUES('clock.mark','2026-02-02T19:30:00Z');
INSERT INTO "meta" VALUES('clock.boot','');
INSERT INTO "meta" VALUES('audit_kept_from','2025-08-06T19:10:00Z');
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
, asked TEXT CHECK (asked IN ('remove', 'rewrite')), written_weekly TEXT, operation_weekly TEXT) STRICT;
INSERT INTO "placements" VALUES(1,'DU224H-apt-101','apt-101','d101','cid-101',NULL,40,NULL,NULL,NULL,X'4AB9B0B558B741D27CF81C352CCC28489BBB8E4454251F8BA96A8ED06AF106A3','2026-02-02T12:00:00Z','2026-02-02T16:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T16:00:00Z','report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(2,'DU224H-street','street','street-device',NULL,30982,1,NULL,36628,NULL,X'4AB9B0B558B741D27CF81C352CCC28489BBB8E4454251F8BA96A8ED06AF106A3','2026-02-02T12:00:00Z','2026-02-02T16:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T16:00:00Z','report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(3,'FC7298E-apt-102','apt-102','d102','cid-102',NULL,NULL,500,NULL,NULL,X'816BD5621CFA571D087F02182F7A3001C275630A4A32571C91571E15CC8B143E','2026-02-02T12:00:00Z','2026-02-04T14:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T19:00:06Z','report',NULL,'remove',NULL,NULL);
INSERT INTO "placements" VALUES(4,'FC7298E-street','street','street-device',NULL,24679,2,NULL,24400,NULL,X'816BD5621CFA571D087F02182F7A3001C275630A4A32571C91571E15CC8B143E','2026-02-02T12:00:00Z','2026-02-04T14:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T19:00:00Z','report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(5,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:00:01Z',NULL,'2026-02-02T18:00:01Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(6,'JC4947L-street','street','street-device',NULL,20283,1,NULL,12020,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:00:01Z','2026-02-02T18:00:01Z','2026-02-02T19:00:00Z','report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(7,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:00:06Z',NULL,'2026-02-02T18:00:06Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(8,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:00:15Z',NULL,'2026-02-02T18:00:15Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(9,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:00:36Z',NULL,'2026-02-02T18:00:36Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(10,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:01:23Z',NULL,'2026-02-02T18:01:23Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(11,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:02:37Z',NULL,'2026-02-02T18:02:37Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(12,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:05:34Z',NULL,'2026-02-02T18:05:34Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(13,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,NULL,NULL,NULL,NULL,X'F5453A85E3EF94CE2636696B194ECF6855470ED70324E363D6A89B2044FF7376','2026-02-02T16:00:00Z','2026-02-03T05:00:00Z','rejected',NULL,NULL,NULL,NULL,1,0,'2026-02-02T18:09:54Z',NULL,'2026-02-02T18:09:54Z','report','timeout',NULL,NULL,NULL);
INSERT INTO "placements" VALUES(14,'JC4947L-apt-101','apt-101','d101','cid-101',NULL,40,NULL,NULL,X'08C6B2B0380485F861738BEEC279871D07D184E36C98B57E0A943812DE439FC4198D',X'7FFA102A0FE2F42EE80B00E5EBFDD596D7C75CDFC1D2B32972ADFF63DD692172','2026-02-02T15:00:00Z','2026-02-03T05:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z','2026-02-02T19:00:00Z','report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(15,'JC4947L-street','street','street-device',NULL,18528,1,NULL,58876,X'BBDB3902EFE8BCC0345BDE5843AE50DA60FE8CFC84D2DF25C2444B9675A84AAE5C09',X'7FFA102A0FE2F42EE80B00E5EBFDD596D7C75CDFC1D2B32972ADFF63DD692172','2026-02-02T15:00:00Z','2026-02-03T05:00:00Z','revoked',NULL,NULL,NULL,NULL,1,0,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z','2026-02-02T19:00:00Z','report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(16,'DU224H-apt-101','apt-101','d101','cid-101',NULL,41,NULL,NULL,X'0AE96ED08FEE243B8A3CDD5DCA01AEED333048EB1BAFDD7E331A026EDD3F073FE707',X'B0332538FCD757C5EF3DC0D4EFCB09FDB4006529B1E462AC84F37BE7745D4DD0','2026-02-02T16:00:00Z','2026-02-04T18:00:00Z','confirmed',NULL,NULL,NULL,NULL,1,0,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,'report',NULL,NULL,NULL,NULL);
INSERT INTO "placements" VALUES(17,'DU224H-street','street','street-device',NULL,21833,2,NULL,20812,X'4D7DC764D0E40097015B58FD0F26A22D0F2AAD79FAB8751D5203E91732FB99290109',X'B0332538FCD757C5EF3DC0D4EFCB09FDB4006529B1E462AC84F37BE7745D4DD0','2026-02-02T16:00:00Z','2026-02-04T18:00:00Z','confirmed',NULL,NULL,NULL,NULL,1,0,'2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',NULL,'report',NULL,NULL,NULL,NULL);
CREATE TABLE "reconciliation_logs" (
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
INSERT INTO "reconciliation_logs" VALUES(1,'2923551b-da2d-42c1-8cb0-4cc54a138d28',NULL,'2026-02-02T15:00:00Z','2026-02-02T15:00:00Z',300,4,4,0,0,0,0,'success',NULL,'2026-02-02T15:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(2,'61f6a9cb-79cb-407d-acec-a145f791dae5','2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T15:00:00Z',600,4,0,0,0,0,0,'success',NULL,'2026-02-02T15:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(3,'6bfc6794-e43d-49b5-b182-0b916d0d35f8','2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T15:00:01Z',590,4,0,1,4,0,0,'success',NULL,'2026-02-02T15:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(4,'ae413798-dbf9-4425-a934-8536831428c8','2026-02-02T15:00:00Z','2026-02-02T15:00:01Z','2026-02-02T15:00:02Z',590,4,0,0,0,0,0,'success',NULL,'2026-02-02T15:00:01Z',1);
INSERT INTO "reconciliation_logs" VALUES(5,'0984be39-d928-42fd-8669-9162346e3447','2026-02-02T15:00:01Z','2026-02-02T15:30:00Z','2026-02-02T15:30:00Z',150,4,0,0,0,0,0,'success',NULL,'2026-02-02T15:30:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(6,'c5b5711d-fd35-4107-adbf-d56ed74d1f9a','2026-02-02T15:30:00Z','2026-02-02T16:00:00Z','2026-02-02T16:00:00Z',150,4,0,0,0,0,0,'success',NULL,'2026-02-02T16:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(7,'673f552b-763c-480c-aa27-f2a570fc6bad','2026-02-02T16:00:00Z','2026-02-02T16:30:00Z','2026-02-02T16:30:00Z',150,4,0,0,0,0,0,'success',NULL,'2026-02-02T16:30:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(8,'38e02efb-456c-4cd7-beab-726134cf80ab','2026-02-02T16:30:00Z','2026-02-02T17:00:00Z','2026-02-02T17:00:00Z',150,4,0,0,0,0,0,'success',NULL,'2026-02-02T17:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(9,'8b56e5ca-769e-4c29-8ab6-36444921e5ac','2026-02-02T17:00:00Z','2026-02-02T17:30:00Z','2026-02-02T17:30:00Z',150,4,0,0,0,0,0,'success',NULL,'2026-02-02T17:30:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(10,'b3e892f1-13af-437b-aff2-474df7240758','2026-02-02T17:30:00Z','2026-02-02T18:00:00Z','2026-02-02T18:00:00Z',150,4,0,0,0,0,0,'success',NULL,'2026-02-02T18:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(11,'ee172d0f-cebe-415e-98d2-93524cbaf362','2026-02-02T18:00:00Z','2026-02-02T18:00:01Z','2026-02-02T18:00:01Z',150,5,1,0,0,0,0,'success',NULL,'2026-02-02T18:00:01Z',1);
INSERT INTO "reconciliation_logs" VALUES(12,'a573f663-531c-4f51-97dd-da2faa3f0c2b','2026-02-02T18:00:01Z','2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',450,2,0,2,4,1,0,'success','2 missing from the list, looked up by id','2026-02-02T19:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(13,'fdef8e0d-d160-472a-b2fb-1b1057f015da','2026-02-02T19:00:00Z','2026-02-02T19:00:00Z','2026-02-02T19:00:00Z',450,2,0,0,0,1,0,'success','1 missing from the list, looked up by id','2026-02-02T19:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(14,'c94ec415-18f1-474c-ba4a-bb8b4df36584','2026-02-02T19:00:00Z','2026-02-02T19:00:00Z','2026-02-02T19:00:01Z',290,2,0,0,0,0,0,'success',NULL,'2026-02-02T19:00:00Z',1);
INSERT INTO "reconciliation_logs" VALUES(15,'a56836ec-d94c-444e-96a0-839ec19bcbef','2026-02-02T19:00:00Z','2026-02-02T19:30:00Z','2026-02-02T19:30:00Z',150,2,0,0,0,0,0,'success',NULL,'2026-02-02T19:30:00Z',1);
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
  blocked_reason TEXT, origin TEXT NOT NULL DEFAULT 'stays'
  CHECK (origin IN ('stays', 'canary', 'guest', 'staff')),
  CHECK (check_in_at < check_out_at)
) STRICT;
INSERT INTO "reservations" VALUES('32ea6928f6236bf2504b74ba','FY6288G','canceled','77330bdbd7210dff076ce2ef','2026-02-06','12:00','2026-02-09','12:00','ad864c44e049548e8a0a8c96',NULL,NULL,'Apto 102','2026-02-06T15:00:00Z','2026-02-09T15:00:00Z','Guest One','+5511903435630','2026-02-02T15:00:02Z','2026-02-02T15:00:00Z','2026-02-02T15:00:01Z',0,NULL,0,NULL,0,NULL,NULL,NULL,NULL,'stays');
INSERT INTO "reservations" VALUES('7814e8a25f2dd97f1cfb10f6','DU224H','booked','bde5c0994164d8399f767c45','2026-02-02','15:00','2026-02-03','15:00','617959ce3f1f65a8de527100',NULL,NULL,'Apto 101','2026-02-02T18:00:00Z','2026-02-03T18:00:00Z','Guest One','+5511909122793','2026-02-02T15:00:01Z','2026-02-02T15:00:00Z','2026-02-02T19:00:00Z',0,NULL,0,NULL,0,NULL,NULL,NULL,NULL,'stays');
INSERT INTO "reservations" VALUES('0074513021da8978206f5c66','GF4749F','booked','bde5c0994164d8399f767c45','2026-02-04','12:00','2026-02-07','12:00','015c33b2df1461aaf8eb18b9',NULL,NULL,'Apto 101','2026-02-04T15:00:00Z','2026-02-07T15:00:00Z','Guest One','+5511903514094','2026-02-02T15:00:01Z','2026-02-02T15:00:00Z','2026-02-02T19:00:00Z',0,'2026-02-02T19:00:00Z',0,NULL,0,NULL,NULL,NULL,NULL,'stays');
INSERT INTO "reservations" VALUES('687c966c377b9aa2bb2edb20','FC7298E','booked','77330bdbd7210dff076ce2ef','2026-02-05','16:00','2026-02-07','16:00','ea959c212e9c82b1478c281d',NULL,NULL,'Apto 102','2026-02-05T19:00:00Z','2026-02-07T19:00:00Z','Guest One','+5511906533673','2026-02-02T15:00:00Z','2026-02-02T15:00:00Z','2026-02-02T19:00:00Z',0,NULL,0,NULL,0,NULL,NULL,NULL,NULL,'stays');
INSERT INTO "reservations" VALUES('5c76f18a0585a01c4c7d6df0','JC4947L','booked','bde5c0994164d8399f767c45','2026-02-02','14:00','2026-02-03','02:00','ef901b932a7c18806a375391',NULL,NULL,'Apto 101','2026-02-02T17:00:00Z','2026-02-03T05:00:00Z','Guest One','+5511902444472','2026-02-02T18:00:01Z','2026-02-02T18:00:01Z','2026-02-02T19:00:00Z',0,'2026-02-02T19:00:00Z',0,NULL,0,NULL,NULL,NULL,NULL,'stays');
INSERT INTO "reservations" VALUES('canary1a2b3c4d','canary1a2b3c4d','booked','','2026-02-02',NULL,'2026-02-02',NULL,NULL,NULL,NULL,NULL,'2026-02-02T17:00:00Z','2026-02-02T17:10:00Z',NULL,NULL,NULL,'2026-02-02T17:00:00Z','2026-02-02T17:00:00Z',0,NULL,0,NULL,0,NULL,NULL,NULL,NULL,'canary');
CREATE TABLE stays_accommodations (
  id TEXT PRIMARY KEY,
  code TEXT,
  name TEXT,
  read_at TEXT) STRICT;
INSERT INTO "stays_accommodations" VALUES('77330bdbd7210dff076ce2ef','HW2579B','Apto 102','2026-02-02T15:00:00Z');
CREATE INDEX reservations_code ON reservations (code);
CREATE INDEX reservations_unit ON reservations (unit, check_out_at);
CREATE INDEX reservations_check_out ON reservations (check_out_at);
CREATE INDEX credentials_lock ON credentials (lock, revoked_at);
CREATE INDEX placements_credential ON placements (credential_id);
CREATE INDEX placements_live ON placements (lock) WHERE evidence NOT IN ('revoked', 'rejected');
CREATE INDEX placements_pin ON placements (lock, pin_hash);
CREATE INDEX jobs_credential ON jobs (credential_id);
CREATE INDEX audit_log_reservation ON audit_log (reservation_id);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE TRIGGER audit_log_is_not_rewritten BEFORE UPDATE ON audit_log
BEGIN
  SELECT raise(ABORT, 'the audit trail is not rewritten');
END;
CREATE TRIGGER audit_log_keeps_young_rows BEFORE DELETE ON audit_log
WHEN old.at >= coalesce((SELECT value FROM meta WHERE key = 'audit_kept_from'), '')
  AND old.id > (SELECT max(id) FROM audit_log) - 200000
BEGIN
  SELECT raise(IGNORE);
END;
CREATE INDEX messages_open ON messages (channel, next_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX messages_reservation ON messages (reservation_id) WHERE reservation_id IS NOT NULL;
CREATE INDEX credentials_unfinished ON credentials (reservation_id) WHERE revoked_at IS NULL;
CREATE INDEX credentials_follows ON credentials (follows) WHERE follows IS NOT NULL;
CREATE INDEX credentials_with_pin ON credentials (lock) WHERE pin IS NOT NULL;
CREATE INDEX placements_with_pin ON placements (lock) WHERE pin IS NOT NULL;
CREATE UNIQUE INDEX reconciliation_logs_one_pending ON reconciliation_logs (status) WHERE status = 'pending';
CREATE INDEX reconciliation_logs_started_at ON reconciliation_logs (started_at) WHERE status = 'failed';
CREATE INDEX reconciliation_logs_status ON reconciliation_logs (status) WHERE status = 'failed';
CREATE INDEX reconciliation_logs_created_at ON reconciliation_logs (created_at) WHERE status = 'failed';
PRAGMA user_version = 7;
COMMIT;
