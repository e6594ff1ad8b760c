"""The client of Stays against real HTTP servers on loopback, in virtual time."""

import asyncio
import base64
import gzip
import random
import traceback
import tracemalloc
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, time

import pytest
from aiohttp import web

from gateway.domain.model import Guest, ReservationType
from gateway.errors import MalformedReservationError, StaysRefusedError, StaysUnavailableError
from gateway.feed import Reader, Span
from gateway.ports import Found, Gone
from gateway.simulator.stays import SimulatedStays, StaysFaults
from gateway.stays.client import StaysClient
from tests.builders import utc
from tests.virtual_time import run_virtual

START, END = date(2026, 2, 1), date(2026, 2, 15)
SECRET = "s3cr3t-0f-stays"
BASIC = base64.b64encode(f"login:{SECRET}".encode()).decode()
LIST = "booking/reservations"
MIB = 1024 * 1024
UNAVAILABLE = {503, 500, 502, 504, 429, 408}


@dataclass
class Talk:
    """What a question to a server gave: a result or an error, and what the server saw."""

    result: object = None
    error: Exception | None = None
    asked: list[web.Request] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    seconds: float = 0.0
    client: str = ""

    @property
    def gaps(self):
        return [later - sooner for sooner, later in zip(self.at, self.at[1:], strict=False)]


@asynccontextmanager
async def answering(answer, talk, clock):
    async def handle(request):
        talk.asked.append(request)
        talk.at.append(clock.monotonic())
        given = answer(request)
        return await given if asyncio.iscoroutine(given) else given

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking(raw):
    """A server that says `raw` to whatever comes, HTTP or not, and hangs up."""

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def listed(client):
    return [row async for page in client.pages(START, END) for row in page]


async def detail(client):
    return await client.reservation("AB12C")


def talk_to(answer, question=listed, *, path=""):
    """Put `question(client)` to a server: a SimulatedStays, raw bytes, or `answer(request)`."""
    talk = Talk()

    async def main(clock):
        match answer:
            case SimulatedStays():
                server = served(answer)
            case bytes():
                server = speaking(answer)
            case _:
                server = answering(answer, talk, clock)
        async with (
            server as url,
            StaysClient.open(
                url=url + path, client_id="login", client_secret=SECRET, clock=clock
            ) as client,
        ):
            began = clock.monotonic()
            try:
                talk.result = await question(client)
            except Exception as error:  # noqa: BLE001 - it is what is looked at
                talk.error = error
            talk.seconds = clock.monotonic() - began
            talk.client = repr(client)

    run_virtual(main)
    return talk


@asynccontextmanager
async def served(stays):
    async with stays.serving():
        yield stays.url


def an_account(bookings=1, **changes):
    stays = SimulatedStays(random.Random(1), client_id="login", client_secret=SECRET, **changes)
    listing = stays.add_listing("Apto 101")
    for _ in range(bookings):
        stays.book(listing, date(2026, 2, 5), date(2026, 2, 8), guest="Ana Lima")
    return stays


def a_row(number=0, **changes):
    return {
        "_id": f"{number:024x}",
        "id": "AB12C",
        "type": "booked",
        "_idlisting": "6908aaaaaaaaaaaaaaaaaaaa",
        "checkInDate": "2026-02-05",
        "checkOutDate": "2026-02-08",
    } | changes


def html(status=200):
    return web.Response(text="<html>Login</html>", content_type="text/html", status=status)


def status(number, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"message": "no"}, status=number, headers=named)


# --- what is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/external/v1", "/external/v1/"])
def test_the_prefix_of_the_api_stands_exactly_once_in_every_path(path):
    talk = talk_to(lambda _: web.json_response([]), path=path)
    assert [one.path for one in talk.asked] == [f"/external/v1/{LIST}"]


def test_the_list_is_asked_with_basic_auth_whole_stays_and_every_type_by_name():
    async def question(client):
        return [page async for page in client.pages(START, END, listing_ids=("L1", "L2"))]

    (asked,) = talk_to(lambda _: web.json_response([]), question).asked
    assert asked.method == "GET"
    assert asked.headers["Authorization"] == f"Basic {BASIC}"
    assert (asked.query["from"], asked.query["to"]) == ("2026-02-01", "2026-02-15")
    assert asked.query["dateType"] == "included"
    assert asked.query.getall("type") == [one.value for one in ReservationType]
    assert asked.query.getall("listingId") == ["L1", "L2"]


