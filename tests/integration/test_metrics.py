"""`GET /metrics` as Prometheus meets it: a running gateway, real sockets, virtual time."""

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.house import START, assert_keeps_secrets, at, living

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
MANUAL = Path(__file__).parents[2] / "docs/operations.md"


async def scrape(house):
    """Status and text; no token."""
    url = f"http://127.0.0.1:{house.gateway.listener.port}/metrics"
    async with house.session.get(url) as response:
        return response.status, await response.text()


class Values:
    """The samples of a scrape."""

    def __init__(self, text):
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name, **labels):
        (found,) = [one.value for one in self.samples if one.name == name and one.labels == labels]
        return found

    def by(self, name):
        """The values of all series of a name that are not 0, by their only label."""
        return {
            next(iter(one.labels.values())): one.value
            for one in self.samples
            if one.name == name and one.value
        }


async def values(house):
    """A scrape that no earlier one answers for."""
    await house.clock.sleep(5)
    status, text = await scrape(house)
    assert status == 200
    return Values(text)


def test_the_figures_are_those_of_the_house(tmp_path):
    async def story(house):
        before = await values(house)
        inside = house.book(house.flat_101, 3 * HOUR, DAY)
        house.book(house.flat_102, 3 * DAY, DAY)
        unmapped = house.stays.add_listing("Apto 103")
        house.book(unmapped, 3 * DAY, DAY)
        last = await house.reconciled()
        planned = await values(house)
        assert planned.by("gateway_stays") == {"planned": 2, "unmapped": 1}
        assert planned.by("gateway_pins") == {"planned": 4}
        assert planned("gateway_pin_margin_minutes_count") == 0

        await at(house, START + HOUR + 5 * MINUTE)
        await house.pin_status(inside, "active")
        await house.pin(inside)
        found = await values(house)
        assert found.by("gateway_stays") == {"active": 1, "planned": 1, "unmapped": 1}
        assert found.by("gateway_pins") == {"confirmed": 2, "planned": 2}
        assert found.by("gateway_locks") == {"reachable": 3}
        assert found.by("gateway_operations_waiting") == {}
        assert found("gateway_operation_overdue_seconds") == 0
        assert found("gateway_lock_commands_total", operation="create", outcome="confirmed") == 2
        assert found("gateway_lock_report_seconds_count", operation="create") == 2
        assert found("gateway_lock_acknowledgement_seconds_count", operation="create") == 2
        assert found("gateway_pin_margin_minutes_count") == 2
        assert found("gateway_pin_margin_minutes_bucket", le="115.0") == 0
        assert found("gateway_pin_margin_minutes_bucket", le="120.0") == 2
        assert found("gateway_job_lateness_seconds_count", kind="gen") >= 2
        assert found("gateway_job_lateness_seconds_bucket", kind="gen", le="1.0") == found(
            "gateway_job_lateness_seconds_count", kind="gen"
        )
        log = (await house.api("GET", "/api/admin/reconciliation/runs"))[1]
        runs = found("gateway_reconciliations_total", status="success")
        assert runs == log["total"] > before("gateway_reconciliations_total", status="success")
        assert found("gateway_reconciliation_duration_seconds_count") == log["total"]
        success = found("gateway_reconciliation_last_success_timestamp_seconds")
        assert success == START.timestamp() + HOUR.total_seconds()
        assert last["status"] == "success"
        assert found("gateway_clock_trusted") == found("gateway_ready") == 1
        assert found("gateway_store_readable") == 1
        assert found.by("gateway_store_condition") == {}
        assert found("gateway_backups") == 1
        assert 0 < found("gateway_backup_age_seconds") < HOUR.total_seconds()
        assert found("gateway_database_bytes") >= (tmp_path / "gateway.db").stat().st_size
        assert found("process_resident_memory_bytes") > 10_000_000

    living(tmp_path, story)


def test_a_lock_that_cannot_be_reached_shows_and_so_does_its_guest(tmp_path):
    async def story(house):
        stay = house.book(house.flat_102, 3 * HOUR, DAY)
        await house.reconciled()
        await house.hub.cut()
        await at(house, START + 2 * HOUR)
        found = await values(house)
        assert found.by("gateway_locks") == {"reachable": 1, "unreachable": 2}
        assert found.by("gateway_stays") == {"at_risk": 1}
        assert found.by("gateway_pins") == {"confirmed": 1, "planned": 1}
        assert found.by("gateway_operations_waiting") == {"gen": 1}
        assert found.by("gateway_operations_failing") == {"gen": 1}

        await at(house, START + 4 * HOUR)
        await house.hub.restore()
        await house.clock.sleep(400)  # the longest pause between two attempts is over
        await house.pin_status(stay, "active")
        found = await values(house)
        assert found("gateway_pin_margin_minutes_count") == 2
        assert found("gateway_pin_margin_minutes_bucket", le="0.0") == 1
        assert found.by("gateway_operations_failing") == {}

    living(tmp_path, story)


