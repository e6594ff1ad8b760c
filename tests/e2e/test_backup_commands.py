"""`gateway backup` and `gateway restore` as they are typed."""

import json
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.e2e.test_command_line import beside_a_daemon, free_port, gateway
from tests.house import a_house


@pytest.mark.timeout(180)
async def test_a_copy_is_taken_while_the_daemon_runs_and_put_back_once_it_is_stopped(tmp_path):
    copy = tmp_path / "copy.db"
    async with beside_a_daemon(tmp_path) as (house, config, _, process):
        at = ("-c", str(config))

        status, out, _ = await gateway("backup", str(copy), *at)
        assert status == 0
        assert "pin.key" in out
        status, out, _ = await gateway("backup", str(copy.with_name("other.db")), *at, "--json")
        assert status == 0
        assert json.loads(out) == {
            "file": str(tmp_path / "other.db"),
            "bytes": copy.stat().st_size,
            "pinKey": str(tmp_path / "pin.key"),
        }
        assert copy.stat().st_mode & 0o777 == 0o600
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM credentials").fetchone()[0] == 2
        assert list((tmp_path / "backups").iterdir()) == []

        status, _, err = await gateway("restore", str(copy), *at)
        assert (status, "in use" in err) == (75, True)

        process.send_signal(signal.SIGTERM)
        await process.wait()
        before = (tmp_path / "gateway.db").read_bytes()
        status, out, _ = await gateway("restore", str(copy), *at)
        assert status == 0, out
        (aside,) = tmp_path.glob("gateway.db.*.aside")
        assert aside.read_bytes() == before
        assert aside.name in out.replace("\n", "")
        (tmp_path / "gateway.db").unlink()
        status, out, _ = await gateway("restore", str(copy), *at, "--json")
        assert (status, json.loads(out)) == (0, {"file": str(copy), "keptAs": None})

        pins = [code.pin for code in house.street.codes]
        async with house.running():
            await house.until(house.notices.events)
            assert house.notices.told[0].event == "store.restored"
            stay = (await house.api("GET", "/api/admin/reservations"))[1]["data"][0]["id"]
            await house.pin_status(stay, "active")
            assert [code.pin for code in house.street.codes] == pins == [await house.pin(stay)]
            _, body = await house.api("GET", "/readyz")
            assert "store_restored" in body["problems"]


async def test_without_a_daemon_no_copy_is_begun_and_no_file_is_written_over(tmp_path):
    async with a_house(tmp_path) as house:
        house.settings = {"http": {"host": "127.0.0.1", "port": free_port()}}
        (tmp_path / "config.toml").write_text(house.config_toml())

        status, _, err = await gateway("backup", "copy.db", folder=tmp_path)
        assert (status, "no gateway answers" in err) == (3, True)
        assert not (tmp_path / "copy.db").exists()

        (tmp_path / "copy.db").write_text("mine")
        status, _, err = await gateway("backup", "copy.db", folder=tmp_path)
        assert (status, "exists already" in err) == (1, True)
        assert (tmp_path / "copy.db").read_text() == "mine"


async def test_no_stranger_on_the_lan_gets_a_copy(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, _, _, _):
        url = f"http://127.0.0.1:{house.settings['http']['port']}/api/admin/backup"
        async with house.session.post(url) as response:
            assert response.status == 401
        async with house.session.get(url) as response:
            assert response.status == 401
