"""People are warned in time, once, and told once when it is over; over restarts too."""

from datetime import timedelta

from gateway.app import Pace
from gateway.domain import events
from tests.house import START, a_house, at
from tests.virtual_time import run_virtual

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
PACE = Pace(scheduler=300.0, sweep=60.0, heartbeat=60.0, lag=300.0)


def told(house, *names):
    how = {(False, False): "starts", (False, True): "again", (True, False): "over"}
    return [
        (one.event, how[one.over, one.again])
        for one in house.notices.told
        if not names or one.event in names
    ]


def played(folder, story):
    """`story(house)` decides when the gateway runs."""

    async def main(clock):
        async with a_house(folder, clock, pace=PACE) as house:
            await story(house)

    run_virtual(main, start=START)


def test_a_dead_lock_a_day_before_an_arrival_is_told_once_over_restarts_and_once_when_back(
    tmp_path,
):
    async def story(house):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_102, 26 * HOUR, 48 * HOUR)
            await house.reconciled()
            await house.clock.sleep(300)
            assert told(house) == []
            house.apt_102.online = False
            house.apt_101.online = False
            await house.hub.cut()
            await at(house, START + 4 * HOUR)
            (notice,) = [one for one in house.notices.told if one.event == events.PIN_AT_RISK]
            assert notice.subject == house.stays.code(stay)
            assert [(one.lock, one.kind) for one in notice.obstacles] == [
                ("apt-102", "unreachable")
            ]
            (offline,) = [one for one in house.notices.told if one.event == events.LOCK_OFFLINE]
            assert offline.subject == "hub"
            assert "none of its 2 locks can be reached (apt-101, apt-102)" in offline.detail
        for _ in range(5):
            async with house.running():
                await house.clock.sleep(20 * 60)
        assert told(house, events.PIN_AT_RISK) == [(events.PIN_AT_RISK, "starts")]
        async with house.running():
            await at(house, START + 24 * HOUR + 10 * MINUTE)
            assert told(house, events.PIN_AT_RISK)[1:] == [(events.PIN_AT_RISK, "again")]
            await house.hub.restore()
            house.apt_102.online = True
            house.apt_101.online = True
            await house.clock.sleep(20 * 60)
            assert told(house, events.PIN_AT_RISK)[2:] == [(events.PIN_AT_RISK, "over")]
        for _ in range(5):
            async with house.running():
                await house.clock.sleep(20 * 60)
        assert len(told(house, events.PIN_AT_RISK)) == 3
        assert told(house, events.LOCK_OFFLINE)[1:] == [(events.LOCK_OFFLINE, "over")]

    played(tmp_path, story)


def test_a_hub_that_is_gone_for_a_minute_is_told_to_nobody(tmp_path):
    async def story(house):
        async with house.running():
            await house.first_run()
            house.book(house.flat_102, 20 * HOUR, 48 * HOUR)
            await house.reconciled()
            await house.clock.sleep(120)
            for _ in range(3):
                await house.hub.cut()
                await house.clock.sleep(60)
                await house.hub.restore()
                await house.clock.sleep(1800)
            assert told(house, events.PIN_AT_RISK, events.LOCK_OFFLINE) == []

    played(tmp_path, story)


def test_a_late_revocation_is_told_once_after_an_hour_and_once_when_it_is_done(tmp_path):
    async def story(house):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_101, HOUR, 24 * HOUR)
            await house.reconciled()
            await house.pin_status(stay, "active")
            await house.hub.cut()
            house.stays.cancel(stay)
            await house.reconciled()
            await house.clock.sleep(50 * 60)
            late = events.CREDENTIAL_REVOCATION_LATE
            assert told(house, late) == []
            await house.clock.sleep(15 * 60)
            assert told(house, late) == [(late, "starts")]
            await house.clock.sleep(3 * 3600)
            assert told(house, late) == [(late, "starts")]
            await house.hub.restore()
            await house.clock.sleep(900)
            assert told(house, late)[1:] == [(late, "over")]
            assert house.apt_101.codes == []

    played(tmp_path, story)


def test_failing_reconciliations_and_the_brake_are_over_when_they_are(tmp_path):
    async def story(house):
        async with house.running():
            await house.first_run()
            house.stays.faults.status = 401
            await house.reconciled()
            await house.clock.sleep(120)
        async with house.running():
            await house.clock.sleep(5 * 3600)
            assert told(house, events.RECONCILE_FAILED) == [(events.RECONCILE_FAILED, "starts")]
            house.stays.faults.status = None
            await house.reconciled()
            await house.clock.sleep(120)
            assert told(house)[-1] == (events.RECONCILE_FAILED, "over")
            stays = [house.book(house.flat_101, -HOUR, 30 * HOUR) for _ in range(3)]
            await house.reconciled()
            await house.clock.sleep(300)
            for one in stays:
                house.stays.cancel(one)
            await house.reconciled()
            await house.clock.sleep(600)
            await house.api("POST", "/api/admin/reconciliation/held", json={"action": "confirm"})
            await house.clock.sleep(600)
            assert told(house, events.BRAKE_HELD) == [
                (events.BRAKE_HELD, "starts"),
                (events.BRAKE_HELD, "over"),
            ]
            assert (events.STAY_OVERLAP, "over") in told(house)

    played(tmp_path, story)
