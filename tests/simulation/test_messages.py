"""What reaches people through real Apprise and a real receiver."""

import io
import random
from datetime import timedelta

from gateway.domain import events
from gateway.observability import configure_logging
from gateway.store.database import Database
from tests.house import START, House, assert_keeps_secrets, at
from tests.receiver import Receiver
from tests.simulation.test_alerts import PACE
from tests.virtual_time import run_virtual

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
HOST, GUEST = "host-token", "guest-token"


def played(folder, story, **settings):
    """`story(house, receiver)` decides when the gateway runs; no secret may be in the log."""
    failures = []

    async def main(clock):
        log = io.StringIO()
        configure_logging(level="debug", format="json", stream=log)
        receiver = Receiver()
        async with receiver.serving():
            notify = [
                {"url": receiver.url(HOST), "events": one} for one in settings.pop("notify", [])
            ]
            if settings.pop("guest", False):
                settings["messages"] = settings.get("messages", {}) | {
                    "guest_url": receiver.url(GUEST + "/{phone}")
                }
            house = House(folder, clock, pace=PACE, notify=notify, **settings)
            async with house.standing():
                try:
                    await story(house, receiver)
                except AssertionError as failure:
                    failures.append(failure)
                assert_keeps_secrets(log.getvalue(), house.secrets() | {HOST, GUEST})
                assert "token" not in log.getvalue()

    run_virtual(main, start=START)
    for failure in failures:
        raise failure


def story_of(stay, event):
    return [one["detail"] for one in stay["audit"] if one["event"] == event]


def test_a_dead_lock_a_day_before_an_arrival_reaches_the_admin_once_and_so_does_its_return(
    tmp_path,
):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_102, 26 * HOUR, 48 * HOUR)
            await house.reconciled()
            await house.hub.cut()
            await at(house, START + 5 * HOUR)
        async with house.running():
            await house.clock.sleep(3600)
            code = house.stays.code(stay)
            assert receiver.titles() == [f"{code} pode não conseguir entrar"]
            (body,) = receiver.bodies(HOST)
            assert "apt-102 não responde" in body
            await house.hub.restore()
            await house.clock.sleep(1800)
            assert receiver.titles()[1:] == [f"Resolvido: {code} pode não conseguir entrar"]
        async with house.running():
            await house.clock.sleep(3600)
        assert len(receiver.got) == 2

    played(tmp_path, story, notify=[["pin.at_risk"]])


def test_a_guests_message_is_sent_once_over_twenty_restarts_at_random_moments(tmp_path):
    draw = random.Random(11)

    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_101, 3 * HOUR, 48 * HOUR, guest="Ana Example")
            await house.reconciled()
            await at(house, START + HOUR - SECOND)
        for _ in range(20):
            async with house.running():
                await house.clock.sleep(
                    draw.choice([0.0, 0.3, 1.0, 2.0, 3.0, 60.0]) * draw.random()
                )
        async with house.running():
            await house.clock.sleep(600)
            pin = await house.pin(stay)
            (text,) = receiver.bodies(GUEST)
            assert pin in text
            assert "Ana Example" in text
            assert "02/02/2026 15:00" in text
            (for_host,) = receiver.bodies(HOST)
            assert "https://wa.me/55" in for_host
            assert pin in for_host
            shown = await house.stay(stay)
            told = story_of(shown, events.MESSAGE_SENT)
            assert sorted(told) == ["its PIN, to notify[0]", "its PIN, to the guest"]
            assert not any(pin in one["detail"] for one in shown["audit"])

    played(tmp_path, story, notify=[["pin.message"]], guest=True)


def test_a_message_cut_off_by_a_crash_is_not_repeated_and_the_admin_is_told(tmp_path):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_101, 3 * HOUR, 48 * HOUR)
            await house.reconciled()
            receiver.status = 503
            await at(house, START + HOUR + 10 * SECOND)
        receiver.status = 200
        async with Database.open(tmp_path / "gateway.db") as database:  # as a power cut leaves it
            count = await database.transaction(
                lambda session: session.execute(
                    "UPDATE messages SET state = 'sending' WHERE channel = 'guest'"
                )
            )
        assert count == 1
        async with house.running():
            await house.clock.sleep(3600)
            assert receiver.bodies(GUEST) == []
            assert [title for title in receiver.titles(HOST) if house.stays.code(stay) in title]
            assert story_of(await house.stay(stay), events.MESSAGE_FAILED) == ["interrupted"]
        async with house.running():
            await house.clock.sleep(600)
        assert len(receiver.titles(HOST)) == 1

    played(tmp_path, story, notify=[["message.failed"]], guest=True)


