"""Room on the disk: a reserve that is given up when it is full, and how much is free."""

import os
from pathlib import Path

from gateway.store.files import write_whole

RESERVE_BYTES = 256 * 1024
LOW_BYTES = 512 * 1024  # with less than this free the disk counts as full


class Room:
    """The disk that a database is on."""

    def __init__(self, database: Path) -> None:
        self._folder = database.parent
        self._reserve = database.with_name(database.name + ".reserve")

    def free(self) -> int:
        """Bytes that may still be written, the reserve not counted."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    @property
    def low(self) -> bool:
        """Is the disk as good as full?"""
        return self.free() < LOW_BYTES

    def give_up_reserve(self) -> None:
        """Let go of the reserve, so that what must be written can be."""
        self._reserve.unlink(missing_ok=True)

    def keep_reserve(self) -> None:
        """Make the reserve where it is missing and there is room for it. Raises OSError."""
        if self._reserve.exists() or self.free() < LOW_BYTES + RESERVE_BYTES:
            return
        # Random bytes: a file system that compresses would keep nothing in reserve.
        write_whole(self._reserve, os.urandom(RESERVE_BYTES))
