"""Every line that a request or a reconciliation causes carries its id."""

import io
import json
import re
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from gateway.observability import configure_logging
from tests.house import assert_keeps_secrets, living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@contextmanager
def journal(house):
    """The lines of the log inside the block, as they come."""
    stream = io.StringIO()
    configure_logging(level="debug", format="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    assert_keeps_secrets(stream.getvalue(), house.secrets())


async def ask(house, path, **headers):
    """Status and request id."""
    url = f"http://127.0.0.1:{house.gateway.listener.port}{path}"
    headers = {"Authorization": f"Bearer {house.token}"} | headers
    async with house.session.get(url, headers=headers) as response:
        return response.status, response.headers["X-Request-Id"]


def test_every_answer_has_an_id_of_its_own(tmp_path):
    async def story(house):
        asked = [
            await ask(house, path)
            for path in ("/healthz", "/metrics", "/nowhere", "/api/admin/reservations")
        ]
        asked.append(await ask(house, "/api/admin/locks", Authorization="none"))
        asked.append(await ask(house, "/healthz", Host="elsewhere.example"))
        assert [status for status, _ in asked] == [200, 200, 404, 200, 401, 421]
        assert len({one for _, one in asked}) == len(asked)
        assert all(re.fullmatch(UUID, one) for _, one in asked)

    living(tmp_path, story)


@pytest.mark.parametrize("given", ["deploy-42", "0f8fad5b-d9cb-469f-a165-70867728950e", "a" * 64])
def test_a_safe_id_of_the_client_is_kept(tmp_path, given):
    async def story(house):
        assert await ask(house, "/healthz", **{"X-Request-Id": given}) == (200, given)

    living(tmp_path, story)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "short-1",
        "482915",
        "5511900001234",
        "2026-02-02",
        "a" * 65,
        "with space",
        'say "hi" now',
        "ümlaute-äöü",
    ],
)
def test_another_one_is_replaced(tmp_path, given):
    async def story(house):
        _, found = await ask(house, "/healthz", **{"X-Request-Id": given})
        assert re.fullmatch(UUID, found)

    living(tmp_path, story)


def test_what_a_request_logs_carries_its_id_and_nothing_later_does(tmp_path):
    async def story(house):
        house.book(house.flat_101, 3 * DAY, DAY)
        await house.reconciled()
        with journal(house) as lines:
            with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
                connection.execute("ALTER TABLE credentials RENAME TO away")
            status, request_id = await ask(house, "/api/admin/reservations")
            with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
                connection.execute("ALTER TABLE away RENAME TO credentials")
            assert status == 503
            (line,) = [one for one in lines() if one["event"] == "request.refused"]
            assert line["request_id"] == request_id
            assert "credentials" in line["reason"]
            await house.reconciled()
            later = [one for one in lines() if one["event"].startswith("reconcile.")]
            assert later
            assert not [one for one in later if "request_id" in one]

    living(tmp_path, story)


def test_what_one_turn_of_a_lock_logs_carries_an_id_of_its_own(tmp_path):
    async def story(house):
        with journal(house) as lines:
            stay = house.book(house.flat_102, -HOUR, DAY)
            await house.reconciled()
            await house.pin_status(stay, "active")
            house.stays.cancel(stay)
            await house.reconciled()
            await house.pin_status(stay, "revoked")
            door = f"{house.stays.code(stay)}-apt-102"
            turns = {}
            for one in lines():
                if one.get("credential_id") == door:
                    assert not {"run_id", "request_id"} & set(one)
                    turns.setdefault(one["turn_id"], []).append(one["event"])
            assert list(turns.values()) == [
                ["credential.confirmed", "pin.issued"],
                ["credential.revoked"],
            ]

    living(tmp_path, story)


def test_what_a_reconciliation_logs_carries_the_id_of_its_row(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, 3 * DAY, DAY)
        house.stays.change(stay, checkOutDate="2026-02-01")
        with journal(house) as lines:
            run = await house.reconciled()
            events = {
                one["event"]: one.get("run_id")
                for one in lines()
                if one["event"].startswith("re") and one["event"] != "request.refused"
            }
            assert run["stats"]["errors"] == 1
            assert events == {
                "reconcile.started": run["id"],
                "reservation.malformed": run["id"],  # logged by another part than the reconciler
                "reconcile.succeeded": run["id"],
            }

    living(tmp_path, story)
