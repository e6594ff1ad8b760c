"""Another configuration while the gateway runs: connections, jobs and guests' doors go on."""

from datetime import timedelta

from tests.house import START, UNHURRIED, a_house, living
from tests.virtual_time import run_virtual

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def reload(house, **settings):
    """Take over the house's configuration with these settings, and wait for the run that follows."""
    before = (await house.status())["lastRun"]
    house.settings |= settings
    left = await house.gateway.reload(house.config())
    await house.next_run_after(before, seconds=120)
    return left


def unmapped(house, *names):
    return [one for one in house.config_values()["listings"] if one["name"] not in names]


def mapped(house, name, locks):
    return [
        one | {"locks": locks} if one["name"] == name else one
        for one in house.config_values()["listings"]
    ]


def test_a_reload_that_changes_nothing_keeps_every_connection_code_and_job(tmp_path):
    async def story(house):
        inside = house.book(house.flat_101, -HOUR, 2 * DAY)
        coming = house.book(house.flat_102, DAY, 2 * DAY)
        await house.reconciled()
        await house.pin_status(inside, "active")
        connections = (house.hub.accepted, house.door.accepted)
        held = list(house.street.codes), list(house.apt_101.codes)
        orders = len(house.street.received), len(house.apt_101.received)
        links = [one._link for one in house.gateway._locks._connections.values()]

        assert await reload(house) == ()

        assert [one._link for one in house.gateway._locks._connections.values()] == links
        assert (house.hub.accepted, house.door.accepted) == connections
        assert (list(house.street.codes), list(house.apt_101.codes)) == held
        assert (len(house.street.received), len(house.apt_101.received)) == orders
        assert (await house.stay(coming))["pinStatus"] == "planned"
        await house.clock.sleep(23 * 3600)  # the job of the guest who comes was not lost
        await house.pin_status(coming, "active")

    living(tmp_path, story)