def test_a_window_that_moves_on_the_lock_is_no_second_margin(tmp_path):
    async def story(house):
        stay = house.book(house.flat_102, HOUR, DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        assert (await values(house))("gateway_pin_margin_minutes_count") == 2
        house.rebook(stay, HOUR, 2 * DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        found = await values(house)
        confirmed = {
            one.labels["operation"]: one.value
            for one in found.samples
            if one.name == "gateway_lock_commands_total" and one.labels["outcome"] == "confirmed"
        }
        assert confirmed["create"] + confirmed["modify"] == 4
        assert found("gateway_pin_margin_minutes_count") == 2

    living(tmp_path, story)


def test_a_guest_who_books_at_the_door_has_no_margin(tmp_path):
    async def story(house):
        stay = house.book(house.flat_102, -HOUR, DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        found = await values(house)
        assert found.by("gateway_pins") == {"confirmed": 2}
        assert found("gateway_pin_margin_minutes_count") == 0

    living(tmp_path, story)


def test_a_run_that_fails_is_counted_as_one(tmp_path):
    async def story(house):
        before = await values(house)
        house.stays.client_secret = "another"
        assert (await house.reconciled())["status"] == "failed"
        found = await values(house)
        assert found("gateway_reconciliations_total", status="failed") == 1
        name = "gateway_reconciliation_last_success_timestamp_seconds"
        assert found(name) == before(name)

    living(tmp_path, story)


def test_whoever_reads_them_on_the_lan_learns_no_name_and_no_secret(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, 3 * HOUR, DAY, guest="Ana Aurora")
        await at(house, START + HOUR + 5 * MINUTE)
        await house.clock.sleep(5)
        status, text = await scrape(house)
        assert status == 200
        assert Values(text)("gateway_pins", evidence="confirmed") == 2
        code = house.stays.code(stay)
        held = {one.pin for lock in (house.street, house.apt_101) for one in lock.codes}
        assert held
        names = {stay, code, "Ana", "Aurora"}
        names |= {"apt-101", "apt-102", "street", "Apto", house.flat_101}
        assert_keeps_secrets(text, house.secrets() | held | names)
        labels = {label for one in Values(text).samples for label in one.labels}
        assert labels <= {
            *("status", "operation", "outcome", "le", "kind", "state", "condition"),
            *("pin_status", "evidence"),
        }

    living(tmp_path, story, on_lan=True)


def test_what_readyz_refuses_is_not_ready_here_either(tmp_path):
    (tmp_path / "gateway.db").write_bytes(b"no database" * 1000)

    async def story(house):
        status, shown = await house.api("GET", "/readyz")
        assert (status, shown["problems"]) == (503, ["store_lost"])
        assert (await values(house))("gateway_ready") == 0

    living(tmp_path, story)


def test_while_the_store_refuses_the_rest_is_told(tmp_path):
    async def story(house):
        with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
            connection.execute("ALTER TABLE jobs RENAME TO away")
        found = await values(house)
        assert found("gateway_store_readable") == 0
        assert found.by("gateway_locks") == {"reachable": 3}
        assert not [one for one in found.samples if one.name == "gateway_stays"]
        with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
            connection.execute("ALTER TABLE away RENAME TO jobs")
        found = await values(house)
        assert found("gateway_store_readable") == 1
        assert found("gateway_stays", pin_status="planned") == 0

    living(tmp_path, story)


def test_who_asks_again_at_once_gets_the_same_answer(tmp_path):
    async def story(house):
        await house.clock.sleep(5)
        first = await scrape(house)
        house.book(house.flat_101, 3 * DAY, DAY)
        await house.reconciled()
        assert await scrape(house) == first
        assert (await values(house)).by("gateway_stays") == {"planned": 1}

    living(tmp_path, story)


def test_a_loop_that_was_held_up_shows(tmp_path):
    async def story(house):
        asyncio.get_running_loop().jump(1000)  # nothing else could run meanwhile
        found = await values(house)
        assert found("gateway_loop_lag_seconds_bucket", le="5.0") < found(
            "gateway_loop_lag_seconds_count"
        )
        assert 400 <= found("gateway_loop_lag_seconds_sum") <= 1000

    living(tmp_path, story)


def test_asking_writes_nothing(tmp_path):
    async def story(house):
        await house.clock.sleep(60)
        beside = [tmp_path / "gateway.db", tmp_path / "gateway.db-wal"]
        before = [(one.stat().st_size, one.stat().st_mtime_ns) for one in beside]
        await values(house)
        assert [(one.stat().st_size, one.stat().st_mtime_ns) for one in beside] == before

    living(tmp_path, story)


@pytest.mark.parametrize("known", ["gateway_", "process_"])
def test_every_metric_is_in_the_manual(tmp_path, known):
    async def story(house):
        await house.clock.sleep(20 * 60)  # a backup is made
        await house.clock.sleep(5)
        _, text = await scrape(house)
        shown = set(re.findall(rf"^# TYPE ({known}\w+) ", text, re.MULTILINE))
        described = set(re.findall(rf"^\| `({known}\w+)", MANUAL.read_text(), re.MULTILINE))
        assert shown == described
        assert shown

    living(tmp_path, story)