def test_a_channel_that_fails_is_tried_again_and_named_without_its_url(tmp_path):
    async def story(house, receiver):
        receiver.status = 500
        async with house.running():
            await house.first_run()
            house.stays.faults.status = 401
            await house.reconciled()
            await house.clock.sleep(7200)
            assert 5 <= receiver.requests <= 12
            assert receiver.got == []
        receiver.status = 200
        async with house.running():
            await house.clock.sleep(3700)
            assert receiver.titles() == ["Stays cannot be read"]

    played(tmp_path, story, notify=[["reconcile.failed"]], site={"language": "en"})


def test_a_channel_that_fails_for_a_day_is_given_up(tmp_path):
    async def story(house, receiver):
        receiver.status = 500
        async with house.running():
            await house.first_run()
            house.stays.faults.status = 401
            await house.reconciled()
            await house.clock.sleep(25 * 3600)
            tries = receiver.requests
            receiver.status = 200
            await house.clock.sleep(5 * 3600)
            assert receiver.requests == tries
            assert receiver.got == []

    played(tmp_path, story, notify=[["reconcile.failed"]])


def test_other_dates_and_another_pin_are_corrected_and_neighbours_tell_nothing(tmp_path):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_101, 3 * HOUR, 48 * HOUR)
            await house.reconciled()
            await at(house, START + 2 * HOUR)
            assert len(receiver.bodies(GUEST)) == 1
            house.book(house.flat_101, 51 * HOUR, 48 * HOUR)  # takes the end of the window
            await house.reconciled()
            await house.clock.sleep(600)
            assert len(receiver.bodies(GUEST)) == 1
            house.rebook(stay, HOUR, 30 * HOUR)
            await house.reconciled()
            await house.clock.sleep(600)
            first, second = receiver.bodies(GUEST)
            assert "mudou" in second
            assert "mudou" not in first
            house.rebook(stay, HOUR - 12 * MINUTE, 48 * HOUR)
            await house.reconciled()
            await house.clock.sleep(600)
            assert len(receiver.bodies(GUEST)) == 3
            assert [one for one in house.notices.told if one.event == events.PIN_CHANGED] == []

    played(tmp_path, story, guest=True)


def test_a_reissued_pin_is_corrected_once_it_is_on_every_door_and_the_admin_is_told(tmp_path):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_101, 3 * HOUR, 48 * HOUR)
            await house.reconciled()
            await at(house, START + 2 * HOUR)
            before = await house.pin(stay)
            await house.door.cut()
            await house.api("POST", f"/api/admin/reservations/{stay}/reissue-pin")
            await house.clock.sleep(1800)
            assert len(receiver.bodies(GUEST)) == 1
            await house.door.restore()
            await house.clock.sleep(1800)
            first, second = receiver.bodies(GUEST)
            after = await house.pin(stay)
            assert before in first
            assert before not in second
            assert f"A partir de agora vale:\nSenha: {after}" in second
            assert receiver.titles(HOST) == [f"Outra senha para {house.stays.code(stay)}"]

    played(tmp_path, story, notify=[["pin.changed"]], guest=True)


def test_a_stay_in_progress_at_the_first_run_is_told_nothing_and_a_late_booking_is(tmp_path):
    async def story(house, receiver):
        inside = house.book(house.flat_101, -24 * HOUR, 48 * HOUR)
        async with house.running():
            await house.first_run()
            await house.pin_status(inside, "active")
            await house.clock.sleep(3600)
            assert receiver.got == []
            house.book(house.flat_102, -MINUTE * 30, 48 * HOUR)  # at the door, for tonight
            await house.reconciled()
            await house.clock.sleep(600)
            assert len(receiver.bodies(GUEST)) == 1

    played(tmp_path, story, guest=True)


