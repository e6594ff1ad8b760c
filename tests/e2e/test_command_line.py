"""The commands as processes of their own, beside a running daemon."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.house import KEY, a_house

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def gateway(*words, folder=None, **environ):
    """Exit code, standard output and standard error of `gateway WORDS`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "COLUMNS": "200"} | environ,
        cwd=folder,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def beside_a_daemon(folder, code=None):
    """A house with `gateway run` as a process; yields the house and the configuration's path."""
    async with a_house(folder) as house:
        config = folder / "config.toml"
        house.settings = {"http": {"host": "127.0.0.1", "port": free_port()}}
        config.write_text(house.config_toml())
        stay = house.book(house.flat_101, HOUR, 3 * DAY)
        if code is not None:
            house.stays.change(stay, id=code)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", "-c", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
        try:
            await house.until(lambda: house.street.codes and house.apt_101.codes)
            yield house, config, stay, process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.communicate()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_token_and_a_link_of_the_command_line_sign_in(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, config, _, _):
        _, out, _ = await gateway("token", "-c", str(config), "--json")
        headers = {"Authorization": f"Bearer {json.loads(out)['token']}"}
        path = "/api/admin/reconciliation/status"
        url = f"http://127.0.0.1:{house.settings['http']['port']}{path}"
        async with house.session.get(url, headers=headers) as answer:
            assert answer.status == 200
        status, out, _ = await gateway("token", "-c", str(config), "--link", "--ttl", "30m")
        page, _, link = out.strip().partition("/sign-in?link=")
        assert (status, page) == (0, f"http://127.0.0.1:{house.settings['http']['port']}")
        _, out, _ = await gateway("token", "-c", str(config), "--link", "--json")
        assert json.loads(out)["link"].startswith(f"{page}/sign-in?link=")
        for expected in (303, 401):
            async with house.session.post(
                f"{page}/sign-in", data={"link": link}, allow_redirects=False
            ) as answer:
                assert answer.status == expected
                cookie = answer.cookies.get("gateway_session")
                assert (cookie is not None) == (expected == 303)
                assert cookie is None or 1700 < int(cookie["max-age"]) <= 1800


async def test_an_admin_asks_the_daemon_from_the_command_line(tmp_path):
    async with beside_a_daemon(tmp_path) as (house, config, stay, process):
        code = house.stays.code(stay)
        at = ("-c", str(config))

        status, out, _ = await gateway("reconcile", *at, "--json")
        assert status == 0
        assert json.loads(out)["stats"]["fetched"] == 1

        async def active():
            _, out, _ = await gateway("status", *at, "--json")
            shown = json.loads(out)
            return shown if shown["reservations"][0]["pinStatus"] == "active" else None

        shown = await house.until(active, seconds=60)
        assert shown["reconciliation"]["currentStatus"] == "success"
        assert {lock["name"] for lock in shown["locks"]} == {"street", "apt-101", "apt-102"}
        status, out, _ = await gateway("status", *at)
        assert status == 0
        assert code in out
        assert "apt-101 confirmed" in out

        held = house.apt_101.codes[0].pin
        _, masked, _ = await gateway("pin", "show", code, *at, "--json")
        assert json.loads(masked)["pin"] == "****" + held[-2:]
        _, whole, _ = await gateway("pin", "show", code, *at, "--reveal")
        assert held in whole
        status, _, err = await gateway("pin", "show", "XX99X", *at)
        assert status == 1
        assert "there is no PIN for such a reservation" in err

        status, out, _ = await gateway("held", *at)
        assert (status, out.strip()) == (0, "The brake holds nothing.")

        status, out, _ = await gateway("check", *at, "--json")
        assert status == 0, out
        assert {"configuration", "daemon", "Stays", "lock apt-101"} <= {
            one["what"] for one in json.loads(out) if one["good"]
        }

        status, out, _ = await gateway("token", *at, "--ttl", "5m", "--subject", "ana")
        url = f"http://127.0.0.1:{house.settings['http']['port']}/api/admin/reconciliation/status"
        headers = {"Authorization": f"Bearer {out.strip()}"}
        async with house.session.get(url, headers=headers) as answer:
            assert answer.status == 200

        status, _, err = await gateway("run", *at)
        assert status == 75
        assert "another gateway" in err

        process.send_signal(signal.SIGTERM)
        log, _ = await process.communicate()
        assert process.returncode == 0
        assert held not in log.decode()

        status, _, err = await gateway("status", *at)
        assert status == 3
        assert "is it running?" in err

        status, out, _ = await gateway("check", *at, "--json")
        assert status == 0, out
        assert {"packages", "database", "Stays", "clock", "lock street", "lock apt-102"} <= {
            one["what"] for one in json.loads(out) if one["good"]
        }


