"""The HTTP API as an admin's curl meets it: a running gateway, real sockets, virtual time."""

import asyncio
import json
import re
import socket
import sqlite3
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import jwt
import pytest

from gateway.domain import events
from gateway.simulator.broadcasts import Announced
from gateway.store.database import Database
from gateway.tuya.discovery import Discovery
from gateway.web.tls import ensure_certificate
from tests.builders import utc
from tests.house import START, UNHURRIED, a_house, at, living
from tests.lan.ports import free_ports
from tests.virtual_time import run_virtual

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
STATUS = "/api/admin/reconciliation/status"
RUN = "/api/admin/reconciliation/run"


async def raw(house, method, path, *, scheme="http", **options):
    """Status, headers and text, with no token but the one in `headers`."""
    url = f"{scheme}://127.0.0.1:{house.gateway.listener.port}{path}"
    async with house.session.request(method, url, **options) as response:
        return response.status, response.headers, await response.text()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# --- the status ------------------------------------------------------------------------------------


def test_the_status_is_the_specs_byte_for_byte(tmp_path):
    async def story(house):
        house.book(house.flat_101, DAY, DAY)
        await at(house, START + 30 * MINUTE + timedelta(seconds=5))
        status, headers, text = await raw(house, "GET", STATUS, headers=bearer(house.token))
        run = json.loads(text)["data"]["lastRun"]
        assert re.fullmatch(r"[0-9a-f-]{36}", run["id"])
        assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
        assert headers["Cache-Control"] == "no-store"
        expected = (
            '{"data": {"lastRun": {"id": "ID", "startedAt": "2026-02-02T15:30:00Z", '
            '"completedAt": "COMPLETED", "duration": DURATION, "status": "success", '
            '"message": null, "stats": {"fetched": 1, "created": 1, "updated": 0, "orphaned": 0, '
            '"deleted": 0, "errors": 0}}, "nextRun": "2026-02-02T16:00:00Z", '
            '"currentStatus": "success", "schedule": "*/30 * * * * (Every 30 minutes)"}}'
        )
        for word, value in {
            "ID": run["id"],
            "COMPLETED": run["completedAt"],
            "DURATION": str(run["duration"]),
        }.items():
            expected = expected.replace(word, value)
        assert text == expected

    living(tmp_path, story)


def test_the_status_is_never_run_before_the_first_run(tmp_path):
    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with Database.open(tmp_path / "gateway.db"):
                pass
            refuse_runs(tmp_path)
            async with house.running():
                shown = await house.status()
        assert shown["lastRun"] is None
        assert shown["currentStatus"] == "never_run"
        assert shown["nextRun"] == "2026-02-02T15:30:00Z"

    run_virtual(main, start=START)


def refuse_runs(folder):
    """The database takes no new run, as when the disk is full."""
    (path,) = folder.glob("*.db")
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON reconciliation_logs"
            " BEGIN SELECT raise(ABORT, 'full'); END"
        )
    database.close()


def test_while_a_run_is_under_way_the_status_is_pending_and_another_is_refused(tmp_path):
    async def story(house):
        before = (await house.status())["lastRun"]
        house.stays.faults.status, house.stays.faults.retry_after = 503, 60
        assert (await house.api("POST", RUN))[0] == 202
        await house.clock.sleep(1)
        shown = await house.status()
        assert shown["currentStatus"] == "pending"
        assert shown["lastRun"] == before
        status, body = await house.api("POST", RUN)
        assert (status, body["error"]["code"]) == (409, "run_in_progress")
        house.stays.faults.status = None
        run = await house.next_run_after(before, seconds=120)
        assert run["status"] == "success"

    living(tmp_path, story)


def test_a_failed_run_shows_as_failed_with_what_to_do(tmp_path):
    async def story(house):
        house.stays.faults.html = True
        await house.reconciled()
        shown = await house.status()
        assert shown["currentStatus"] == shown["lastRun"]["status"] == "failed"
        assert "check [stays] url" in shown["lastRun"]["message"]

    living(tmp_path, story)


