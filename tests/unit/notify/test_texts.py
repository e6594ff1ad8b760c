"""Every event has its texts in every language, and its cure in the manual."""

import re
import string
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from gateway.config.model import Site
from gateway.domain import events
from gateway.domain.alerts import Obstacle
from gateway.domain.messages import PLACEHOLDERS
from gateway.domain.model import Refusal
from gateway.notify.texts import Texts, words
from gateway.ports import Notice
from tests.builders import utc

LANGUAGES = get_args(Site.model_fields["language"].annotation)
DOCS = Path(__file__).parents[3] / "docs"
OBSTACLES = {*Refusal, "unreachable", "unconfirmed", "unmapped", "held", "clock"}


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_event_that_people_are_told_has_its_texts(language):
    texts = words(language)
    assert set(texts["events"]) == events.TOLD
    assert set(texts["doors"]) == OBSTACLES
    for event, one in texts["events"].items():
        assert ("over" in one) is (event in events.CONDITIONS), event
        for text in one.values():
            assert fields(text) <= {"subject", "detail", "unit", "arrival", "doors"}, event
    for name in ("pin", "changed"):
        assert fields(texts["guest"][name]) == set(PLACEHOLDERS)


def test_all_languages_have_the_same_texts():
    def keys(node, path=()):
        if not isinstance(node, dict):
            return {path}
        return {key for name, one in node.items() for key in keys(one, (*path, name))}

    first, *others = (keys(words(language)) for language in LANGUAGES)
    assert others == [first]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", sorted(events.TOLD))
def test_a_notice_names_what_it_is_about(language, event):
    texts = Texts(language=language, zone=ZoneInfo("America/Sao_Paulo"))
    notice = Notice(
        event=event,
        at=utc("2026-02-05 12:00"),
        subject="AB12C",
        detail="so it is",
        unit="Apto 101",
        arrival=utc("2026-02-05 18:00"),
        obstacles=(Obstacle(lock="apt-101", kind="full"),),
    )
    composed = texts.notice(notice)
    assert composed.title
    assert "{" not in composed.title + composed.body
    if event == events.PIN_AT_RISK:
        assert "apt-101" in composed.body
        assert "15:00" in composed.body


@pytest.mark.parametrize(
    ("page", "begins", "ends"),
    [
        ("operations.md", "## What you are told", "### Guests' PINs"),
        ("pt-BR.md", "## Avisos", "**A senha chega"),
    ],
)
def test_the_manual_names_every_event_that_people_are_told_with_its_cure(page, begins, ends):
    text = (DOCS / page).read_text()
    section = text[text.index(begins) : text.index(ends)]
    rows = {
        event: cure
        for names, cure in re.findall(r"^\| (`.+?`) \| .+ \| (.+) \|$", section, re.MULTILINE)
        for event in re.findall(r"`([a-z._]+)`", names)
    }
    assert set(rows) == events.TOLD
    assert all(rows.values())
