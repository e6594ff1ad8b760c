"""What holds for every command."""

import re
from pathlib import Path

import pytest
import typer

from gateway.cli.main import app

ROOT = Path(__file__).parents[3]
NO_JSON = {"run", "demo"}  # a daemon and a show


def commands(group, *before):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield pytest.param(command, id=" ".join([*before, name]))


EVERY = list(commands(typer.main.get_command(app)))


def options(command):
    return {one for parameter in command.params for one in parameter.opts}


@pytest.mark.parametrize("command", EVERY)
def test_every_command_answers_programs_in_json_and_says_what_it_does(command):
    assert command.help
    assert ("--json" in options(command)) == (command.name not in NO_JSON)
    assert ("--config" in options(command)) == (command.name not in {"demo", "simulator"})


@pytest.mark.parametrize(
    ("page", "heading"), [("operations.md", "## Commands"), ("pt-BR.md", "## Comandos")]
)
def test_the_manual_names_every_command_and_no_other(page, heading):
    text = (ROOT / "docs" / page).read_text()
    part = text[text.index(heading) :].split("\n## ")[0]
    named = set(re.findall(r"^\| `gateway ((?:pin |locks |clock )?[a-z]+)", part, re.MULTILINE))
    assert named == {one.id for one in EVERY}
