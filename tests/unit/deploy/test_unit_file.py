"""The unit file: how systemd keeps the gateway running, and what it may do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[3] / "deploy/pi/gateway.service"

KEPT_RUNNING = {
    "Type": "notify",
    "Restart": "always",
    "RestartSec": "5",
    "StartLimitIntervalSec": "0",
    "WatchdogSec": "60",
    "ExecReload": "/bin/kill -HUP $MAINPID",
}
CONFINED = {
    "User": "gateway",
    "UMask": "0077",
    "StateDirectory": "gateway",
    "StateDirectoryMode": "0700",
    "CapabilityBoundingSet": "",
    "SystemCallArchitectures": "native",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "ProtectSystem": "strict",
    "ProtectProc": "invisible",
    "DevicePolicy": "closed",
    "KeyringMode": "private",
} | dict.fromkeys(
    (
        *("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateMounts", "PrivateDevices"),
        *("PrivateUsers", "ProtectClock", "ProtectHostname", "ProtectKernelLogs"),
        *("ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups"),
        *("RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality"),
        *("MemoryDenyWriteExecute", "RemoveIPC"),
    ),
    "yes",
)


def settings():
    found = {}
    for key, value in re.findall(r"^([A-Za-z]+)=(.*)$", UNIT.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(("key", "value"), sorted((KEPT_RUNNING | CONFINED).items()))
def test_the_unit_says(key, value):
    assert settings()[key] == [value]


def test_the_unit_keeps_system_calls_few_and_is_rated_so():
    """Where systemd is at hand it rates the unit: 1.5 or better; `make test-install` always does."""
    assert settings()["SystemCallFilter"] == [
        "@system-service",
        "~@privileged @resources @obsolete",
    ]
    analyze = shutil.which("systemd-analyze")
    if analyze is not None:
        rated = subprocess.run(
            [analyze, "security", "--offline=true", "--threshold=15", "--no-pager", str(UNIT)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert rated.returncode == 0, rated.stdout + rated.stderr


def test_the_daemon_may_read_what_the_machine_says_of_its_clock():
    assert "ProcSubset" not in settings()  # it would hide the boot's name


def test_the_start_waits_neither_for_the_time_nor_without_end():
    assert "time-sync.target" not in UNIT.read_text()
    assert int(settings()["TimeoutStartSec"][0]) <= 120
    assert int(settings()["TimeoutStopSec"][0]) <= 30