def test_a_pin_told_before_it_is_confirmed_says_so(tmp_path):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_102, 5 * HOUR, 48 * HOUR)
            await house.reconciled()
            await house.clock.sleep(600)
            (text,) = receiver.bodies(GUEST)
            assert text.startswith("PIN:")
            assert text.endswith("If it does not open, write to us.")
            await at(house, START + 4 * HOUR)
            assert (await house.pin(stay)) in text
            assert len(receiver.bodies(GUEST)) == 1

    played(
        tmp_path,
        story,
        guest=True,
        site={"language": "en"},
        policy={"mint_ahead": "72h"},
        messages={"send": "minted", "pin": "PIN: {pin} {doors} {address}", "address": "Rua 1"},
    )


def test_a_guest_without_a_phone_is_told_to_the_admin(tmp_path):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_102, 3 * HOUR, 48 * HOUR, client="unknown")
            await house.reconciled()
            await at(house, START + 2 * HOUR)
            assert receiver.bodies(GUEST) == []
            assert len(receiver.titles(HOST)) == 1
            assert story_of(await house.stay(stay), events.MESSAGE_FAILED) == ["no phone"]

    played(tmp_path, story, notify=[["message.failed"]], guest=True)


def test_a_guest_whom_stays_does_not_know_is_told_by_phone_and_without_one_the_host_is(tmp_path):
    async def give(house, **more):
        body = {
            "kind": "guest",
            "name": "Somebody",
            "locks": ["apt-101"],
            "until": "2026-02-04T15:00:00Z",
        }
        code, answer = await house.api("POST", "/api/admin/access", json=body | more)
        assert code == 201, answer
        await house.clock.sleep(1800)
        return answer["data"]

    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            await house.clock.sleep(60)
            known = await give(house, phone="+55 11 99999-0000")
            ((path, _, text),) = [one for one in receiver.got if GUEST in one[0]]
            assert path.endswith("/5511999990000")
            assert (await house.pin(known["id"])) in text
            unknown = await give(house, locks=["apt-102"])
            await give(house, kind="staff", phone="+55 11 99999-0001")
            assert len(receiver.bodies(GUEST)) == 1
            told = [f"Senha de {known['code']}, Apto 101", f"Senha de {unknown['code']}, Apto 102"]
            assert receiver.titles(HOST) == told
            await house.api(
                "PATCH",
                f"/api/admin/access/{known['id']}",
                json={"until": "2026-02-05T15:00:00Z"},
            )
            await house.clock.sleep(1800)
            assert "mudou" in receiver.bodies(GUEST)[1]

    played(tmp_path, story, notify=[["pin.message", "message.failed"]], guest=True)


def test_who_gets_pins_for_guests_is_told_of_a_message_that_did_not_go_where_nobody_asked_for_it(
    tmp_path,
):
    async def story(house, receiver):
        async with house.running():
            await house.first_run()
            stay = house.book(house.flat_102, 3 * HOUR, 48 * HOUR, client="unknown")
            await house.reconciled()
            await at(house, START + 2 * HOUR)
            code = house.stays.code(stay)
            assert sorted(receiver.titles(HOST)) == [
                f"A mensagem ao hóspede de {code} não foi enviada",
                f"Senha de {code}, Apto 102",
            ]

    played(tmp_path, story, notify=[["pin.message"]], guest=True)


def test_an_address_that_apprise_does_not_understand_is_named_without_it(tmp_path):
    log = io.StringIO()

    async def main(clock):
        configure_logging(level="debug", format="json", stream=log)
        notify = [{"url": f"nosuch://{HOST}", "events": ["reconcile.failed"]}]
        house = House(tmp_path, clock, pace=PACE, notify=notify)
        async with house.standing(), house.running():
            await house.first_run()
            house.stays.faults.status = 401
            await house.reconciled()
            await house.clock.sleep(600)

    run_virtual(main, start=START)
    assert '"notify[0]"' in log.getvalue()
    assert "Apprise does not understand the url" in log.getvalue()
    assert HOST not in log.getvalue()