async def test_check_names_what_does_not_work_and_fails(tmp_path):
    async with a_house(tmp_path) as house:
        house.settings = {"http": {"host": "127.0.0.1", "port": free_port()}}
        config = tmp_path / "config.toml"
        config.write_text(house.config_toml().replace("demo-secret", "wrong-secret"))
        await house.hub.cut()
        status, out, _ = await gateway("check", "-c", str(config), "--json")
        bad = {one["what"]: one["detail"] for one in json.loads(out) if not one["good"]}
        assert status == 1
        assert "check client_id and client_secret" in bad["Stays"]
        assert set(bad) == {"Stays", "lock apt-101", "lock apt-102"}
        assert "wrong-secret" not in out


@pytest.mark.parametrize(
    "command", [["run"], ["check"], ["status"], ["reconcile"], ["token"], ["pin", "show", "AB12C"]]
)
async def test_an_invalid_configuration_is_told_whole_and_without_secrets(tmp_path, command):
    async with a_house(tmp_path) as house:
        text = house.config_toml().replace("mk_method", "mk_methot")
        config = tmp_path / "config.toml"
        config.write_text(text + '\n[sote]\npath = "x"\n')
        status, out, err = await gateway(*command, "-c", str(config))
        assert status == 2
        assert "profile" in err
        assert "sote" in err
        assert KEY not in out + err
        assert house.stays.client_secret not in out + err


async def test_without_a_configuration_the_first_thing_to_do_is_told(tmp_path):
    status, _, err = await gateway("run", folder=tmp_path)
    assert status == 2
    assert "config.toml" in err
    assert "config.example.toml" in err


@pytest.mark.parametrize("ttl", ["", "5", "-5m", "1y", "99999d"])
async def test_a_ttl_that_is_none_is_refused(tmp_path, ttl):
    async with a_house(tmp_path) as house:
        (tmp_path / "config.toml").write_text(house.config_toml())
        status, out, err = await gateway("token", f"--ttl={ttl}", folder=tmp_path)
        assert (status, out) == (1, "")
        assert "--ttl is a duration" in err


async def test_the_last_good_configuration_keeps_the_doors_working(tmp_path):
    async with beside_a_daemon(tmp_path) as (_, config, _, process):
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        config.write_text("[stays\n")
        again = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", "--last-good", "-c", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
        )
        lines = []
        while not any("gateway.started" in line for line in lines):
            lines.append((await again.stdout.readline()).decode())
            assert lines[-1], "".join(lines)
        again.send_signal(signal.SIGTERM)
        await again.communicate()
        assert again.returncode == 0
        assert any("running with the last valid one" in line for line in lines)
        assert "config.toml" in lines[0]


async def test_the_simulator_prints_a_configuration_that_works_with_it(tmp_path):
    simulator = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "simulator", f"--http-port={free_port()}"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        text = ""
        while "Casa do Jardim" not in text or not text.endswith('["house"]\n'):
            text += (await simulator.stdout.readline()).decode()
        (tmp_path / "config.toml").write_text(text)
        status, out, _ = await gateway("check", "--json", folder=tmp_path)
        assert status == 0, out
        assert len(json.loads(out)) == 9
    finally:
        simulator.send_signal(signal.SIGTERM)
        await simulator.communicate()
    assert simulator.returncode == 0


async def test_help_names_every_command():
    status, out, _ = await gateway("--help")
    assert status == 0
    named = set(re.findall(r"^. (\w+) ", out, re.MULTILINE))
    commands = {"run", "demo", "simulator", "check", "status", "reconcile", "token", "held", "pin"}
    commands |= {"locks"}
    assert commands <= named


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gateway re", {"reconcile", "reservations", "restore"}),
        ("gateway pin re", {"reissue", "revoke"}),
    ],
)
async def test_a_shell_completes_commands(typed, offered):
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("gateway"),
        stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "_GATEWAY_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
    )
    out, _ = await process.communicate()
    assert set(out.decode().split()) == offered


async def test_a_person_vouches_for_the_clock_by_name_of_the_command_line(tmp_path):
    async with beside_a_daemon(tmp_path) as (_, config, _, _):
        code, out, _ = await gateway("clock", "trust", "-c", str(config), "--json")
        shown = json.loads(out)
        assert (code, shown["trusted"]) == (0, True)
        assert "person" in shown["vouchedBy"]
        code, out, _ = await gateway("check", "-c", str(config), "--json")
        (clock,) = [one for one in json.loads(out) if one["what"] == "clock"]
        assert clock["good"]
        assert "person" in clock["detail"]


async def test_match_suggests_as_toml_what_is_not_mapped_yet(tmp_path):
    async with beside_a_daemon(tmp_path):
        code, out, _ = await gateway("match", "--json", folder=tmp_path)
        assert code == 0
        assert [one["lock"] for one in json.loads(out)] == ["apt-101", "apt-102"]
        code, out, _ = await gateway("match", folder=tmp_path)
        assert code == 0
        assert "Apto 101" in out
        assert "[[listings]]" not in out  # both are mapped


async def test_the_daemon_starts_without_what_only_some_need():
    code = (
        "import sys, gateway.cli.main, gateway.app;"
        "sys.exit(str({'apprise', 'rapidfuzz', 'gateway.simulator'} & set(sys.modules)))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE
    )
    assert (await process.communicate())[1] == b"set()\n"
