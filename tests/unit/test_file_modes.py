"""Files that others may read."""

from gateway.app import Paths
from gateway.cli.modes import close_to_others
from gateway.config import load
from gateway.config.load import warnings
from tests.unit.config.test_config import MINIMAL


def test_what_others_may_read_is_closed_and_told(tmp_path):
    paths = Paths(database=tmp_path / "gateway.db")
    for path, mode in ((paths.database, 0o644), (paths.pin_key, 0o640), (paths.jwt_secret, 0o600)):
        path.touch()
        path.chmod(mode)
    told = list(close_to_others(paths))
    assert [note.split(" ")[0] for note in told] == [str(paths.pin_key), str(paths.database)]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert list(close_to_others(paths)) == []


def test_a_configuration_that_others_may_read_or_change_is_warned_of(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(MINIMAL)
    for mode, word in ((0o644, "everybody"), (0o666, "everybody"), (0o660, "group"), (0o640, None)):
        path.chmod(mode)
        notes = [note for note in warnings(load(path, environ={}), path) if "chmod" in note]
        assert all(word in note for note in notes)
        assert bool(notes) == (word is not None)
