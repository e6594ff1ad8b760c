"""Finding locks with real broadcasts: two network namespaces, joined by a bridge. Needs root.

`make lan` runs it. The simulator stands in one namespace with addresses of its own, the technician
in the other. What they type and see is printed; what must hold is checked, and a failure ends it.
"""

import codecs
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.cli.settings import write_line

HOUSE, TECHNICIAN, BRIDGE = "gateway-house", "gateway-pi", "gateway-lan"
NETWORK = "10.77.0"
STAYS, PI, MOVED = f"{NETWORK}.10", f"{NETWORK}.2", f"{NETWORK}.40"
HERE = [*(f"{NETWORK}.{last}" for last in range(10, 15)), MOVED]
LOCKS = {"street-door", "apt-101", "apt-102", "house"}
GATEWAY = str(Path(sys.executable).with_name("gateway"))


def ip(*words):
    """One command of iproute2."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def network():
    """Two machines on one switch."""
    with ExitStack() as stack:
        for name in (HOUSE, TECHNICIAN):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
        ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(ip, "link", "delete", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, (name, addresses) in enumerate([(HOUSE, HERE), (TECHNICIAN, [PI])]):
            port = f"gateway-port{number}"
            ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", port, "master", BRIDGE, "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "eth0", "up")
            for address in addresses:
                ip("-n", name, "address", "add", f"{address}/24", "brd", "+", "dev", "eth0")
        yield


class House:
    """`gateway simulator` in its namespace."""

    def __init__(self, folder):
        self.folder = folder
        self._process = subprocess.Popen(
            [*_inside(HOUSE), GATEWAY, "simulator", "--lan", STAYS, "--devices", "devices.json"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.config = ""
        while not self.config.endswith('["house"]\n'):
            line = self._process.stdout.readline()
            assert line, "the simulator did not start"
            self.config += line
        certificate = self.config.splitlines()[0].split("SSL_CERT_FILE=")[1]
        self.environ = os.environ | {"SSL_CERT_FILE": certificate, "COLUMNS": "124"}
        self._answers = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._process.stdout:
            if line.strip():
                self._answers.append(line.strip())

    def say(self, line, answer):
        """Type a line at the simulator and wait for its answer."""
        write_line(f"(at the house) {line}")
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self.until(lambda: self._answers, 10)
        said = self._answers.pop(0)
        write_line(said)
        assert said == answer, said

    def keypad(self, lock, pin):
        """Type a PIN at a lock: does the door open?"""
        self._process.stdin.write(f"type {lock} {pin}\n")
        self._process.stdin.flush()
        self.until(lambda: self._answers, 10)
        return self._answers.pop(0) == f"{lock}: opens"

    def until(self, happened, seconds):
        """Wait for what must come."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, "it did not come"
            time.sleep(0.2)

    def type(self, *words, codes=(0,), shown=True):
        """What the technician types; its output."""
        if shown:
            write_line("\n$ " + " ".join(("gateway", *words)))
        done = subprocess.run(
            [*_inside(TECHNICIAN), GATEWAY, *words],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if shown:
            write_line(done.stdout.rstrip("\n"))
        assert done.returncode in codes, done.returncode
        return done.stdout

    @contextmanager
    def daemon(self):
        """`gateway run` beside the technician."""
        process = subprocess.Popen(
            [*_inside(TECHNICIAN), GATEWAY, "run"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        log = []
        threading.Thread(target=lambda: log.extend(process.stdout), daemon=True).start()
        try:
            yield log
        finally:
            process.terminate()
            process.wait(30)

    def stop(self):
        """The house is gone."""
        self._process.terminate()
        self._process.wait(30)


def _inside(name):
    return ["ip", "netns", "exec", name]


def standing(out):
    """The standing of each device in the JSON of a scan."""
    return {one["deviceId"]: one["standing"] for one in json.loads(out)["devices"]}


def scanned_without_a_configuration(house, folder):
    """A technician arrives: nothing is configured."""
    house.type("locks", "scan", "--seconds", "8", "--devices", "devices.json")
    told = json.loads(
        house.type(
            *("locks", "scan", "--seconds", "8", "--devices", "devices.json", "--keys", "--json"),
            shown=False,
        )
    )
    assert len(told["devices"]) == 6, told
    assert {one["standing"] for one in told["devices"]} == {"new"}
    offered = tomllib.loads(told["toml"])
    addresses = {
        one["address"] for one in (*offered["hubs"], *offered["locks"]) if "address" in one
    }
    assert addresses == set(HERE[1:5])
    head = house.config[: house.config.index("[[hubs]]")]
    (folder / "config.toml").write_text(head + told["toml"])
    checked(house)


def checked(house):
    """Everything configured is reached."""
    findings = json.loads(house.type("check", "--json", shown=False))
    assert all(one["good"] for one in findings), findings


def found_by_broadcasts(house, folder):
    """The configuration names no address at all; one device then changes its own."""
    (folder / "config.toml").write_text(house.config)
    (folder / "config.toml").chmod(0o600)
    house.type("check")
    with house.daemon() as log:
        house.until(lambda: reachable(house) == LOCKS, 40)
        write_line("")
        house.say(f"move hub-1 {MOVED}", f"hub-1: is at {MOVED}")
        house.until(lambda: any("lock.unreachable" in line and "hub-1" in line for line in log), 40)
        house.until(lambda: reachable(house) == LOCKS, 120)
        house.type("locks", "list")
        house.type("locks", "scan", "--seconds", "8")
        told = house.type("locks", "scan", "--seconds", "8", "--json", shown=False)
        assert set(standing(told).values()) == {"known"}, told
        assert f'"{MOVED}"' in told
        assert not any("Traceback" in line for line in log)


def tried_at_the_door(house, lock, *words, verdict):
    """`locks test`: what it asks is typed at the keypad of the simulated lock, and answered."""
    words = ("locks", "test", lock, *words)
    write_line("\n$ " + " ".join(("gateway", *words)))
    process = subprocess.Popen(
        [*_inside(TECHNICIAN), GATEWAY, *words],
        cwd=house.folder,
        env=house.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    )
    shown, decoder = "", codecs.getincrementaldecoder("utf-8")()
    while more := process.stdout.read(1):
        shown += decoder.decode(more)
        if found := re.search(r"Type (\d+) [^\n]*\[y/n\] $", shown):
            opens = house.keypad(lock, found[1])
            process.stdin.write(b"y\n" if opens else b"n\n")
            write_line(shown + ("y" if opens else "n"))
            shown = ""
    write_line(shown.rstrip("\n"))
    assert process.wait(60) == 0
    assert shown.startswith(f"{lock}: {verdict}"), shown


def tried(house, folder):
    """A lock behind a hub while the daemon runs, with the PIN written ahead; one alone without it."""
    (folder / "config.toml").write_text(house.config)
    with house.daemon():
        house.until(lambda: reachable(house) == LOCKS, 60)
        tried_at_the_door(house, "apt-101", verdict="good")
    tried_at_the_door(house, "street-door", "--quick", verdict="good")


def reachable(house):
    """The locks that the daemon reaches."""
    out = house.type("locks", "list", "--json", codes=(0, 3), shown=False)
    return {one["name"] for one in json.loads(out or "[]") if one["reachable"]}


def moved_from_its_configured_address(house, folder):
    """The configuration names the address at which the hub no longer is."""
    old = house.config.replace('address = "auto"', f'address = "{HERE[2]}"', 1)
    (folder / "config.toml").write_text(old)
    told = house.type("locks", "scan", "--seconds", "8", "--json", shown=False)
    assert standing(told)["sim-hub"] == "differs", told
    with house.daemon() as log:
        house.until(lambda: "apt-101" in reachable(house), 180)
        assert any("lock.moved" in line for line in log)


def main():
    """Everything, in the order of a technician's day."""
    with network(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        house = House(folder)
        try:
            scanned_without_a_configuration(house, folder)
            tried(house, folder)
            found_by_broadcasts(house, folder)
            moved_from_its_configured_address(house, folder)
        finally:
            house.stop()
    write_line("\nAll of it held.")


if __name__ == "__main__":
    main()
