"""A counter in the database and in a file beside it: it tells an older copy of the database.

It rises with every operation that is about to be sent to a lock. The database is committed first,
then the file is written, then the first byte leaves. So the file is never ahead of the database it
belongs to, whenever the process is killed, and is ahead of every copy that misses an operation.
"""

from pathlib import Path

from gateway.store import meta
from gateway.store.files import write_whole
from gateway.store.session import Session

KEY = "generation"
COPIED = "copied_at"  # in copies that we made: when
UNREADABLE = -1


class GenerationFile:
    """The counter beside a database."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".generation")

    def read(self) -> int | None:
        """What it holds: None where there is no file, UNREADABLE where it holds no number."""
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return UNREADABLE
        return int(text) if text.strip().isdecimal() else UNREADABLE

    def write(self, number: int) -> None:
        """Keep the number. Raises OSError."""
        write_whole(self._path, f"{number}\n".encode("ascii"))


def is_older(kept: int, *, beside: int | None, copied: bool) -> bool:
    """Does the database, whose counter is `kept`, lack what was done since?"""
    if copied:
        return True
    if beside is None or beside == UNREADABLE:
        return kept > 0
    return kept < beside


async def kept(session: Session) -> int:
    """The counter in the database; 0 before the first start."""
    return int(await meta.get(session, KEY) or 0)


async def advance(session: Session) -> None:
    """Count an operation that is about to be sent; the file follows right after the commit."""
    number = await kept(session) + 1
    await meta.put(session, KEY, str(number))
    session.generation = number