# --- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bookings", [0, 19, 20, 40, 45, 101])
@pytest.mark.parametrize(
    ("most", "clamps"), [(100, False), (500, False), (20, False), (20, True), (7, True)]
)
def test_every_row_arrives_whatever_page_the_server_grants(bookings, most, clamps):
    stays = an_account(bookings, most=most, clamps=clamps)
    talk = talk_to(stays)
    assert sorted(row.id for row in talk.result) == sorted(stays.reservations)


def test_a_page_size_once_refused_is_not_asked_for_again():
    stays = an_account(5, most=20)

    async def question(client):
        first = await listed(client)
        return first, await listed(client)

    first, second = talk_to(stays, question).result
    assert len(first) == len(second) == 5
    assert stays.requests[LIST] == 1 + 2 + 2  # the refusal, then a page and the empty page each


@pytest.mark.parametrize(
    ("told", "shown", "becomes"),
    [
        ({"type": "canceled"}, "type", ReservationType.CANCELED),
        ({"checkInDate": "2026-02-03"}, "check_in_date", date(2026, 2, 3)),
        ({"checkInTime": "14:00"}, "check_in_time", time(14)),
        ({"checkOutDate": "2026-02-09"}, "check_out_date", date(2026, 2, 9)),
        ({"checkOutTime": "10:00"}, "check_out_time", time(10)),
        ({"_idlisting": "another"}, "listing_id", "another"),
        ({"_idclient": "another"}, "client_id", "another"),
        ({"partnerCode": "HM1"}, "partner_code", "HM1"),
        ({"partnerCode": 1}, "partner_code", "1"),
        ({"partner": {"name": "another"}}, "channel", "another"),
        ({"id": "ZZ99Z"}, "code", "ZZ99Z"),
    ],
)
def test_a_row_that_tells_something_else_than_before_is_read_anew(told, shown, becomes):
    stays = an_account(1)
    [one] = stays.reservations
    as_it_was = dict(stays.reservations[one])

    async def question(client):
        first = await listed(client)
        stays.change(one, **told)
        changed = await listed(client)
        stays.reservations[one] = as_it_was
        return first, changed, await listed(client)

    [first], [changed], [again] = talk_to(stays, question).result
    assert getattr(changed, shown) == becomes != getattr(first, shown)
    assert again == first


def test_a_row_that_was_understood_and_is_malformed_now_is_told_as_such():
    stays = an_account(1)
    [one] = stays.reservations

    async def question(client):
        await listed(client)
        stays.change(one, checkOutDate="soon")
        return await listed(client)

    [error] = talk_to(stays, question).result
    assert isinstance(error, MalformedReservationError)


def test_a_list_told_again_word_for_word_and_one_whose_pages_have_shifted_are_read_right():
    stays = an_account(45, most=20)
    broken = sorted(stays.reservations)[30]
    stays.change(broken, checkOutDate="soon")

    def said(rows):
        return sorted(
            (row.reservation_id, row.reason)
            if isinstance(row, MalformedReservationError)
            else (row.id, row.check_in_date.isoformat())
            for row in rows
        )

    async def question(client):
        first, again = await listed(client), await listed(client)
        gone = min(stays.reservations)
        del stays.reservations[gone]
        return said(first), said(again), gone, said(await listed(client))

    first, again, gone, shifted = talk_to(stays, question).result
    assert again == first
    assert len(first) == 45
    assert broken in dict(first)
    assert shifted == [one for one in first if one[0] != gone]


def test_a_server_that_refuses_every_page_size_ends_the_questions_with_its_words():
    talk = talk_to(lambda _: web.json_response({"message": "from must be a date"}, status=400))
    assert isinstance(talk.error, StaysRefusedError)
    assert "from must be a date" in str(talk.error)
    assert [one.query["limit"] for one in talk.asked] == ["100", "20"]


