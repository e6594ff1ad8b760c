"""`gateway simulator --lan` and `gateway locks`, as processes of their own, with broadcasts."""

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
import tomllib
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.test_command_line import free_port, gateway

DEVICES = {"sim-street", "sim-hub", "sim-hub-2", "sim-house"}
LOCKS = {"street-door", "apt-101", "apt-102", "house"}


class Simulator:
    def __init__(self, process):
        self.process = process
        self.config = ""
        self.environ = {}

    async def read_config(self):
        while not self.config.endswith('["house"]\n'):
            self.config += (await self.process.stdout.readline()).decode()
        head = self.config.splitlines()[0]
        self.environ = {"SSL_CERT_FILE": head.split("SSL_CERT_FILE=")[1]}

    async def say(self, line):
        """Type a line; what it answers."""
        self.process.stdin.write(line + b"\n")
        while not (answer := (await self.process.stdout.readline()).decode().strip()):
            pass
        return answer


@contextmanager
def alone_on_air():
    """All that runs on a machine hears the broadcasts of all: one test at a time."""
    with (Path(tempfile.gettempdir()) / "gateway-tests-air.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def a_simulated_lan(folder):
    """On addresses of loopback of its own."""
    with alone_on_air():
        async with _a_simulated_lan(folder) as simulator:
            yield simulator


@asynccontextmanager
async def _a_simulated_lan(folder):
    address = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}.10"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "simulator", "--lan", address),
        *("--devices", "devices.json", f"--http-port={free_port()}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
        cwd=folder,
    )
    simulator = Simulator(process)
    try:
        await simulator.read_config()
        yield simulator
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0


@asynccontextmanager
async def a_daemon(folder, environ):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]} | environ,
        cwd=folder,
    )
    try:
        while b"gateway.started" not in await process.stdout.readline():
            assert process.returncode is None
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


def standings(out):
    return {
        one["deviceId"]: one["standing"]
        for one in json.loads(out)["devices"]
        if one["deviceId"].startswith("sim-")
    }


@pytest.mark.timeout(240)
async def test_a_technician_scans_configures_checks_and_asks_the_daemon(tmp_path):
    async with a_simulated_lan(tmp_path) as simulator:
        scan = ("locks", "scan", "--seconds", "6", "--json")
        status, out, _ = await gateway(
            *(*scan, "--devices", "devices.json", "--keys"), folder=tmp_path
        )
        assert status == 0
        assert standings(out) == dict.fromkeys(DEVICES | {"sim-101", "sim-102"}, "new")
        offered = json.loads(out)["toml"]
        assert {lock["name"] for lock in tomllib.loads(offered)["locks"]} >= LOCKS

        assert await simulator.say(b"type street-door 000000") == "street-door: stays shut"
        assert await simulator.say(b"type nowhere 1") == "there is no lock nowhere"
        assert (await simulator.say(b"help")).startswith("say one of: type LOCK PIN")

        head = simulator.config[: simulator.config.index("[[hubs]]")]
        config = tmp_path / "config.toml"
        config.write_text(head + offered)
        status, out, err = await gateway("check", "--json", folder=tmp_path, **simulator.environ)
        good = {one["what"] for one in json.loads(out) if one["good"]}
        assert {f"lock {name}" for name in LOCKS} | {"Stays"} <= good, out + err

        config.write_text(simulator.config)  # all of them to be found by their broadcasts
        status, _, err = await gateway("locks", "list", folder=tmp_path)
        assert (status, "is it running?" in err) == (3, True)
        async with a_daemon(tmp_path, simulator.environ):
            await asks_the_daemon(tmp_path, scan)


async def asks_the_daemon(folder, scan):
    async with asyncio.timeout(60):
        while True:
            _, out, _ = await gateway("locks", "list", "--json", folder=folder)
            rows = {row["name"]: row for row in json.loads(out)}
            if all(row["reachable"] for row in rows.values()):
                break
    assert rows.keys() == LOCKS
    apt = rows["apt-101"]
    assert (apt["profile"], apt["grade"], apt["hub"]) == ("ble_temp", "documented", "hub-1")
    _, out, _ = await gateway("locks", "list", folder=folder)
    assert "zigbee_temp27 (captured)" in out

    status, out, _ = await gateway(*scan, folder=folder)
    assert status == 0
    assert standings(out) == dict.fromkeys(DEVICES | {"sim-101", "sim-102"}, "known")
    assert json.loads(out)["notes"] == []

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 6666))
        status, _, err = await gateway(*scan, folder=folder)
    assert status == 1
    assert "the gateway answers: cannot listen" in err


@pytest.mark.timeout(240)
async def test_scan_works_beside_a_configuration_that_is_invalid_or_missing(tmp_path):
    scan = ("locks", "scan", "--seconds", "1")
    with alone_on_air():
        status, out, err = await gateway(*scan, folder=tmp_path)
    assert status == 0, err
    assert "config.toml does not exist: all is new" in out

    (tmp_path / "config.toml").write_text("[stays]\n[[nonsense]]\n")
    with alone_on_air():
        status, out, err = await gateway(*scan, folder=tmp_path)
    assert status == 0, err
    assert "config.toml is not valid" in out
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "devices.json cannot be read: No such file or directory"),
        (b"\xff\xfe", "it is no text"),
        (b"nonsense", "it is no JSON"),
        (b'{"x": 1}', "it holds no list of devices"),
    ],
)
async def test_a_devices_file_that_is_none_is_told_at_once(tmp_path, content, said):
    if content is not None:
        (tmp_path / "devices.json").write_bytes(content)
    scan = ("locks", "scan", "--devices", "devices.json")
    status, out, err = await gateway(*scan, folder=tmp_path)

    assert (status, out) == (1, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.timeout(240)
async def test_names_that_would_paint_the_screen_are_shown_as_they_are(tmp_path):
    mk = {"1": {"code": "unlock_method_create"}, "2": {"code": "unlock_method_delete"}}
    hostile = {"id": "[red]x[/]", "name": "[bold]\x1b[31mDoor[/nope]", "mapping": mk}
    (tmp_path / "devices.json").write_text(json.dumps([hostile]))
    scan = ("locks", "scan", "--seconds", "1", "--devices", "devices.json")
    with alone_on_air():
        status, out, err = await gateway(*scan, folder=tmp_path)

    assert status == 0, err
    assert "[bold][31mDoor[/nope]" in out
    assert "\x1b" not in out
    assert 'device_id = "[red]x[/]"' in out


async def test_an_address_that_is_not_ours_is_told_before_anything_is_served(tmp_path):
    status, out, err = await gateway("simulator", "--lan", "192.0.2.77", folder=tmp_path)
    assert (status, out) == (1, "")
    assert "must be this machine's" in err

    status, _, err = await gateway("simulator", "--lan", "nonsense", folder=tmp_path)
    assert status == 1
    assert "write an IPv4 address" in err