def test_the_next_run_is_the_schedulers_own(tmp_path):
    async def story(house):
        assert (await house.status())["nextRun"] == "2026-02-02T15:10:00Z"
        await at(house, START + 10 * MINUTE + timedelta(seconds=3))
        shown = await house.status()
        assert shown["lastRun"]["startedAt"] == "2026-02-02T15:10:00Z"
        assert shown["nextRun"] == "2026-02-02T16:10:00Z"
        assert shown["schedule"] == "10 * * * * (Every hour at minute 10)"

    living(tmp_path, story, stays={"schedule": "10 * * * *"})


def test_the_log_of_runs_is_shown_newest_first(tmp_path):
    async def story(house):
        for _ in range(51):
            await house.reconciled()
        newest = (await house.status())["lastRun"]
        _, first = await house.api("GET", "/api/admin/reconciliation/runs")
        _, second = await house.api("GET", "/api/admin/reconciliation/runs?page=2")
        assert first["total"] == second["total"]
        assert (len(first["data"]), len(second["data"])) == (50, first["total"] - 50)
        assert first["data"][0] == newest
        started = [run["startedAt"] for run in first["data"] + second["data"]]
        assert started == sorted(started, reverse=True)

    living(tmp_path, story)


# --- who may ask -----------------------------------------------------------------------------------


def signed(house, key=None, algorithm="HS256", **changes):
    """A token of the gateway's own secret, but for what is changed; None leaves a claim out."""
    now = house.clock.now()
    claims = {"sub": "ana", "role": "admin", "iat": now, "exp": now + HOUR} | changes
    secret = (house.folder / "jwt.secret").read_text().strip() if key is None else key
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, secret, algorithm=algorithm)


READS = [
    STATUS,
    "/api/admin/reconciliation/runs",
    "/api/admin/reconciliation/held",
    "/api/admin/reservations",
    "/api/admin/reservations/{code}",
    "/api/admin/reservations/{code}/pin",
    "/api/admin/locks",
    "/api/admin/locks/apt-101",
    "/api/admin/access",
    "/api/admin/audit",
    "/api/admin/clock",
    "/healthz",
    "/readyz",
    "/metrics",
]