def test_the_same_page_forever_ends_and_is_no_success():
    talk = talk_to(lambda _: web.json_response([a_row(1), a_row(2)]))
    assert isinstance(talk.error, StaysUnavailableError)
    assert len(talk.asked) == 2


def test_pages_without_an_end_end_and_are_no_success():
    def answer(request):
        return web.json_response([a_row(int(request.query["skip"]))])

    talk = talk_to(answer)
    assert isinstance(talk.error, StaysUnavailableError)
    assert len(talk.asked) == 2000


def test_rows_that_come_twice_count_once():
    stays = an_account(45, most=20)
    stays.faults = StaysFaults(repeat_rows=True)
    span = Span(start=START, end=END)

    async def question(client):
        return len(await listed(client)), await Reader(client).read_list(span, ())

    received, feed = talk_to(stays, question).result
    assert received == 46
    assert feed.fetched == 45
    assert set(feed.listed) == set(stays.reservations)


def test_requests_keep_a_polite_pace():
    talk = talk_to(lambda request: web.json_response([a_row()] * (not int(request.query["skip"]))))
    assert min(talk.gaps) >= 0.14


# --- another attempt -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(UNAVAILABLE))
def test_an_unavailable_server_is_asked_three_times_in_all_with_growing_pauses(number):
    talk = talk_to(lambda _: status(number))
    assert isinstance(talk.error, StaysUnavailableError)
    assert str(number) in str(talk.error)
    assert len(talk.asked) == 3
    assert 0.5 <= talk.gaps[0] <= 1.6
    assert 1.0 <= talk.gaps[1] <= 2.1


@pytest.mark.parametrize("question", [listed, detail])
def test_a_reset_connection_is_tried_three_times_in_all(question):
    stays = an_account()
    stays.faults = StaysFaults(hang_up=True)
    talk = talk_to(stays, question)
    assert isinstance(talk.error, StaysUnavailableError)
    assert stays.requests.total() == 3


def test_an_answer_that_breaks_off_is_tried_three_times_in_all():
    async def answer(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"[")
        request.transport.abort()
        return response

    talk = talk_to(answer)
    assert isinstance(talk.error, StaysUnavailableError)
    assert len(talk.asked) == 3


def test_one_good_answer_after_two_failures_is_enough():
    answers = [status(503), status(502), web.json_response([a_row()]), web.json_response([])]
    talk = talk_to(lambda _: answers.pop(0))
    assert [row.code for row in talk.result] == ["AB12C"]


async def never(_request):
    await asyncio.sleep(3600)


async def drip(request):
    """A byte every five seconds: no single read takes long, the whole never ends."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(5)
    return response


@pytest.mark.parametrize(("answer", "each"), [(never, 20), (drip, 30)])
def test_a_server_that_never_finishes_is_left_three_times_in_all(answer, each):
    talk = talk_to(answer)
    assert isinstance(talk.error, StaysUnavailableError)
    assert len(talk.asked) == 3
    assert 3 * each <= talk.seconds <= 3 * each + 8


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "0"}, 0.15),
        ({"Retry_After": "86400"}, 120),
        (
            {
                "Date": "Sun, 01 Feb 2026 12:00:00 GMT",
                "Retry_After": "Sun, 01 Feb 2026 12:00:09 GMT",
            },
            9,
        ),
    ],
)
def test_the_pause_that_stays_names_is_kept_up_to_two_minutes(headers, pause):
    talk = talk_to(lambda _: status(429, **headers))
    assert talk.gaps == pytest.approx([pause, pause], abs=0.1)


# --- what a person must mend -----------------------------------------------------------------------


@pytest.mark.parametrize("question", [listed, detail])
@pytest.mark.parametrize(
    ("answer", "what_to_do"),
    [
        (lambda _: status(401), "check client_id and client_secret"),
        (lambda _: status(403), "App Center"),
        (lambda _: html(401), "check client_id and client_secret"),
        (lambda _: html(), "check [stays] url"),
        (lambda _: html(404), "check [stays] url"),
        (lambda _: html(302), "check [stays] url"),
    ],
)
def test_a_refusal_ends_at_once_and_tells_what_to_do(question, answer, what_to_do):
    talk = talk_to(answer, question)
    assert isinstance(talk.error, StaysRefusedError)
    assert what_to_do in str(talk.error)
    assert len(talk.asked) == 1


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(number):
    talk = talk_to(lambda _: status(number, Location="/elsewhere"))
    assert isinstance(talk.error, StaysRefusedError)
    assert [one.path for one in talk.asked] == [f"/external/v1/{LIST}"]


BOMB = gzip.compress(b" " * 64 * MIB)


def bomb(_request):
    return web.Response(
        body=BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
    )


def test_a_bomb_of_zeros_ends_the_reading_before_the_memory_does():
    talk = talk_to(bomb)
    assert isinstance(talk.error, StaysRefusedError)
    assert "4 MiB" in str(talk.error)


async def without_end(request, **options):
    """A body that goes on for as long as it is read."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"}, **options)
    await response.prepare(request)
    with suppress(ConnectionError):
        while True:
            await response.write(b" " * 65536)
    return response


