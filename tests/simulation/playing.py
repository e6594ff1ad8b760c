"""Plays a story to its end, or to the first invariant that does not hold."""

import gc
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import time_machine

from gateway.observability import configure_logging
from tests.simulation.machine import Machine, one_thread
from tests.simulation.oracle import Violation
from tests.simulation.world import World


@dataclass(frozen=True)
class Outcome:
    """How a story ended. `which`: the letter of the invariant that was broken, None: none.

    `letters`: those of all that were broken at once.
    """

    seed: int
    which: str | None
    text: str
    digest: str
    seconds: float  # of processor time
    trace: tuple[str, ...] = ()
    letters: str = ""


def play(story, folder):
    """Play one story in this process; it is not to be used for anything else afterwards."""
    began = time.process_time()
    gc.disable()
    random.seed(story.seed)
    log = io.StringIO()
    configure_logging(level="debug", format="json", stream=log)
    which, text, letters = None, "", ""
    with time_machine.travel(story.start, tick=False) as traveller:
        loop = Machine(traveller, random.Random(f"machine {story.seed}"), story.start)
        world = World(story, folder, loop)
        try:
            with one_thread(loop):
                loop.run_until_complete(world.play())
                loop.run_until_complete(world.watcher.check_log(log.getvalue()))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            violation = _violation_in(error)
            if violation is not None:
                broken = (violation, *violation.also)
                which, letters = violation.which, "".join(sorted({one.which for one in broken}))
                text = "; ".join(dict.fromkeys(map(str, broken)))
            else:  # a mistake of the simulation itself
                which, text = "!", "".join(traceback.format_exception(error))
    return Outcome(
        story.seed,
        which,
        text,
        world.digest(),
        time.process_time() - began,
        tuple(world.trace),
        letters,
    ), log.getvalue()


def _violation_in(error):
    """The violation in an error, however deep in groups of tasks; None without one."""
    if isinstance(error, Violation):
        return error
    inner = error.exceptions if isinstance(error, ExceptionGroup) else ()
    return next((found for one in inner if (found := _violation_in(one))), None)


def play_apart(story, prepare=None):
    """Play a story in a child process: what a killed gateway leaves behind goes with it.

    `prepare` runs in the child before. The outcome, and the gateway's log if it went wrong.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        folder = Path(tempfile.mkdtemp(dir=_disk()))
        try:
            if prepare is not None:
                prepare()
            outcome, log = play(story, folder)
            body = json.dumps([outcome.__dict__, log if outcome.which else ""]).encode()
        except BaseException as error:  # noqa: BLE001 - told to the parent
            text = "".join(traceback.format_exception(error))
            lost = Outcome(story.seed, "!", text, "", 0.0)
            body = json.dumps([lost.__dict__, ""]).encode()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(body)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        body = pipe.read()
    os.waitpid(child, 0)
    found, log = json.loads(body)
    return Outcome(**found | {"trace": tuple(found["trace"])}), log


def _disk():
    """Memory that looks like a disk, where there is some."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
