"""Stored PINs that do not open: mended from a copy where there is one, else given up."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.model import Evidence
from gateway.errors import UnreadablePinError
from gateway.store import credentials, meta
from gateway.store.doubt import doubt_code
from gateway.store.secretbox import SecretBox
from gateway.store.session import Row, Session

_KEY = "pin_key"  # in `meta`: a hash that only the same key gives
_WHY = "its stored PIN was damaged: what the row says is not believed"


class Fate(StrEnum):
    """What became of a PIN that does not open."""

    MENDED = "mended"  # another copy of it opens
    WORKS = "works"  # it is on the lock, and nobody can show it any more
    LOST = "lost"  # another one is minted


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A credential whose PIN did not open."""

    credential_id: str
    reservation_id: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Mending:
    """What one look at all stored PINs found. `wrong_key`: the key is not the one it was."""

    found: tuple[Unreadable, ...]
    wrong_key: bool


async def mend(session: Session, box: SecretBox) -> Mending:
    """Look at every stored PIN; afterwards each one that is still stored opens."""
    rows = await session.all("SELECT * FROM credentials WHERE pin IS NOT NULL")
    codes = await session.all(
        "SELECT p.*, c.reservation_id FROM placements p JOIN credentials c ON c.id = p.credential_id"
        " WHERE p.pin IS NOT NULL"
    )
    known: dict[tuple[str, bytes], str] = {}
    bad_rows = [row for row in rows if not _opens(row, f"credential:{row['id']}", box, known)]
    bad_codes = [
        row for row in codes if not _opens(row, f"placement:{row['credential_id']}", box, known)
    ]
    found: dict[str, Unreadable] = {}
    for row in bad_codes:
        fate = await _mend_code(session, box, row, known)
        found[row["credential_id"]] = Unreadable(row["credential_id"], row["reservation_id"], fate)
    for row in bad_rows:
        fate = await _mend_row(session, box, row, known)
        found[row["id"]] = Unreadable(row["id"], row["reservation_id"], fate)
    return Mending(tuple(found.values()), wrong_key=await _is_another_key(session, box))


async def _is_another_key(session: Session, box: SecretBox) -> bool:
    """Is the key another one than at the last look? It counts as known from now on."""
    mark = box.hash(_KEY).hex()
    before = await meta.get(session, _KEY)
    if before != mark:
        await meta.put(session, _KEY, mark)
    return before not in {None, mark}


def _opens(row: Row, name: str, box: SecretBox, known: dict[tuple[str, bytes], str]) -> bool:
    try:
        pin = box.open(row["pin"], row=name)
    except UnreadablePinError:
        return False
    if box.hash(pin) != row["pin_hash"]:
        return False
    known[row["reservation_id"], row["pin_hash"]] = pin
    return True


async def _mend_code(
    session: Session, box: SecretBox, row: Row, known: dict[tuple[str, bytes], str]
) -> Fate:
    pin = known.get((row["reservation_id"], row["pin_hash"]))
    sealed = None if pin is None else box.seal(pin, row=f"placement:{row['credential_id']}")
    await session.execute("UPDATE placements SET pin = ? WHERE id = ?", (sealed, row["id"]))
    if pin is not None:
        # The lock is asked again: it can be, since the PIN is known.
        await doubt_code(session, row["id"], _WHY)
        return Fate.MENDED
    return Fate.WORKS if row["evidence"] in _ON_LOCK else Fate.LOST


_ON_LOCK = {Evidence.CONFIRMED, Evidence.OBSERVED}


async def _mend_row(
    session: Session, box: SecretBox, row: Row, known: dict[tuple[str, bytes], str]
) -> Fate:
    pin = known.get((row["reservation_id"], row["pin_hash"]))
    if pin is not None:
        await credentials.set_pin(session, box, row["id"], pin)
        return Fate.MENDED
    works = await session.one(
        "SELECT 1 FROM placements WHERE credential_id = ? AND pin_hash = ?"
        " AND evidence IN ('confirmed', 'observed')",
        (row["id"], row["pin_hash"]),
    )
    if works is not None:
        await session.execute("UPDATE credentials SET pin = NULL WHERE id = ?", (row["id"],))
        return Fate.WORKS
    await credentials.forget_pin(session, row["id"])
    return Fate.LOST
