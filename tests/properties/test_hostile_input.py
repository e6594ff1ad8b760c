"""Whatever Stays, the LAN or the file says: nothing is revoked, nothing crashes, no secret is told."""

import asyncio
import json
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gateway.clock import SystemClock
from gateway.config import load
from gateway.errors import ConfigError, MalformedReservationError
from gateway.stays import wire
from tests.house import a_house

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
pytestmark = pytest.mark.timeout(280)

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False),
        st.text(max_size=12),
        st.sampled_from(["booked", "canceled", "2026-02-03", "0001-01-01", "9999-12-31", "25:00"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
DATES = st.one_of(
    *[st.integers(-9, 9).map(lambda days: str(SystemClock().now().date() + timedelta(days)))] * 4,
    st.dates().map(str),
    st.sampled_from(["0001-01-01", "9999-12-31", "2026-02-30", "2099-12-31", "2000-01-01"]),
)


def rows(ids):
    """Rows of our listings that would be right but for a few fields."""
    right = st.fixed_dictionaries(
        {
            "_id": st.one_of(st.sampled_from(ids), st.text("abcdef", min_size=24, max_size=24)),
            "id": st.text("ABC123", min_size=5, max_size=6),
            "type": st.sampled_from(["booked", "contract", "reserved", "blocked", "canceled"]),
            "_idlisting": st.sampled_from(ids),
            "checkInDate": DATES,
            "checkOutDate": DATES,
            "checkInTime": st.sampled_from(["15:00", "", "00:00", "23:59:59"]),
            "checkOutTime": st.just("11:00"),
        }
    )
    fields = st.sampled_from(
        [
            *("_id", "id", "type", "_idlisting", "checkInDate", "checkOutDate", "checkInTime"),
            *("checkOutTime", "_idclient", "partnerCode", "partner", "guestsDetails"),
        ]
    )
    spoilt = st.dictionaries(fields, st.one_of(JSON, DATES), max_size=2)
    return st.builds(dict.__or__, right, spoilt)


@given(st.one_of(JSON, rows(["a" * 24])))
def test_a_row_of_stays_is_a_reservation_or_malformed(row):
    problem = None
    try:
        wire.reservation(row)
    except MalformedReservationError as error:
        problem = error
    assert problem is None or len(problem.reservation_id) <= 64
    wire.guest_of_detail(row)
    wire.guest_of_client(row)
    wire.accommodation(row, "asked")


class LivingHouse:
    """A house with its gateway in a thread of its own; `do` runs a coroutine there."""

    def __init__(self, folder):
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._done = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),))

    async def _live(self):
        self._done = asyncio.Event()
        try:
            async with a_house(self._folder) as house, house.running():
                self.house = house
                self.stay = house.book(house.flat_101, -HOUR, 3 * DAY)
                await house.reconciled()
                await house.pin_status(self.stay, "active")
                self._up.set()
                await self._done.wait()
        finally:
            self._up.set()

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=40)

    def __enter__(self):
        self._thread.start()
        self._up.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def living_house(tmp_path_factory):
    with LivingHouse(tmp_path_factory.mktemp("house")) as house:
        yield house


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_run_over_hostile_rows_ends_and_takes_nobodys_door(living_house, data):
    house = living_house.house
    hers = house.stays.reservations[living_house.stay]
    ids = [house.flat_101, house.flat_102, "c" * 24]
    house.stays.faults.more_rows = tuple(
        data.draw(st.lists(st.one_of(rows(ids), JSON), min_size=1, max_size=4))
    )
    run = living_house.do(house.reconciled())
    house.stays.faults.more_rows = ()
    assert run["status"] in {"success", "failed"}
    for lock in (house.street, house.apt_101):
        assert lock.opens(living_house.do(house.pin(living_house.stay))), hers["id"]


