-- What locks tell of themselves, and what their own lists showed.

ALTER TABLE lock_status ADD COLUMN door TEXT;
ALTER TABLE lock_status ADD COLUMN opened_at TEXT;       -- by a PIN, ours or not
ALTER TABLE lock_status ADD COLUMN hijacked_at TEXT;
ALTER TABLE lock_status ADD COLUMN doorbell_at TEXT;
ALTER TABLE lock_status ADD COLUMN clock_skew INTEGER;   -- seconds its clock, or its hub's, is ahead
ALTER TABLE lock_status ADD COLUMN listed_at TEXT;
ALTER TABLE lock_status ADD COLUMN listed_device TEXT;   -- which hardware the list was of
ALTER TABLE lock_status ADD COLUMN list_proven INTEGER NOT NULL DEFAULT 0 CHECK (list_proven IN (0, 1)); -- it has shown a code of ours
ALTER TABLE lock_status ADD COLUMN foreign_slots TEXT;   -- JSON: the slots of codes that are not ours
ALTER TABLE lock_status ADD COLUMN stray_codes INTEGER;  -- of those, codes of a member number of ours