def test_a_unit_mapped_to_another_lock_gets_its_new_door_before_it_loses_the_old_one(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
        house.apt_102.online = False  # the new door cannot be had yet

        await reload(house, listings=mapped(house, "Apto 101", ["street", "apt-102"]))

        await house.clock.sleep(300)
        assert [code.pin for code in house.apt_101.codes] == [pin]
        house.apt_102.online = True
        await house.until(lambda: not house.apt_101.codes, seconds=1800)
        assert [code.pin for code in house.apt_102.codes] == [pin]
        assert [code.pin for code in house.street.codes] == [pin]

    living(tmp_path, story)


def test_stays_that_a_reload_would_put_out_of_their_doors_are_under_the_brake(tmp_path):
    async def story(house):
        stays = [house.book(house.flat_101, -HOUR, 2 * DAY)]
        stays += [house.book(house.flat_102, -HOUR - n * MINUTE, 2 * DAY) for n in range(3)]
        await house.reconciled()
        for stay in stays:
            await house.pin_status(stay, "active")

        await reload(house, listings=unmapped(house, "Apto 102"))

        await house.clock.sleep(3600)
        assert len(house.apt_102.codes) == 3
        assert len(house.street.codes) == 4
        assert "brake.held" in house.notices.events()
        _, body = await house.api("GET", "/api/admin/reconciliation/held")
        assert {one["id"] for one in body["data"]["held"]} == set(stays[1:])

        del house.settings["listings"]
        await reload(house)
        _, body = await house.api("GET", "/api/admin/reconciliation/held")
        assert body["data"]["held"] == []
        assert len(house.apt_102.codes) == 3

    living(tmp_path, story)


def test_one_door_that_a_reload_takes_from_many_stays_is_under_the_brake(tmp_path):
    async def story(house):
        stays = [house.book(house.flat_102, -HOUR - n * MINUTE, 2 * DAY) for n in range(3)]
        await house.reconciled()
        for stay in stays:
            await house.pin_status(stay, "active")

        await reload(house, listings=mapped(house, "Apto 102", ["apt-102"]))
        await house.clock.sleep(3600)
        assert len(house.street.codes) == len(house.apt_102.codes) == 3
        _, body = await house.api("GET", "/api/admin/reconciliation/held")
        assert {one["id"] for one in body["data"]["held"]} == set(stays)

        await house.api("POST", "/api/admin/reconciliation/held", json={"action": "confirm"})
        await house.until(lambda: not house.street.codes)
        await house.clock.sleep(3600)
        assert len(house.apt_102.codes) == 3
        for stay in stays:
            await house.pin_status(stay, "active")

    living(tmp_path, story)


def test_what_is_under_way_on_a_lock_whose_connection_changes_has_its_answer_first(tmp_path):
    async def story(house):
        house.street.faults.report_delay = 1.5
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.until(lambda: house.street.received)  # sent, not yet reported

        locks = [
            one | ({"address": "localhost"} if one["name"] == "street" else {})
            for one in house.config_values()["locks"]
        ]
        house.settings["locks"] = locks
        await house.gateway.reload(house.config())

        doors = (await house.stay(stay))["credentials"]
        assert [door["evidence"] for door in doors if door["lock"] == "street"] == ["confirmed"]
        await house.pin_status(stay, "active")
        assert house.street.creates.total() == 1
        story = (await house.stay(stay))["audit"]
        assert "credential.unknown" not in {one["event"] for one in story}

    living(tmp_path, story)


def test_a_lock_is_taken_out_and_put_back_and_its_revocation_waits_for_it(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        whole = house.config_values()
        without = [one for one in whole["locks"] if one["name"] != "apt-101"]

        await reload(house, locks=without, listings=mapped(house, "Apto 101", ["street"]))
        _, body = await house.api("GET", "/api/admin/locks")
        assert {one["name"] for one in body["data"] if one["configured"]} == {"street", "apt-102"}
        await house.clock.sleep(3600)
        assert len(house.apt_101.codes) == 1  # nobody may write to it any more
        waiting = [
            door for door in (await house.stay(stay))["credentials"] if door["lock"] == "apt-101"
        ]
        assert [door["revokedAt"] for door in waiting] == [None]

        await reload(house, locks=whole["locks"])
        await house.until(lambda: not house.apt_101.codes, seconds=600)
        assert len(house.street.codes) == 1

    living(tmp_path, story)


def test_locks_and_hubs_that_are_added_open_for_the_guests_inside(tmp_path):
    async def story(house):
        whole = house.settings.pop("whole")
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        assert house.hub.accepted == 0

        await reload(house, **whole)

        await house.until(lambda: house.apt_101.codes, seconds=60)
        assert {code.pin for code in house.apt_101.codes} == {await house.pin(stay)}
        assert house.door.accepted == 1

    async def main(clock):
        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            whole = {name: house.config_values()[name] for name in ("hubs", "locks", "listings")}
            house.settings = {
                "hubs": [],
                "locks": whole["locks"][:1],
                "listings": [one | {"locks": ["street"]} for one in whole["listings"]],
            }
            async with house.running():
                await house.first_run()
                house.settings["whole"] = whole
                await story(house)

    run_virtual(main, start=START)


def test_a_lock_that_a_unit_gets_while_stays_is_away_opens_for_the_guests_that_are_known(tmp_path):
    async def story(house):
        stay = house.book(house.flat_102, -HOUR, 2 * DAY)
        coming = house.book(house.flat_102, 3 * DAY, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
        assert not house.apt_101.opens(pin)
        house.stays.faults.hang_up = True

        await reload(house, listings=mapped(house, "Apto 102", ["street", "apt-102", "apt-101"]))

        await house.until(lambda: house.apt_101.opens(pin), seconds=60)
        await house.pin_status(stay, "active")
        await house.clock.sleep(3 * 24 * 3600)
        assert house.apt_101.opens(await house.pin(coming))

    living(tmp_path, story)


def test_while_stays_is_away_no_stay_loses_its_doors_to_a_listing_that_nobody_has_explained(
    tmp_path,
):
    async def story(house):
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        house.stays.faults.hang_up = True
        listings = house.config_values()["listings"]
        listings[0] |= {"stays_id": "ZZ09Z"}  # perhaps the short id of the same flat

        await reload(house, listings=listings)

        await house.clock.sleep(3600)
        assert house.apt_101.opens(await house.pin(stay))
        await house.pin_status(stay, "active")

    living(tmp_path, story)


def test_rules_schedule_and_stays_credentials_are_taken_over(tmp_path):
    async def story(house):
        coming = house.book(house.flat_101, 5 * HOUR, 2 * DAY)
        await house.reconciled()
        before = (await house.stay(coming))["credentials"][0]["validFrom"]

        await reload(house, policy={"activate_before": "4h"}, stays={"schedule": "0 * * * *"})
        after = (await house.stay(coming))["credentials"][0]["validFrom"]
        assert after < before
        status = await house.status()
        assert status["schedule"].startswith("0 * * * *")
        assert status["nextRun"].endswith(":00:00Z")

        house.stays.client_secret = "another-secret"
        run = await house.reconciled()
        assert run["status"] == "failed"
        await reload(house)  # config_values reads the secret of the moment
        assert (await house.status())["lastRun"]["status"] == "success"

    living(tmp_path, story)


def test_a_run_that_waits_for_stays_does_not_hold_up_a_reload(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, -HOUR, 2 * DAY)
        house.stays.faults.status, house.stays.faults.retry_after = 503, 25
        await house.api("POST", "/api/admin/reconciliation/run")

        async def pending():
            return (await house.status())["currentStatus"] == "pending"

        await house.until(pending)
        house.stays.faults.status = None
        began = house.clock.monotonic()
        await house.gateway.reload(house.config())
        assert house.clock.monotonic() - began < 1
        await house.pin_status(stay, "active")
        _, body = await house.api("GET", "/api/admin/reconciliation/runs")
        assert body["data"][1]["message"] == "interrupted by a reload"

    living(tmp_path, story)


def test_what_only_a_restart_can_take_over_is_named_and_left(tmp_path):
    async def story(house):
        port = house.gateway.listener.port
        left = await reload(house, http={"port": 8081}, store={"path": "other.db"})
        assert left == ("[http]", "[store] path")
        assert await reload(house) == left  # it still waits for the restart
        assert house.gateway.listener.port == port
        assert (await house.status())["currentStatus"] == "success"

    living(tmp_path, story)


def test_what_another_configuration_changes_at_the_doors_stands_in_the_audit_trail(tmp_path):
    async def main(clock):
        async def changes(house):
            _, body = await house.api("GET", "/api/admin/audit?event=config.changed")
            assert {one["actor"] for one in body["data"]} <= {"config.toml"}
            return [(one["lock"], one["detail"]) for one in body["data"]]

        async with a_house(tmp_path, clock, pace=UNHURRIED) as house:
            async with house.running():
                await house.first_run()
                assert await changes(house) == []
                await reload(house)
                assert await changes(house) == []
                await reload(house, listings=mapped(house, "Apto 101", ["apt-101"]))
                assert await changes(house) == [
                    (None, "unit Apto 101: locks street, apt-101 → apt-101")
                ]
            house.settings["policy"] = {"revoke_after": "2h"}
            house.changes["apt-102"] = {"trust_window": True}
            house.without = {"street"}
            house.settings["listings"] = mapped(house, "Apto 102", ["apt-102"])
            async with house.running():  # a file that changed while it was stopped
                await house.first_run()
                found = [detail for _, detail in await changes(house)]
                assert sorted(found) == [
                    "lock apt-102: trust_window False → True",
                    "lock street left the configuration",
                    "policy: revoke_after 1 day, 0:00:00 → 2:00:00",
                    "unit Apto 101: locks street, apt-101 → apt-101",
                    "unit Apto 102: locks street, apt-102 → apt-102",
                ]
                _, body = await house.api("GET", "/api/admin/audit?lock=street")
                assert "config.changed" in {one["event"] for one in body["data"]}

    run_virtual(main, start=START)