def test_what_is_shown_waits_for_no_transaction(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -HOUR, DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        database, end = house.gateway._database, asyncio.Event()

        async def body(session):
            await session.execute("DELETE FROM reservations WHERE origin = 'nobody'")
            await end.wait()

        writing = asyncio.ensure_future(database.transaction(body))
        try:
            for path in READS:
                url = f"http://127.0.0.1:{house.gateway.listener.port}{path.format(code=stay)}"
                headers = {"Authorization": f"Bearer {house.token}"}
                async with house.session.get(url, headers=headers) as response:
                    assert (path, response.status) == (path, 200)
        finally:
            end.set()
            await writing

    living(tmp_path, story)


UNAUTHORIZED = {
    "no header at all": lambda _: {},
    "another scheme": lambda _: {"Authorization": "Basic YWRtaW46YWRtaW4="},
    "an empty token": lambda _: bearer(""),
    "garbage": lambda _: bearer("a.b.c"),
    "another key": lambda house: bearer(signed(house, key="0" * 64)),
    "no signature": lambda house: bearer(signed(house, key="", algorithm="none")),
    "an expired token": lambda house: bearer(signed(house, exp=house.clock.now())),
    "no end": lambda house: bearer(signed(house, exp=None)),
    "an end that is no time": lambda house: bearer(signed(house, exp="tomorrow")),
    "no subject": lambda house: bearer(signed(house, sub=None)),
}


@pytest.mark.parametrize("headers", UNAUTHORIZED.values(), ids=UNAUTHORIZED)
def test_without_a_valid_token_every_route_of_the_api_answers_401(tmp_path, headers):
    async def story(house):
        for method, path in [
            ("GET", STATUS),
            ("POST", RUN),
            ("GET", "/api/admin/reservations"),
            ("GET", "/api/admin/reservations/AB12C/pin?reveal=true"),
            ("GET", "/api/admin/nowhere"),
        ]:
            status, _, text = await raw(house, method, path, headers=headers(house))
            assert status == 401
            assert json.loads(text)["error"]["code"] == "unauthorized"

    living(tmp_path, story)


@pytest.mark.parametrize("role", ["guest", "", None, ["admin"]])
def test_a_valid_token_of_another_role_is_answered_403(tmp_path, role):
    async def story(house):
        status, _, text = await raw(house, "GET", STATUS, headers=bearer(signed(house, role=role)))
        assert status == 403
        assert json.loads(text)["error"]["code"] == "forbidden"

    living(tmp_path, story)


def test_the_scheme_of_the_token_may_be_written_in_any_case(tmp_path):
    async def story(house):
        headers = {"Authorization": f"bearer {signed(house)}"}
        assert (await raw(house, "GET", STATUS, headers=headers))[0] == 200

    living(tmp_path, story)


def test_after_five_bad_tokens_an_address_of_the_lan_waits_a_minute(tmp_path):
    async def story(house):
        good, bad = bearer(house.token), bearer("a.b.c")
        answers = [(await raw(house, "GET", STATUS, headers=bad))[0] for _ in range(6)]
        assert answers == [401] * 5 + [429]
        assert (await raw(house, "GET", STATUS, headers=good))[0] == 429
        await house.clock.sleep(61)
        assert (await raw(house, "GET", STATUS, headers=good))[0] == 200

    living(tmp_path, story, on_lan=True)


def test_this_machine_itself_is_never_made_to_wait(tmp_path):
    async def story(house):
        for _ in range(20):
            assert (await raw(house, "GET", STATUS, headers=bearer("a.b.c")))[0] == 401
        assert (await house.api("GET", STATUS))[0] == 200

    living(tmp_path, story)


def test_a_web_page_may_change_nothing(tmp_path):
    async def story(house):
        status, body = await house.api("POST", RUN, headers={"Origin": "http://evil.example"})
        assert (status, body["error"]["code"]) == (403, "forbidden")

    living(tmp_path, story)


# --- reservations ----------------------------------------------------------------------------------


def test_a_reservation_is_shown_by_either_id_as_specified(tmp_path):
    async def story(house):
        stay = house.book(house.flat_102, HOUR, 3 * DAY, guest="Guest Two", partner_code="HM1")
        await house.reconciled()
        await house.pin_status(stay, "active")
        code = house.stays.code(stay)

        async def with_guest():
            shown = await house.stay(stay)
            return shown if shown["guest"]["name"] else None

        shown = await house.until(with_guest)
        assert shown == await house.stay(code)
        story = shown.pop("audit")
        (apt, street) = shown.pop("credentials")
        assert shown == {
            "id": stay,
            "code": code,
            "listing": {
                "id": house.flat_102,
                "code": house.stays.listings[house.flat_102]["id"],
                "name": "Apto 102",
            },
            "type": "booked",
            "status": "confirmed",
            "checkIn": "2026-02-02T16:00:00Z",
            "checkOut": "2026-02-05T16:00:00Z",
            "guest": {
                "name": "Guest Two",
                "phone": house.stays.clients[house.stays.reservations[stay]["_idclient"]]["phones"][
                    0
                ]["iso"],
            },
            "channel": "API airbnb",
            "pinStatus": "active",
        }
        assert (apt["lock"], street["lock"]) == ("apt-102", "street")
        assert apt | {"confirmedAt": None} == {
            "id": f"{code}-apt-102",
            "lock": "apt-102",
            "evidence": "confirmed",
            "isActive": True,
            "validFrom": "2026-02-02T14:00:00Z",
            "validUntil": "2026-02-06T16:00:00Z",
            "confirmedAt": None,
            "revokedAt": None,
            "reason": None,
            "nextAttemptAt": "2026-02-06T16:00:00Z",
        }
        assert apt["confirmedAt"] >= "2026-02-02T15:00:00Z"
        assert {"at", "actor", "event", "detail"} == set(story[0])
        assert "credential.confirmed" in {one["event"] for one in story}

    living(tmp_path, story)


def test_reservations_are_listed_by_arrival_fifty_a_page(tmp_path):
    async def story(house):
        for day in range(52):
            house.book(house.flat_101, (52 - day) * DAY, 20 * HOUR)
        await house.reconciled()
        _, first = await house.api("GET", "/api/admin/reservations")
        _, second = await house.api("GET", "/api/admin/reservations?page=2")
        _, third = await house.api("GET", "/api/admin/reservations?page=3")
        assert [len(page["data"]) for page in (first, second, third)] == [50, 2, 0]
        assert {page["total"] for page in (first, second, third)} == {52}
        assert [page["page"] for page in (first, second, third)] == [1, 2, 3]
        arrivals = [one["checkIn"] for one in first["data"] + second["data"]]
        assert arrivals == sorted(arrivals)
        assert "audit" not in first["data"][0]

    living(tmp_path, story)


def test_reservations_are_filtered_by_status_and_by_dates(tmp_path):
    async def story(house):
        gone = house.book(house.flat_101, -26 * HOUR, 25 * HOUR)
        here = house.book(house.flat_101, 0 * HOUR, 2 * DAY)
        cancelled = house.book(house.flat_102, 3 * DAY, DAY)
        hold = house.book(house.flat_102, 5 * DAY, DAY, type="reserved")
        blocked = house.book(house.flat_102, 7 * DAY, DAY, type="maintenance")
        deleted = house.book(house.flat_101, 7 * DAY, DAY)
        await house.reconciled()
        house.stays.cancel(cancelled)
        house.stays.delete(deleted)
        await house.reconciled()

        async def ids(query):
            status, body = await house.api("GET", f"/api/admin/reservations?{query}")
            assert status == 200
            assert body["total"] == len(body["data"])
            return {one["id"] for one in body["data"]}

        assert await ids("status=confirmed") == {here}
        assert await ids("status=completed") == {gone}
        assert await ids("status=cancelled") == {cancelled, deleted}
        assert await ids("status=pending") == {hold}
        assert await ids("status=blocked") == {blocked}
        assert await ids("from=2026-02-09") == {blocked, deleted}
        assert await ids("to=2026-02-02") == {gone}
        assert await ids("from=2026-02-02T14:00:00Z&to=2026-02-02T15:00:01Z") == {here}
        assert await ids("from=2026-02-05&to=2026-02-06&status=blocked") == set()

    living(tmp_path, story)


@pytest.mark.parametrize(
    "query",
    [
        *("page=0", "page=-1", "page=x", "page=%C2%B2", "page=9" + "9" * 30),
        *("status=gone", "status=", "from=yesterday", "from=2026-02-30"),
        *("to=2026-02-01T10:00:00", "to="),
    ],
)
def test_a_query_that_makes_no_sense_is_answered_400_with_what_would(tmp_path, query):
    async def story(house):
        status, body = await house.api("GET", f"/api/admin/reservations?{query}")
        assert (status, body["error"]["code"]) == (400, "bad_request")
        assert body["error"]["message"].startswith(query.split("=")[0])

    living(tmp_path, story)


# --- PINs ------------------------------------------------------------------------------------------


def test_a_pin_is_masked_unless_asked_for_and_each_reveal_is_in_the_stays_story(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 3 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        path = f"/api/admin/reservations/{house.stays.code(stay)}/pin"
        _, masked = await house.api("GET", path)
        assert re.fullmatch(r"\*{4}\d\d", masked["data"]["pin"])
        assert masked["data"]["expiresAt"] == "2026-02-06T16:00:00Z"
        assert [door["lock"] for door in masked["data"]["doors"]] == ["apt-101", "street"]
        assert await revealed(house, stay) == 0

        pin = await house.pin(stay)
        assert pin.endswith(masked["data"]["pin"][-2:])
        assert house.apt_101.try_pin(pin)
        assert await revealed(house, stay) == 1

    living(tmp_path, story)


async def revealed(house, stay):
    story = (await house.stay(stay))["audit"]
    return [(one["event"], one["actor"]) for one in story].count((events.PIN_REVEALED, "tester"))


def test_a_stay_without_a_pin_has_none_to_show(tmp_path):
    async def story(house):
        later = house.book(house.flat_101, 9 * DAY, DAY)
        await house.reconciled()
        for id_ in (later, "AB12C", "%27%20OR%201=1"):
            status, body = await house.api("GET", f"/api/admin/reservations/{id_}/pin")
            assert (status, body["error"]["code"]) == (404, "not_found")

    living(tmp_path, story)


def test_no_listing_holds_a_pin(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 3 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
        for path in ("reservations", f"reservations/{stay}", "locks", "reconciliation/runs"):
            _, _, text = await raw(house, "GET", f"/api/admin/{path}", headers=bearer(house.token))
            assert pin not in text

    living(tmp_path, story)


# --- off loopback ----------------------------------------------------------------------------------


def test_on_the_lan_without_tls_one_may_read_but_neither_reveal_nor_change(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 3 * DAY)
        await at(house, START + 30 * MINUTE + timedelta(seconds=20))
        assert (await house.api("GET", STATUS))[0] == 200
        path = f"/api/admin/reservations/{stay}/pin"
        assert (await house.api("GET", path))[0] == 200
        for method, one in [("GET", f"{path}?reveal=true"), ("POST", RUN)]:
            status, body = await house.api(method, one)
            assert (status, body["error"]["code"]) == (403, "insecure_channel")
        assert await revealed(house, stay) == 0

    living(tmp_path, story, on_lan=True)


def test_an_owner_may_allow_it_all_without_tls(tmp_path):
    async def story(house):
        assert (await house.api("POST", RUN))[0] == 202

    living(tmp_path, story, on_lan=True, http={"insecure_lan": True})


def test_one_port_speaks_http_and_tls(tmp_path):
    cert, key = ensure_certificate(tmp_path, utc("2026-02-01 00:00"))
    trusting = ssl.create_default_context(cafile=str(cert))

    async def story(house):
        headers = bearer(house.token)
        assert (await raw(house, "GET", STATUS, headers=headers))[0] == 200
        for _ in range(2):
            status, _, _ = await raw(
                house, "POST", RUN, scheme="https", ssl=trusting, headers=headers
            )
            assert status in {202, 409}

    living(tmp_path, story, on_lan=True, http={"tls_cert": str(cert), "tls_key": str(key)})


def test_tls_is_refused_where_there_is_none(tmp_path):
    async def story(house):
        with pytest.raises(aiohttp.ClientConnectorError):
            await raw(house, "GET", "/healthz", scheme="https", ssl=False)
        assert (await raw(house, "GET", "/healthz"))[0] == 200

    living(tmp_path, story)


# --- clients at their worst ------------------------------------------------------------------------


@asynccontextmanager
async def connected(house):
    reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.listener.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def test_a_connection_that_says_nothing_is_closed_and_hinders_nobody(tmp_path):
    async def story(house):
        async with connected(house) as (reader, _):
            began = house.clock.monotonic()
            assert (await house.api("GET", STATUS))[0] == 200
            assert await reader.read() == b""
            assert house.clock.monotonic() - began <= 6

    living(tmp_path, story)


def test_a_client_of_the_lan_holds_eight_connections_and_no_more(tmp_path):
    async def story(house):
        async with twelve_connected(house) as clients:
            for _, writer in clients:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await writer.drain()
            answers = [await first_line(reader) for reader, _ in clients]
        # the house itself keeps one connection open
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 7
        assert answers.count(b"") == 5

    living(tmp_path, story, on_lan=True)


@asynccontextmanager
async def twelve_connected(house):
    clients = [
        await asyncio.open_connection("127.0.0.1", house.gateway.listener.port) for _ in range(12)
    ]
    try:
        yield clients
    finally:
        for _, writer in clients:
            writer.close()


async def first_line(reader):
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x00\x55\xaa\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/admin/reconciliation/run HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_an_error_and_hinders_nobody(tmp_path, request_):
    async def story(house):
        async with connected(house) as (reader, writer):
            writer.write(request_)
            line = await first_line(reader)
            assert line == b"" or b" 400 " in line
        assert (await house.api("GET", STATUS))[0] == 200

    living(tmp_path, story)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"action": "maybe"}', b"[" * 10_000, b"\xff"])
def test_a_body_that_makes_no_sense_is_answered_400(tmp_path, body):
    async def story(house):
        status, answer = await house.api("POST", "/api/admin/reconciliation/held", data=body)
        assert (status, answer["error"]["code"]) == (400, "bad_request")

    living(tmp_path, story)


def test_a_body_that_is_too_long_is_answered_413(tmp_path):
    async def story(house):
        path = "/api/admin/reconciliation/held"
        status, body = await house.api("POST", path, data=b" " * 17_000)
        assert (status, body["error"]["code"]) == (413, "too_large")

    living(tmp_path, story)


def test_unknown_routes_and_methods_are_told_apart(tmp_path):
    async def story(house):
        for method, path, expected in [
            ("GET", "/api/admin/nowhere", (404, "not_found")),
            ("GET", "/nowhere", (404, "not_found")),
            ("DELETE", STATUS, (405, "method_not_allowed")),
            ("GET", "/api/admin/reservations/AB12C", (404, "not_found")),
            ("GET", "/api/admin/locks/nowhere", (404, "not_found")),
        ]:
            status, body = await house.api(method, path)
            assert (status, body["error"]["code"]) == expected

    living(tmp_path, story)


# --- locks and health ------------------------------------------------------------------------------


def test_locks_are_shown_with_what_is_known_of_them(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 3 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        await house.hub.cut()

        async def lost():
            _, body = await house.api("GET", "/api/admin/locks")
            return body["data"] if body["data"][1]["reachable"] is False else None

        street, apt_101, apt_102 = await house.until(lost, seconds=7200)
        assert set(street) == {
            *("name", "reachable", "since", "lastSeenAt", "reason", "battery", "alarm"),
            *("door", "openedAt", "hijackedAt", "doorbellAt", "clockSkew"),
            *("listedAt", "foreignCodes", "strayCodes", "codes", "waiting", "configured"),
        }
        assert (street["name"], street["reachable"], street["codes"]) == ("street", True, 1)
        assert (apt_101["reachable"], apt_101["codes"]) == (False, 1)
        assert apt_101["reason"]
        assert apt_102["codes"] == 0
        _, one = await house.api("GET", "/api/admin/locks/apt-101")
        assert one["data"] == apt_101

    living(tmp_path, story)


def test_what_is_heard_on_the_lan_is_told(tmp_path):
    ports = free_ports()
    told = Announced(device_id="bf01", address="192.0.2.7", version="3.5", product="key1")

    async def story(house):
        path = "/api/admin/locks/sightings?seconds=0.5"
        asked = asyncio.ensure_future(house.api("GET", path))
        await house.clock.sleep(0.2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            mouth.sendto(told.datagram(), ("127.255.255.255", ports[1]))
        status, body = await asked
        heard = {"deviceId": "bf01", "address": "192.0.2.7", "version": "3.5", "product": "key1"}
        assert (status, body["data"]) == (200, [heard])

    living(tmp_path, story, discovery=Discovery(ports))


@pytest.mark.parametrize("seconds", ["0", "4.5", "-1", "x", "", "nan", "1e9", "²"])
def test_listening_for_a_time_that_makes_no_sense_is_answered_400(tmp_path, seconds):
    async def story(house):
        status, body = await house.api("GET", f"/api/admin/locks/sightings?seconds={seconds}")
        assert (status, body["error"]["code"]) == (400, "bad_request")
        assert "up to 4" in body["error"]["message"]

    living(tmp_path, story)


def test_a_port_that_another_program_holds_is_told(tmp_path):
    ports = free_ports()

    async def story(house):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
            holder.bind(("127.0.0.1", ports[0]))
            status, body = await house.api("GET", "/api/admin/locks/sightings?seconds=1")
        assert (status, body["error"]["code"]) == (503, "cannot_listen")
        assert f"UDP port {ports[0]}" in body["error"]["message"]

    living(tmp_path, story, discovery=Discovery(ports))


def test_health_needs_no_token_and_tells_no_name(tmp_path):
    async def story(house):
        for path, body in [("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})]:
            status, _, text = await raw(house, "GET", path)
            assert (status, json.loads(text)) == (200, body)

    living(tmp_path, story)


# --- matching --------------------------------------------------------------------------------------


def test_matches_are_suggested_from_the_listings_of_stays(tmp_path):
    async def story(house):
        for number in range(45):  # pages of twenty
            house.stays.add_listing(f"Flat {2000 + number}")
        path = "/api/admin/matches/suggestions"
        status, body = await house.api("GET", path)
        assert status == 200
        assert [(one["lock"], one["listing"]["name"], one["mapped"]) for one in body["data"]] == [
            ("apt-101", "Apto 101", True),
            ("apt-102", "Apto 102", True),
        ]
        assert all(one["score"] == 1.0 and "10" in one["reason"] for one in body["data"])
        assert len((await house.api("GET", f"{path}?maxSuggestions=1"))[1]["data"]) == 1
        for query in ("threshold=2", "threshold=x", "maxSuggestions=-1", "threshold=nan"):
            assert (await house.api("GET", f"{path}?{query}"))[0] == 400
        house.stays.faults.status = 401
        status, body = await house.api("GET", path)
        assert (status, body["error"]["code"]) == (503, "stays_refused")
        assert house.stays.client_secret not in body["error"]["message"]

    living(tmp_path, story)


def test_a_guests_message_is_ready_to_send_and_its_reading_is_audited(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, DAY)
        path = f"/api/admin/reservations/{stay}/message"
        await house.reconciled()
        await house.pin_status(stay, "active")
        await house.clock.sleep(30)
        pin = await house.pin(stay)
        status, body = await house.api("GET", path)
        assert status == 200
        assert pin in body["data"]["text"]
        assert body["data"]["link"].startswith("https://wa.me/5511")
        assert pin in body["data"]["link"]
        assert body["data"]["confirmed"] is True
        audit = (await house.stay(stay))["audit"]
        assert [one["actor"] for one in audit if one["event"] == events.PIN_REVEALED] == [
            "tester",
            "tester",
        ]
        assert (await house.api("GET", "/api/admin/reservations/nobody/message"))[0] == 404
        later = house.book(house.flat_102, 5 * DAY, DAY)
        await house.reconciled()
        assert (await house.api("GET", f"/api/admin/reservations/{later}/message"))[0] == 404

    living(tmp_path, story)


def test_a_guests_message_is_not_shown_in_the_clear_on_the_lan(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, DAY)
        await at(house, START + 31 * MINUTE)
        path = f"/api/admin/reservations/{stay}/message"
        status, body = await house.api("GET", path)
        assert (status, body["error"]["code"]) == (403, "insecure_channel")

    living(tmp_path, story, on_lan=True)
