"""What the manual says to type works as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.test_command_line import beside_a_daemon, gateway

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy/pi/README.md"]

# As much of curl as the manual uses; a fresh machine may not have it.
CURL = """#!{python}
import argparse, sys, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-X", default="GET")
parser.add_argument("url")
given = parser.parse_args()
headers = dict(one.split(": ", 1) for one in given.H)
request = urllib.request.Request(given.url, headers=headers, method=given.X)
sys.stdout.write(urllib.request.urlopen(request).read().decode())
"""


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def headings(page):
    """What a link to a part of a page may name, as GitHub makes it."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in titles}


SCRIPTS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "sh"))
]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_the_manual_says_to_type_beside_a_daemon_works(tmp_path, script):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "curl").write_text(CURL.format(python=sys.executable))
    (tools / "gateway").write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    async with beside_a_daemon(tmp_path, code="AB12C") as (house, _, stay, _):

        async def idle():
            return (await gateway("reconcile", folder=tmp_path))[0] == 0

        await house.until(idle, seconds=60)
        process = await asyncio.create_subprocess_exec(
            *("sh", "-euxc", script.replace("8080", str(house.settings["http"]["port"]))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": f"{tools}:{os.environ['PATH']}"},
            cwd=tmp_path,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        assert house.stays.code(stay) == "AB12C"


def test_every_file_target_and_command_that_the_manual_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        text = page.read_text()
        for link, part in re.findall(r"\]\(([^)#:]*)#?([^)#:]*)\)", text):
            target = page.parent / link if link else page
            assert target.exists(), (page.name, link)
            assert not part or part in headings(target), (page.name, part)
        for block in blocks(page, "console"):
            for line in block.splitlines():
                words = line.removeprefix("$ ").removeprefix("sudo ").split()
                match words:
                    case ["make", *named]:
                        assert set(named) <= targets
                    case ["gateway", command, *_]:
                        assert command in {"check", "status", "run", "clock", "restore"}
                    case [script, *_] if "/" in script:
                        assert os.access(ROOT / script, os.X_OK)
                    case _:
                        assert words[0] in {"nano", "systemctl", "journalctl", "timedatectl"}
