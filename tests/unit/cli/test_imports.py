"""What the daemon's process holds in memory from its first moment on."""

import subprocess
import sys


def test_the_daemon_holds_neither_the_simulator_nor_what_only_some_need():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, gateway.cli; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    assert "gateway.cli.demo" in loaded
    heavy = ("gateway.simulator", "apprise", "rapidfuzz")
    assert [one for one in loaded if one.startswith(heavy)] == []
