"""Files beside the database that are whole or not there, and readable by their owner alone."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file at `path`, so that a power cut leaves the old one or the new one.

    Raises:
        OSError: it could not be written; the old one stands.
    """
    partial = path.with_name(path.name + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
