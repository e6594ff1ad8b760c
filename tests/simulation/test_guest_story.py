"""One guest from the listing at Stays to the last word of the audit trail, on the real daemon."""

import io
import json
from datetime import timedelta

from gateway.app import Chance
from gateway.domain import events
from gateway.observability import configure_logging
from tests.house import START, UNHURRIED, House, assert_keeps_secrets, at
from tests.receiver import Receiver
from tests.virtual_time import run_virtual

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
PIN = "730945"


def test_from_the_listing_to_the_last_word_of_the_audit_trail(tmp_path):
    failures = []
    log = io.StringIO()

    async def main(clock):
        configure_logging(level="debug", format="json", stream=log)
        receiver = Receiver()
        async with receiver.serving():
            house = House(
                tmp_path,
                clock,
                pace=UNHURRIED,
                chance=Chance(randbelow=lambda most: int(PIN) % most),
                listings=[],
                messages={"guest_url": receiver.url("to-the-guest/{phone}")},
            )
            async with house.standing(), house.running():
                try:
                    await story(house, receiver, log)
                except AssertionError as failure:
                    failures.append(failure)

    run_virtual(main, start=START)
    for failure in failures:
        raise failure


async def story(house, receiver, log):
    # the technician: listings of Stays are matched to locks
    assert (await house.first_run())["status"] == "success"
    await matched(house)

    # a reservation arrives, two days ahead
    check_in, check_out = START + 2 * DAY, START + 4 * DAY
    stay = house.book(house.flat_101, 2 * DAY, 2 * DAY, guest="Ana Example")
    assert (await house.reconciled())["stats"]["created"] == 1
    code = house.stays.code(stay)
    assert (await house.stay(code))["pinStatus"] == "planned"

    # its PIN is issued two hours before check-in, no second earlier
    await at(house, check_in - 2 * HOUR - SECOND)
    assert house.street.codes == house.apt_101.codes == []
    assert (await house.api("GET", f"/api/admin/reservations/{code}/pin"))[0] == 404
    await at(house, check_in - 2 * HOUR + 5 * SECOND)
    for lock in (house.street, house.apt_101):
        (held,) = lock.codes
        assert (held.pin, held.end) == (PIN, (check_out + DAY).timestamp())
    assert house.apt_102.codes == []
    shown = await house.stay(code)
    assert shown["pinStatus"] == "active"
    assert [door["isActive"] for door in shown["credentials"]] == [True, True]

    # the admin sees it masked, the guest is sent it
    status, body = await house.api("GET", f"/api/admin/reservations/{code}/pin")
    assert (status, body["data"]["pin"]) == (200, "****45")
    assert PIN not in json.dumps(body)
    await house.clock.sleep(60)
    (message,) = receiver.bodies("to-the-guest")
    assert f"Sua senha para Apto 101: {PIN}" in message

    # the guest opens both doors with it, and no other
    await at(house, check_in + HOUR)
    assert house.street.try_pin(PIN)
    assert house.apt_101.try_pin(PIN)
    assert not house.apt_102.try_pin(PIN)
    await house.clock.sleep(30)
    shown = await house.stay(code)
    assert [door["evidence"] for door in shown["credentials"]] == ["observed", "observed"]

    # 24 hours after check-out it is gone
    await at(house, check_out + DAY - SECOND)
    assert house.apt_101.try_pin(PIN)
    await at(house, check_out + DAY + 30 * SECOND)
    assert house.street.codes == house.apt_101.codes == []
    assert not house.apt_101.try_pin(PIN)
    assert (await house.stay(code))["pinStatus"] == "revoked"

    await told_without_secrets(house, code, log.getvalue())


async def told_without_secrets(house, code, log):
    """The audit trail and the journal tell it all, and neither tells the PIN."""
    trail = (await house.api("GET", f"/api/admin/audit?reservation={code}"))[1]["data"]
    told = [(one["event"], one["actor"], one["credentialId"]) for one in reversed(trail)]
    street, flat = f"{code}-street", f"{code}-apt-101"
    assert told[:2] == [
        (events.RESERVATION_CREATED, "stays", None),
        (events.PIN_MINTED, "gateway", None),
    ]
    assert sorted(told[2:4]) == [
        (events.CREDENTIAL_CONFIRMED, "lock:apt-101", flat),
        (events.CREDENTIAL_CONFIRMED, "lock:street", street),
    ]
    assert sorted(told[4:6]) == [
        (events.PIN_ISSUED, "lock:apt-101", flat),
        (events.PIN_ISSUED, "lock:street", street),
    ]
    assert told[6:9] == [
        (events.MESSAGE_SENT, "gateway", None),
        (events.CREDENTIAL_OBSERVED, "lock:street", street),
        (events.CREDENTIAL_OBSERVED, "lock:apt-101", flat),
    ]
    assert sorted(told[9:]) == [
        (events.CREDENTIAL_REVOKED, "lock:apt-101", flat),
        (events.CREDENTIAL_REVOKED, "lock:street", street),
    ]
    lines = [json.loads(line) for line in log.splitlines()]
    of_doors = {(one["event"], one.get("credential_id")) for one in lines}
    assert of_doors >= {(event, door) for event, _, door in told if door is not None}
    runs = (await house.api("GET", "/api/admin/reconciliation/runs"))[1]
    ended = {one["run_id"] for one in lines if one["event"] == "reconcile.succeeded"}
    assert len(ended) == runs["total"]
    assert ended >= {one["id"] for one in runs["data"]}
    assert_keeps_secrets(json.dumps(trail), {PIN, "Ana Example"})
    assert_keeps_secrets(log, house.secrets() | {PIN, "Ana Example", "to-the-guest"})


async def matched(house):
    """Every flat's lock is suggested; the technician maps it so, with the street door, and reloads."""
    _, body = await house.api("GET", "/api/admin/matches/suggestions")
    suggested = {one["lock"]: one["listing"] for one in body["data"]}
    assert {lock: listing["name"] for lock, listing in suggested.items()} == {
        "apt-101": "Apto 101",
        "apt-102": "Apto 102",
    }
    house.settings["listings"] = [
        {"stays_id": listing["code"], "name": listing["name"], "locks": ["street", lock]}
        for lock, listing in suggested.items()
    ]
    assert await house.gateway.reload(house.config()) == ()
    assert (await house.next_run_after((await house.status())["lastRun"]))["status"] == "success"
