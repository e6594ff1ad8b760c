"""A technician tries locks at the door, through the running gateway, in virtual time."""

import re
from datetime import timedelta

import pytest

from gateway.app import Paths
from gateway.cli.bench import ByDaemon
from gateway.cli.trial import LockTrial
from gateway.domain import events
from gateway.domain.commissioning import Suitability, judge
from gateway.simulator.lock import Order
from tests.e2e.test_command_line import free_port
from tests.house import living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Technician:
    """Answers the questions by typing at the simulated lock. `meddle(question)` comes before."""

    def __init__(self, lock, meddle=lambda _question: None):
        self.lock = lock
        self.meddle = meddle
        self.questions = []
        self.said = []

    async def ask(self, question):
        self.questions.append(question)
        self.meddle(question)
        (pin,) = re.findall(r"Type (\d+) ", question)
        return self.lock.try_pin(pin)


async def tried(house, lock, technician, *, quick=False):
    config = house.config()
    paths = Paths.of(config, folder=house.folder, environ={})
    trial = LockTrial(
        ByDaemon(config, paths, lock),
        ask=technician.ask,
        say=technician.said.append,
        clock=house.clock,
        deadline=2.0,
        experimental=False,
    )
    return judge(await trial.run(quick=quick))


def trying(tmp_path, story):
    living(tmp_path, story, http={"host": "127.0.0.1", "port": free_port()})


@pytest.mark.parametrize("name", ["street", "apt-101", "apt-102"])
def test_a_good_lock_is_found_good_and_nothing_is_left_on_it(tmp_path, name):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        house.book(house.flat_102, HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        lock = {"street": house.street, "apt-101": house.apt_101, "apt-102": house.apt_102}[name]
        await house.until(lambda: lock.codes)
        guests = [held.pin for held in lock.codes]
        technician = Technician(lock)
        verdict = await tried(house, name, technician)
        assert verdict.suitability is Suitability.GOOD, verdict
        assert verdict.settings == ("trust_window = true",)
        assert [held.pin for held in lock.codes] == guests
        assert len(technician.questions) == 5
        assert house.notices.events().count(events.PIN_ISSUED) == 4  # both stays, both doors
        assert not any("canary" in notice.subject for notice in house.notices.told)
        listed = (await house.api("GET", "/api/admin/reservations"))[1]
        assert listed["total"] == 2
        assert (await house.reconciled())["stats"]["orphaned"] == 0

    trying(tmp_path, story)


def test_the_times_of_the_lock_are_told(tmp_path):
    async def story(house):
        house.apt_101.faults.report_delay = 1.0
        technician = Technician(house.apt_101)
        await tried(house, "apt-101", technician, quick=True)
        assert "  confirmed: acknowledgement 0.00 s, report 1.00 s" in technician.said

    trying(tmp_path, story)


def test_a_lock_that_does_not_keep_to_windows_is_not_trusted_with_them(tmp_path):
    async def story(house):
        house.apt_101.keeps_to_windows = False
        verdict = await tried(house, "apt-101", Technician(house.apt_101))
        assert verdict.suitability is Suitability.GOOD
        assert verdict.settings == ()
        assert "does not keep to windows" in " ".join(verdict.reasons)
        assert house.apt_101.codes == []

    trying(tmp_path, story)


def test_a_lock_whose_clock_is_behind_is_to_get_windows_that_began_earlier(tmp_path):
    async def story(house):
        house.apt_101.skew = -timedelta(minutes=5)
        verdict = await tried(house, "apt-101", Technician(house.apt_101))
        assert verdict.suitability is Suitability.WITH_CHANGES
        assert verdict.settings == ('window = "end"',)

    trying(tmp_path, story)


def test_a_lock_that_takes_a_pin_and_does_not_open_to_it_is_unfit(tmp_path):
    async def story(house):
        house.apt_101.strict, house.apt_101.writes_ascii = False, True
        verdict = await tried(house, "apt-101", Technician(house.apt_101))
        assert verdict.suitability is Suitability.UNFIT
        assert "digits" in verdict.reasons[0]
        await house.until(lambda: house.apt_101.codes == [])

    trying(tmp_path, story)


def test_a_lock_that_opens_to_a_deleted_pin_is_unfit(tmp_path):
    async def story(house):
        kept = []

        def meddle(question):
            if "once more" in question:
                house.apt_102.codes = list(kept)
            else:
                kept[:] = house.apt_102.codes

        verdict = await tried(house, "apt-102", Technician(house.apt_102, meddle))
        assert verdict.suitability is Suitability.UNFIT
        assert "called deleted" in " ".join(verdict.reasons)
        assert house.notices.events().count(events.CODE_REVOKED_USED) == 0

    trying(tmp_path, story)


def test_a_lock_that_refuses_or_says_nothing_or_is_away_is_unfit_with_the_reason(tmp_path):
    async def story(house):
        house.apt_101.faults.refusals = [2] * 50
        verdict = await tried(house, "apt-101", Technician(house.apt_101))
        assert verdict.reasons[0] == "it did not confirm a PIN: full"
        house.apt_101.faults.refusals = []

        house.apt_102.faults.order = Order.SILENT
        verdict = await tried(house, "apt-102", Technician(house.apt_102))
        assert "did not report in time" in verdict.reasons[0]
        assert "goes on deleting" in verdict.reasons[1]
        house.apt_102.faults.order = Order.ACK_FIRST
        await house.until(lambda: house.apt_102.codes == [], seconds=1200)

        await house.door.cut()
        verdict = await tried(house, "street", Technician(house.street))
        assert verdict.suitability is Suitability.UNFIT
        assert "it is not reached" in verdict.reasons[0]

    trying(tmp_path, story)


def test_a_trial_that_is_broken_off_leaves_nothing_behind(tmp_path):
    async def story(house):
        class AwayError(Exception):
            pass

        async def ask(_question):
            raise AwayError

        technician = Technician(house.street)
        technician.ask = ask
        with pytest.raises(AwayError):
            await tried(house, "street", technician)
        assert house.street.codes == []

    trying(tmp_path, story)


def test_a_canary_ends_by_itself_and_keeps_to_its_bounds(tmp_path):
    async def story(house):
        path = "/api/admin/locks/street/canaries"
        for opens_in, lasts in (
            (0, 3601),
            (0, 0),
            (-90_000, 600),
            (1801, 3600),
            (600, 60),
            ("0", 9),
        ):
            body = {"opensInSeconds": opens_in, "lastsSeconds": lasts}
            assert (await house.api("POST", path, json=body))[0] == 400, body
        assert (await house.api("POST", "/api/admin/locks/x/canaries", json={}))[0] == 404
        body = {"opensInSeconds": -60, "lastsSeconds": 600}
        code, shown = await house.api("POST", path, json=body)
        canary = shown["data"]
        house.pins.add(canary["pin"])
        assert code == 201
        await house.until(lambda: house.street.holds(canary["pin"]))
        code, shown = await house.api("GET", f"{path}/{canary['id']}")
        assert "pin" not in shown["data"]
        elsewhere = f"/api/admin/locks/apt-101/canaries/{canary['id']}"
        assert (await house.api("DELETE", elsewhere))[0] == 404
        await house.clock.sleep(700)
        assert house.street.codes == []
        assert (await house.api("GET", f"{path}/{canary['id']}"))[1]["data"]["gone"] is True
        for _ in range(2):
            assert (await house.api("DELETE", f"{path}/{canary['id']}"))[0] == 202
        await house.clock.sleep(60)
        assert (await house.api("GET", "/api/admin/locks/street"))[1]["data"]["waiting"] == 0

    trying(tmp_path, story)
