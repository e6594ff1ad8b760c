"""What keeps the database from being written: the disk or the file itself."""

import sqlite3

FULL = "store_full"
READONLY = "store_readonly"
FAILING = "store_failing"
DAMAGED = "store_damaged"
CONDITIONS = (FULL, READONLY, FAILING, DAMAGED)

_BY_CODE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READONLY,
    sqlite3.SQLITE_IOERR: FAILING,
    sqlite3.SQLITE_CANTOPEN: FAILING,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}


def condition_of(error: sqlite3.Error) -> str | None:
    """What an error tells of the disk or the file; None: it is about the statement."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else _BY_CODE.get(code & 0xFF)
