"""What is told, how often, and when."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain import events
from gateway.domain.alerts import Alert, Condition, follow
from gateway.domain.conditions import Door, Facts, Guest, LockSignals, Unmapped, conditions
from gateway.domain.model import Evidence, Window
from gateway.domain.status import DoorState
from tests.builders import utc

NOW = utc("2026-02-05 12:00")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class People:
    """Looks again and again, as the service does, and keeps what was told."""

    def __init__(self):
        self.alerts, self.told, self.now, self.writes = {}, [], NOW, 0

    def look(self, *holding, after=MINUTE):
        self.now += after
        steps = follow(holding, self.alerts.values(), self.now)
        for one in steps.tell:
            how = "over" if one.condition is None else "again" if one.again else "starts"
            self.told.append((one.event, how))
        self.writes += len(steps.save) + len(steps.forget) + len(steps.tell)
        for one in [*steps.save, *(each.alert for each in steps.tell if each.alert)]:
            self.alerts[one.key] = one
        for key in [*steps.forget, *((o.event, o.subject) for o in steps.tell if not o.alert)]:
            del self.alerts[key]
        return steps


def a_condition(event=events.BATTERY_LOW, **changes):
    return Condition(**({"event": event, "subject": "apt-101", "detail": "so it is"} | changes))


def test_what_holds_is_told_once_and_once_when_it_is_over_and_written_only_then():
    people = People()
    for _ in range(100):
        people.look(a_condition())
    assert people.told == [(events.BATTERY_LOW, "starts")]
    assert people.writes == 1
    for _ in range(100):
        people.look()
    assert people.told == [(events.BATTERY_LOW, "starts"), (events.BATTERY_LOW, "over")]
    assert people.writes == 2


def test_a_blip_is_not_told_and_a_lock_that_comes_and_goes_is_told_once():
    people, offline = People(), a_condition(events.LOCK_OFFLINE)
    people.look(offline)
    people.look()
    assert people.told == []
    for _ in range(10):
        for _ in range(6):
            people.look(offline)
        people.look()
    assert people.told == [(events.LOCK_OFFLINE, "starts")]
    for _ in range(3):
        people.look()
    assert people.told[1:] == [(events.LOCK_OFFLINE, "over")]


def test_it_says_when_the_next_thing_is_to_be_told():
    people, offline = People(), a_condition(events.LOCK_OFFLINE)
    steps = people.look(offline)
    assert steps.look_at == people.now + 5 * MINUTE
    assert people.look(offline, after=steps.look_at - people.now).tell
    assert people.look().look_at == people.now + 2 * MINUTE


def test_a_new_part_is_told_again_and_one_that_goes_is_not():
    people = People()
    for parts in ({"AB12C"}, {"AB12C", "CD34E"}, {"CD34E"}, {"AB12C"}):
        people.look(a_condition(events.BRAKE_HELD, parts=frozenset(parts)))
    assert people.told == [(events.BRAKE_HELD, "starts"), (events.BRAKE_HELD, "again")]


def test_the_same_telling_has_the_same_id_and_another_has_another():
    alert = Alert(event=events.BATTERY_LOW, subject="apt-101", since=NOW)
    first = follow([a_condition()], [alert], NOW + MINUTE).tell[0]
    once_more = follow([a_condition()], [alert], NOW + HOUR).tell[0]
    over = follow([], [first.alert], NOW + HOUR).tell[0]
    later = follow([a_condition()], [replace(alert, since=NOW + HOUR)], NOW + HOUR).tell[0]
    assert first.id == once_more.id
    assert len({first.id, over.id, later.id}) == 3


# --- what holds --------------------------------------------------------------------------------


def held(facts, standing=(), now=NOW):
    return {one.event for one in conditions(facts, standing, now)}


@pytest.mark.parametrize(
    ("signals", "was_low", "low"),
    [
        ({"battery_percent": 15}, False, True),
        ({"battery_percent": 16}, False, False),
        ({"battery_percent": 19}, True, True),
        ({"battery_percent": 20}, True, False),
        ({"battery_state": "poweroff"}, False, True),
        ({"battery_state": "high", "alarm": "low_battery"}, True, False),
        ({"alarm": "low_battery"}, False, True),
        ({"battery_percent": 60, "alarm": "low_battery"}, True, False),
    ],
)
def test_a_battery_is_low_by_its_percentage_its_word_or_its_alarm(signals, was_low, low):
    standing = {(events.BATTERY_LOW, "apt-101")} if was_low else set()
    facts = Facts(locks=(LockSignals(name="apt-101", **signals),))
    assert (events.BATTERY_LOW in held(facts, standing)) is low


def locks_of(hub, *reachable):
    return tuple(
        LockSignals(name=f"apt-{n}", hub=hub, reachable=one, why=None if one else "no connection")
        for n, one in enumerate(reachable)
    )


@pytest.mark.parametrize(
    ("locks", "standing", "subjects"),
    [
        (locks_of("hub", *[False] * 64), (), ["hub"]),
        (locks_of("hub", *[False] * 63, None), (), ["hub"]),
        (locks_of("hub", *[False] * 2, True), (), ["apt-0", "apt-1"]),
        (locks_of("hub", False), (), ["apt-0"]),
        (locks_of(None, False, False), (), ["apt-0", "apt-1"]),
        (locks_of("hub", False, False), {(events.LOCK_OFFLINE, "apt-1")}, ["apt-1", "hub"]),
        (locks_of("hub", None, None), (), []),
    ],
)
def test_a_hub_that_takes_its_locks_away_is_one_trouble(locks, standing, subjects):
    found = conditions(Facts(locks=locks), standing, NOW)
    assert [one.subject for one in found if one.event == events.LOCK_OFFLINE] == subjects


def test_the_locks_of_a_silent_hub_are_named_as_far_as_one_reads():
    few, many = (
        conditions(Facts(locks=locks_of("hub", *[False] * count)), (), NOW)[0].detail
        for count in (2, 64)
    )
    assert "none of its 2 locks can be reached (apt-0, apt-1):" in few
    assert "apt-7 and 56 more):" in many
    assert few.startswith("no connection: ")


def a_door(**changes):
    values = {
        "window": Window(valid_from=NOW + 22 * HOUR, valid_until=NOW + 72 * HOUR),
        "check_in_at": NOW + 24 * HOUR,
        "wanted": True,
        "evidence": Evidence.PLANNED,
        "revoked": False,
    }
    return Door(id="AB12C-apt-101", lock="apt-101", state=DoorState(**(values | changes)))


def a_guest(*doors, **changes):
    values = {
        "code": "AB12C",
        "unit": "Apto 101",
        "check_in_at": NOW + 24 * HOUR,
        "check_out_at": NOW + 48 * HOUR,
        "doors": doors,
    }
    return Guest(**(values | changes))


@pytest.mark.parametrize(
    ("guest", "kinds"),
    [
        (a_guest(a_door()), []),
        (a_guest(a_door(unreachable=True)), ["unreachable"]),
        (a_guest(a_door(unreachable=True, check_in_at=NOW + 25 * HOUR)), []),
        (a_guest(a_door(reason="full")), ["full"]),
        (a_guest(a_door(reason="no PIN is left")), ["unconfirmed"]),
        (a_guest(a_door(), held=True), ["held"]),
        (a_guest(a_door(wanted=False, withdrawn_at=NOW), lost=True, unit=None), ["unmapped"]),
        (
            a_guest(
                a_door(window=Window(valid_from=NOW - HOUR, valid_until=NOW + HOUR)),
                check_in_at=NOW + HOUR,
            ),
            ["unconfirmed"],
        ),
    ],
)
def test_an_arrival_is_at_risk_by_what_stands_in_its_way(guest, kinds):
    found = [
        obstacle.kind
        for one in conditions(Facts(guests=(guest,)), (), NOW)
        if one.event == events.PIN_AT_RISK
        for obstacle in one.obstacles
    ]
    assert found == kinds


def test_an_untrusted_clock_puts_the_arrivals_of_the_day_at_risk_and_no_others():
    later = a_guest(a_door(), code="CD34E", check_in_at=NOW + 48 * HOUR)
    facts = Facts(guests=(a_guest(a_door()), later), clock_doubt="it stepped back")
    found = conditions(facts, (), NOW)
    assert [one.subject for one in found if one.event == events.PIN_AT_RISK] == ["AB12C"]
    assert events.CLOCK_UNTRUSTED in held(facts)


def test_two_hours_before_arrival_it_is_said_once_more():
    guest = a_guest(a_door(unreachable=True))
    people = People()
    for _ in range(30):
        holding = conditions(Facts(guests=(guest,)), (), people.now + HOUR)
        people.look(*holding, after=HOUR)
    assert people.told == [(events.PIN_AT_RISK, "starts"), (events.PIN_AT_RISK, "again")]


def test_a_deletion_is_late_after_an_hour():
    window = Window(valid_from=NOW - 72 * HOUR, valid_until=NOW - HOUR)
    guest = a_guest(a_door(window=window, evidence=Evidence.REVOKING), check_out_at=NOW - 25 * HOUR)
    facts = Facts(guests=(guest,))
    assert held(facts, now=NOW - MINUTE) == set()
    assert held(facts) == {events.CREDENTIAL_REVOCATION_LATE}


def test_an_unmapped_listing_stands_until_it_is_mapped():
    key = (events.LISTING_UNMAPPED, "L1")
    facts = Facts(unmapped=(Unmapped("L1", "Elsewhere", NOW + HOUR),))
    assert held(facts) == {events.LISTING_UNMAPPED}
    assert held(Facts(), standing={key}) == {events.LISTING_UNMAPPED}
    assert held(Facts(mapped=frozenset({"L1"})), standing={key}) == set()
