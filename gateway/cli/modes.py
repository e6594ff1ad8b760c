"""Files of the state directory that others may read are closed to them."""

import stat
from collections.abc import Iterator

from gateway.app import Paths

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def close_to_others(paths: Paths) -> Iterator[str]:
    """Take from others what they may do with keys and database; what was found, in words.

    The folder itself is left alone where it is no state directory of its own but a person's.
    """
    base = paths.database.name
    secret = [paths.pin_key, paths.jwt_secret, paths.last_good, paths.folder / "http.key"]
    secret += [paths.database.with_name(base + ending) for ending in ("", "-wal", "-shm")]
    for path in secret:
        try:
            mode = path.stat().st_mode
            if mode & _OTHERS:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
                yield f"{path} could be read by others and no longer can: who did meanwhile?"
        except FileNotFoundError:
            continue
        except OSError as error:
            yield f"{path} may be read by others: chmod 600 {path} ({error.strerror})"
