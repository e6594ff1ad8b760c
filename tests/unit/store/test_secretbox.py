import pytest

from gateway.errors import PermanentError, StoreError
from gateway.store.secretbox import SecretBox


@pytest.fixture
def box(tmp_path):
    return SecretBox.load(tmp_path / "pin.key")


def test_a_sealed_pin_opens_for_its_row(box):
    sealed = box.seal("004839", row="credential:AB12C-apt-101")

    assert b"004839" not in sealed
    assert box.open(sealed, row="credential:AB12C-apt-101") == "004839"


def test_a_pin_swapped_into_another_row_does_not_open(box):
    sealed = box.seal("004839", row="credential:AB12C-apt-101")

    with pytest.raises(StoreError, match="does not open"):
        box.open(sealed, row="credential:ZZ99Z-apt-101")


def test_any_flipped_byte_is_found(box):
    sealed = bytearray(box.seal("004839", row="r"))
    for position in range(len(sealed)):
        damaged = (
            bytes(sealed[:position]) + bytes([sealed[position] ^ 1]) + bytes(sealed[position + 1 :])
        )
        with pytest.raises(StoreError):
            box.open(damaged, row="r")


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "state" / "pin.key"
    first = SecretBox.load(path)
    second = SecretBox.load(path)

    assert second.open(first.seal("1", row="r"), row="r") == "1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "pin.key"
    SecretBox.load(path)
    path.chmod(0o644)

    with pytest.raises(PermanentError, match="chmod 600"):
        SecretBox.load(path)


def test_hashes_compare_equal_pins_and_need_the_key(box, tmp_path):
    other = SecretBox.load(tmp_path / "other.key")

    assert box.hash("483920") == box.hash("483920") != box.hash("483921")
    assert box.hash("483920") != other.hash("483920")
