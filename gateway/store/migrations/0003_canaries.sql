-- Codes that a technician has written to try a lock: no stays of Stays.
ALTER TABLE reservations ADD COLUMN origin TEXT NOT NULL DEFAULT 'stays' CHECK (origin IN ('stays', 'canary'));
