"""Killed at every write while a guest's PIN is sent: never sent twice, never lost in silence."""

import asyncio
import io
import json
import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.domain import events
from gateway.observability import configure_logging
from tests.crash import Kill, Supervisor, When, run_mortal
from tests.doorstep import Doorstep, Family
from tests.house import START, assert_keeps_secrets, at

HOUR, DAY, MINUTE, SECOND = (
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)
FAMILY = Family("mk_method", "3.3", hub=False)


class Post(ThreadingHTTPServer):
    """A receiver in a thread of its own: what is sent to it is waited for inside the loop."""

    def __init__(self):
        self.got = []
        super().__init__(("127.0.0.1", 0), _Taking)

    def url(self, path):
        return f"json://127.0.0.1:{self.server_port}/{path}"

    def titles(self, path):
        return [title for where, title in self.got if path in where]

    @asynccontextmanager
    async def serving(self):
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, body["title"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args):
        """Nothing on standard error."""


def play(folder, kill=None):
    """What was written while the message left, and who was told what in the end."""
    found = {}

    async def main(clock):
        log, post = io.StringIO(), Post()
        configure_logging(level="debug", format="json", stream=log)
        async with post.serving():
            house = Doorstep(
                folder,
                clock,
                family=FAMILY,
                messages={"guest_url": post.url("guest/{phone}")},
                notify=[{"url": post.url("host"), "events": ["message.failed"]}],
            )
            async with house.standing():
                asyncio.get_running_loop().names = {house.peer.port: "lock"}
                supervisor = Supervisor(house, kill)
                async with supervisor.supervising():
                    stay = house.book(house.flat, 3 * HOUR, DAY)
                    await at(house, START + HOUR - SECOND)
                    supervisor.count(on=True)
                    await at(house, START + HOUR + 2 * MINUTE)
                    supervisor.count(on=False)
                    await at(house, START + 5 * HOUR)
                    shown = await house.stay(stay)
                found["story"] = [
                    one["event"] for one in shown["audit"] if one["event"].startswith("message.")
                ]
        found["guest"], found["host"] = len(post.titles("guest")), len(post.titles("host"))
        found["writes"], found["struck"] = supervisor.writes, supervisor.struck
        assert_keeps_secrets(log.getvalue(), house.secrets())

    run_mortal(main, start=START)
    return found


@pytest.mark.timeout(300)
def test_a_guest_is_told_once_or_the_host_is_told_wherever_it_is_killed(tmp_path):
    whole = play(tmp_path / "whole")
    assert (whole["guest"], whole["host"], whole["story"]) == (1, 0, [events.MESSAGE_SENT])
    outcomes = set()
    for number, label in enumerate(whole["writes"]):
        for when in (When.BEFORE, When.AFTER):
            end = play(tmp_path / f"{number}-{when}" / "state", Kill(number, when))
            where = f"killed {when} write {number} ({label})"
            assert end["struck"], where
            assert end["guest"] <= 1, where
            if end["host"]:
                assert end["story"] == [events.MESSAGE_FAILED], where
            else:
                assert (end["guest"], end["story"]) == (1, [events.MESSAGE_SENT]), where
            outcomes.add((end["guest"], end["host"]))
    # killed before it left, and after it arrived: nobody can tell the two apart
    assert outcomes == {(1, 0), (0, 1), (1, 1)}
