"""The page's languages say the same things, and say all that the page has to say."""

import re
import string
from datetime import timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from gateway.domain import events
from gateway.domain.model import Evidence, Origin, Refusal
from gateway.domain.status import PinStatus, StayStatus
from gateway.web.page.words import LANGUAGES, Words, catalogue
from gateway.web.problems import PROBLEMS
from tests.builders import utc

ONE, *OTHERS = LANGUAGES
# What happens to a stay; the rest happens to the house.
OF_STAYS = ("pin.", "credential.", "reservation.", "access.", "message.", "code.", "revocation.")


def placeholders(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_every_language_has_every_text_with_the_same_placeholders():
    for other in OTHERS:
        ours, theirs = catalogue(ONE), catalogue(other)
        assert ours.keys() == theirs.keys()
        for name, text in ours.items():
            assert placeholders(text) == placeholders(theirs[name]), name
            assert text.strip(), name


def test_every_text_that_a_template_names_is_there():
    known = catalogue(ONE)
    folder = resources.files("gateway.web.page") / "templates"
    named = set()
    for file in folder.iterdir():
        named |= set(re.findall(r"\bt\('([a-z_.]+)'[,)]", file.read_text(encoding="utf-8")))
    assert len(named) > 100
    assert {one for one in named if one not in known and f"{one}.many" not in known} == set()


def test_every_word_of_the_domain_can_be_said():
    known = catalogue(ONE).keys()
    happens = {value for value in vars(events).values() if isinstance(value, str)}
    of_stays = {f"story.{one}" for one in happens if one.startswith(OF_STAYS)}
    of_doors = {f"door.{one}" for one in Evidence} - {
        "door.planned",  # said by its time
        "door.observed",  # said as an opening
    }
    wanted = (
        of_stays
        | of_doors
        | {f"pin.{one}" for one in PinStatus}
        | {f"status.{one}" for one in StayStatus}
        | {f"refusal.{one}" for one in Refusal}
        | {f"access.{one}" for one in (Origin.GUEST, Origin.STAFF)}
        | {f"problem.{code}" for _, code in PROBLEMS.values() if code != "cannot_listen"}
    )
    assert wanted - known == set()


def test_times_are_said_as_people_say_them_in_the_zone_of_the_place():
    now = utc("2026-02-05 15:00")  # noon in São Paulo
    words = Words("en", zone=ZoneInfo("America/Sao_Paulo"), now=now)
    hour, day = timedelta(hours=1), timedelta(days=1)
    said = {
        now + 3 * hour: ("today at 15:00", "in 3 h"),
        now + 13 * hour: ("tomorrow at 01:00", "in 13 h"),
        now - 13 * hour: ("yesterday at 23:00", "13 h ago"),
        now + 4 * day: ("Mon 9 Feb at 12:00", "in 4 days"),
        now + 330 * day: ("Fri 1 Jan 2027 at 12:00", "in 330 days"),
        now + timedelta(seconds=90): ("today at 12:01", "in 2 min"),
        now: ("today at 12:00", "now"),
    }
    assert {moment: (words.when(moment), words.away(moment)) for moment in said} == said
    assert words.confirmed_when("2026-02-05T16:02:09Z") == "at 13:02"
    assert words.confirmed_when("2026-02-04T16:02:09Z") == "yesterday at 13:02"
    assert words.together(["a", "b", "c"]) == "a, b and c"
    pt = Words("pt-BR", zone=ZoneInfo("America/Sao_Paulo"), now=now)
    assert pt.when(now + 4 * day) == "seg, 9 fev às 12:00"
    assert (pt("verdict.bad", n=1), pt("verdict.bad", n=2)) == (
        "Uma coisa precisa de você",
        "2 coisas precisam de você",
    )
