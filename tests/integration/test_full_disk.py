"""The whole gateway on a real file system of 3 MiB that fills up, fails and recovers."""

import asyncio
import json
import os
import sys

import pytest

from tests.full_disk import STORIES


@pytest.mark.parametrize("story", STORIES)
async def test_the_doors_stay_right_and_it_recovers_by_itself(tmp_path, story):
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--map-root-user", "--mount"),
        *(sys.executable, "-m", "tests.full_disk", str(tmp_path), story),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    assert json.loads(out) == {"integrity": "ok", "unsettled": 0}
