-- That one run is open at a time was an index, which cost each run two pages: the open row is the newest.
DROP INDEX reconciliation_logs_one_pending;
CREATE TRIGGER reconciliation_logs_one_pending BEFORE INSERT ON reconciliation_logs
WHEN (SELECT status FROM reconciliation_logs ORDER BY number DESC LIMIT 1) = 'pending'
BEGIN
  SELECT raise(ABORT, 'the run before this one is still pending');
END;