async def slow_down_without_end(request):
    return await without_end(request, status=429)


async def elsewhere_without_end(request):
    return await without_end(request, status=302)


@pytest.mark.parametrize("question", [listed, detail])
@pytest.mark.parametrize(
    "attack", [bomb, drip, without_end, slow_down_without_end, elsewhere_without_end]
)
def test_whatever_a_server_sends_is_not_kept(attack, question):
    talk_to(lambda _: status(401), question)  # what is loaded once
    tracemalloc.start()
    try:
        talk = talk_to(attack, question)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(talk.error, StaysRefusedError | StaysUnavailableError)
    assert most < 10 * MIB


@pytest.mark.parametrize(
    "raw",
    [
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n[{",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n[",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b"[" * 200_000,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    ],
)
@pytest.mark.parametrize("question", [listed, detail])
def test_an_answer_that_is_no_answer_counts_as_none(raw, question):
    talk = talk_to(raw, question)
    assert isinstance(talk.error, StaysUnavailableError)


@pytest.mark.parametrize("body", [{"message": "welcome"}, "ok", None, 7])
def test_a_list_that_is_no_list_is_no_success(body):
    talk = talk_to(lambda _: web.json_response(body))
    assert isinstance(talk.error, StaysRefusedError)


def test_nothing_that_is_raised_or_shown_carries_the_credentials():
    for answer in (status(401), status(503), status(400), html(), b"", b"not HTTP\r\n\r\n"):
        talk = talk_to(answer if isinstance(answer, bytes) else lambda _, one=answer: one)
        shown = "".join(traceback.format_exception(talk.error)) + talk.client
        assert SECRET not in shown
        assert BASIC not in shown


# --- rows ------------------------------------------------------------------------------------------


def rows(*given):
    return lambda request: web.json_response([] if int(request.query["skip"]) else list(given))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "wedding"}, "type"),
        ({"checkInDate": "05/02/2026"}, "checkInDate"),
        ({"checkInDate": None}, "checkInDate"),
        ({"checkInDate": "2026-02-30"}, "checkInDate"),
        ({"checkInTime": "25:00"}, "checkInTime"),
        ({"checkOutTime": 12}, "checkOutTime"),
        ({"checkOutDate": "2026-02-01"}, "checkOutDate"),
        ({"_idlisting": None}, "_idlisting"),
        ({"id": ""}, "id"),
        ({"id": "../../etc"}, "id"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_by_field_and_spoils_no_other(changes, field):
    bad = a_row(1, guestName="Ana Lima") | changes
    first, second = talk_to(rows(bad, a_row(2))).result
    assert isinstance(first, MalformedReservationError)
    assert first.reservation_id == f"{1:024x}"
    assert field in first.reason
    assert "Ana" not in first.reason
    assert second.id == f"{2:024x}"


@pytest.mark.parametrize("row", [None, 7, "booked", [], {}, {"_id": {"$gt": ""}}])
def test_a_row_that_is_no_reservation_at_all_spoils_no_other(row):
    first, second = talk_to(rows(row, a_row(2))).result
    assert isinstance(first, MalformedReservationError)
    assert second.code == "AB12C"


def test_a_row_may_lack_what_decides_no_door_and_hold_what_nobody_knows():
    tolerated = {"checkInTime": "", "checkOutTime": None, "partner": 7, "surprise": {"a": [1]}}
    (row,) = talk_to(rows(a_row(1) | tolerated)).result
    assert (row.check_in_time, row.check_out_time, row.channel) == (None, None, None)


def test_a_row_gives_the_stay_as_stays_tells_it():
    told = {
        "checkInTime": "15:30",
        "checkOutTime": "9:05:00",
        "_idclient": "c1",
        "partnerCode": 778,
        "partner": {"name": "API booking.com"},
        "type": "reserved",
    }
    (row,) = talk_to(rows(a_row(1) | told)).result
    assert (row.check_in_date, row.check_in_time) == (date(2026, 2, 5), time(15, 30))
    assert (row.check_out_date, row.check_out_time) == (date(2026, 2, 8), time(9, 5))
    assert (row.client_id, row.partner_code, row.channel) == ("c1", "778", "API booking.com")
    assert row.type is ReservationType.RESERVED


# --- one reservation, one guest, one listing -------------------------------------------------------


def test_the_detail_gives_the_reservation_and_its_primary_guest():
    people = [
        {"name": "Bruno Reis", "type": "child"},
        {"name": "Carla Reis", "type": "adult", "phones": [{"iso": "+55 11 90000-0002"}]},
        {"name": "Ana Lima", "primary": True, "phones": ["x", {"iso": "+55 11 90000-0001"}]},
    ]
    one = a_row(1) | {"guestsDetails": {"list": people}}
    found = talk_to(lambda _: web.json_response(one), detail).result
    assert isinstance(found, Found)
    assert found.reservation.code == "AB12C"
    assert found.guest == Guest(name="Ana Lima", phone="+55 11 90000-0001")


@pytest.mark.parametrize("details", [None, [], {"list": None}, {"list": [7, "x"]}, {"list": []}])
def test_a_detail_without_guests_is_a_detail(details):
    found = talk_to(lambda _: web.json_response(a_row(1, guestsDetails=details)), detail).result
    assert found.guest == Guest()


def test_a_404_with_json_means_gone_and_any_other_does_not():
    talk = talk_to(lambda _: status(404), detail)
    assert talk.result == Gone()
    assert len(talk.asked) == 1


@pytest.mark.parametrize(
    ("answer", "guest"),
    [
        (
            {"name": "Ana Lima", "phones": [{"iso": "+551190"}]},
            Guest(name="Ana Lima", phone="+551190"),
        ),
        ({"fName": "Ana", "lName": "Lima"}, Guest(name="Ana Lima")),
        ({"fName": " Ana ", "lName": None}, Guest(name="Ana")),
        ({"phones": {}}, Guest()),
        ([], Guest()),
    ],
)
def test_a_client_has_a_name_and_a_phone_where_stays_tells_them(answer, guest):
    talk = talk_to(lambda _: web.json_response(answer), lambda client: client.guest("c1"))
    assert talk.result == guest
    assert [one.path for one in talk.asked] == ["/external/v1/booking/clients/c1"]


def test_a_listing_is_found_by_either_of_its_ids_or_is_unknown():
    stays = an_account()
    (listing,) = stays.listings.values()

    async def question(client):
        return [
            await client.accommodation(one) for one in (listing["_id"], listing["id"], "nowhere")
        ]

    long, short, unknown = talk_to(stays, question).result
    assert long == short
    assert (long.id, long.code, long.name) == (listing["_id"], listing["id"], "Apto 101")
    assert unknown is None


def test_the_clock_of_stays_is_known_from_its_good_answers_alone():
    dates = ["Sun, 01 Feb 2026 12:00:00 GMT", "Mon, 02 Feb 2026 12:00:00 GMT"]
    answers = [
        web.json_response([], headers={"Date": dates[0]}),
        web.json_response({}, status=503, headers={"Date": dates[1]}),
        web.json_response([], headers={"Date": "yesterday"}),
    ]

    async def question(client):
        await listed(client)
        await listed(client)
        return client.last_date

    assert talk_to(lambda _: answers.pop(0), question).result == utc("2026-02-01 12:00")