def answer(port, raw):
    """What comes back for raw bytes, the connection then closed for writing."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        with suppress(OSError):  # hung up at the first bad byte
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while piece := client.recv(65536):
                found += piece
    return found


def statuses(found):
    return [line.split(b" ")[1] for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.")]


HEADER = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30)
PATHS = st.one_of(
    st.sampled_from(
        [
            "/",
            "/healthz",
            "/readyz",
            "/api/admin/reservations",
            "/api/admin/reservations/AB12C",
            "/api/admin/reservations/AB12C/pin",
            "/api/admin/reconciliation/held",
            "/api/admin/locks/street",
        ]
    ),
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0 "), max_size=40).map(
        lambda text: "/" + text
    ),
)
HEADERS = [
    *("Origin", "Content-Type", "Content-Length", "Transfer-Encoding", "Range"),
    *("Upgrade", "Accept-Encoding", "X-Odd"),
]
QUERY = st.dictionaries(
    st.sampled_from(["page", "status", "from", "to", "reveal"]), HEADER, max_size=3
).map(lambda pairs: "&".join(f"{key}={value}" for key, value in pairs.items()).replace(" ", "+"))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_raw_bytes_are_never_answered_with_an_error_of_ours(living_house, raw):
    found = answer(living_house.house.gateway.listener.port, raw)
    assert not any(status.startswith(b"5") for status in statuses(found))


REQUESTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "BREW"]),
        "path": PATHS,
        "query": QUERY,
        "host": st.one_of(st.just("127.0.0.1"), HEADER),
        "signed": st.booleans(),
        "headers": st.dictionaries(st.sampled_from(HEADERS), HEADER, max_size=3),
        # aiohttp itself answers 500 to one that is no ASCII, before any code of ours runs
        "expect": st.one_of(st.just(""), st.text("0123-continue", max_size=12)),
        "body": st.one_of(st.binary(max_size=200), JSON.map(lambda one: json.dumps(one).encode())),
    }
)


@settings(max_examples=150, deadline=None)
@given(REQUESTS)
def test_odd_requests_are_never_answered_with_an_error_of_ours(living_house, request_):
    house, asked = living_house.house, request_
    lines = [f"{asked['method']} {asked['path']}?{asked['query']} HTTP/1.1"]
    lines += [f"Host: {asked['host']}", f"Expect: {asked['expect']}", "Connection: close"]
    if asked["signed"]:
        lines.append(f"Authorization: Bearer {house.token}")
    lines += [f"{name}: {value}" for name, value in asked["headers"].items()]
    if "Content-Length" not in asked["headers"]:
        lines.append(f"Content-Length: {len(asked['body'])}")
    raw = "\r\n".join([*lines, "", ""]).encode("latin-1") + asked["body"]
    found = answer(house.gateway.listener.port, raw)
    assert not any(status.startswith(b"5") for status in statuses(found)), found
    assert asked["signed"] or living_house.stay.encode() not in found


VALUES = st.one_of(
    st.text(max_size=20).map(json.dumps),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(
        ["true", "[]", "{}", '["a"]', "1.5", "1979-05-27", '"2h"', "nan", "'x", "=", ""]
    ),
)
SECRET_KEYS = ("client_id", "client_secret", "local_key", "jwt_secret")
SECRET = "CANARY-0123456789"


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_damaged_file_is_refused_in_words_and_without_its_secrets(tmp_path, data):
    lines = EXAMPLE.read_text().splitlines()
    lines = [
        f'{line.split("=")[0]}= "{SECRET}"' if line.split(" =")[0] in SECRET_KEYS else line
        for line in lines
    ]
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key = lines[number].partition("=")[0]
        secret = key.strip() in SECRET_KEYS
        lines[number : number + 1] = data.draw(
            st.sampled_from(
                [
                    [] if not secret else [lines[number]],
                    [lines[number]] * 2,
                    [f"{key}= {data.draw(VALUES)}"]
                    if not secret
                    else [lines[number].replace('"', "")],
                    [data.draw(st.text(max_size=30)), lines[number]],
                    [f"[{data.draw(st.sampled_from(['site', 'stays', 'x', '[locks]', '[hubs']))}]"],
                ]
            )
        )
    path = tmp_path / "config.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    problem = None
    try:
        load(path, environ={})
    except ConfigError as error:
        problem = error
    assert problem is None or (problem.problems and SECRET not in str(problem))


@given(st.binary(max_size=200))
def test_a_file_of_any_bytes_is_refused_in_words(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert caught.value.problems
