"""Reads the file, lays the environment over it, and finds all that is wrong at once."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config.checks import Problem, across, in_words
from gateway.config.model import Config
from gateway.domain import events
from gateway.errors import ConfigError
from gateway.tuya.profiles import PROFILES, Grade

_PREFIX = "GATEWAY_"
_SEED_NAMES = {
    "STAYS_API_URL": ("stays", "url"),
    "STAYS_API_KEY": ("stays", "client_id"),
    "STAYS_API_SECRET": ("stays", "client_secret"),
    "LOG_LEVEL": ("log", "level"),
}
_SECRETS = ("client_id", "client_secret", "local_key", "jwt_secret", "url", "guest_url")
_LISTS = ("notify", "hubs", "locks", "listings")


def load(path: Path | None, *, environ: Mapping[str, str]) -> Config:
    """The configuration in the file at `path` (None: the environment alone).

    Raises:
        ConfigError: with every problem: path, line, what is wrong and how to mend it.
    """
    text = "" if path is None else _read(path)
    document = _parse(text, path)
    problems = list(_apply_environment(document, environ))
    problems += _read_secrets(document, environ)
    try:
        config = Config(**document)
    except ValidationError as error:
        problems += in_words(error)
        config = None
    problems += across(document)
    if problems or config is None:
        lines = _Lines(text)
        raise ConfigError(tuple(problem.text(lines.of(problem.path)) for problem in problems))
    return config


def warnings(config: Config, path: Path | None) -> tuple[str, ...]:
    """What is no error but worth a look."""
    used = {lock for listing in config.listings for lock in listing.locks}
    found = [
        f"locks: {lock.name} is mapped to no listing: nobody gets a PIN on it"
        for lock in config.locks
        if lock.name not in used
    ]
    found += [
        f"locks: {lock.name}: {lock.profile} is experimental: try it with gateway locks test"
        for lock in config.locks
        if PROFILES[lock.profile].grade is Grade.INFERRED
    ]
    heard = {event for one in config.notify for event in one.events}
    if config.messages.guest_url is not None and not heard & {
        events.MESSAGE_FAILED,
        events.PIN_MESSAGE,
    }:
        found.append(
            "messages: nobody is told when a guest's message does not go: add a [[notify]] with"
            " message.failed"
        )
    mode = 0 if path is None else path.stat().st_mode
    if mode & 0o007:
        found.append(f"{path} holds keys and everybody may read it: chmod 640 {path}")
    elif mode & 0o020:
        found.append(f"{path} can be written by its whole group: chmod 640 {path}")
    return tuple(found)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            (f"{path} does not exist: copy config.example.toml there and edit it",)
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path} cannot be read: {error}",)) from None


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((f"{path}: no valid TOML: {error}",)) from None


# --- environment -------------------------------------------------------------------------------


def _apply_environment(document: dict[str, Any], environ: Mapping[str, str]) -> Iterator[Problem]:
    named = [
        (name, tuple(part.lower() for part in name.removeprefix(_PREFIX).split("__")))
        for name in sorted(environ)
        if name.startswith(_PREFIX)
    ]
    seeds = [(name, path) for name, path in _SEED_NAMES.items() if name in environ]
    for name, path in [*seeds, *named]:
        problem = _set(document, name, path, environ[name])
        if problem is not None:
            yield problem


def _set(document: dict[str, Any], name: str, path: tuple[str, ...], value: str) -> Problem | None:
    *parents, last = path
    place: Any = document
    known = {*Config.model_fields}
    if path[0] not in known or not parents:
        return Problem((), f"the environment variable {name} names no setting")
    for part in parents:
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                return Problem((), f"the environment variable {name}: there is no entry {part}")
            place = place[int(part)]
        else:
            place = place.setdefault(part, [] if part in _LISTS and place is document else {})
    if not isinstance(place, dict):
        return Problem((), f"the environment variable {name} names no setting")
    place[last] = _value(value)
    return None


def _value(text: str) -> Any:
    """Lists and tables are written as JSON; the rest is text that each setting understands."""
    if text[:1] in {"[", "{"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


# --- secrets in files --------------------------------------------------------------------------


def _read_secrets(document: dict[str, Any], environ: Mapping[str, str]) -> Iterator[Problem]:
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    for path, table in _tables(document):
        for key in _SECRETS:
            file = table.pop(f"{key}_file", None)
            if isinstance(file, str):
                try:
                    table[key] = Path(file).read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError) as error:
                    reason = getattr(error, "strerror", None) or "no text"
                    yield Problem((*path, f"{key}_file"), f"{file} cannot be read: {reason}")
            elif credentials is not None and key not in table:
                credential = Path(credentials) / ".".join((*_names(path, table), key))
                if credential.is_file():
                    table[key] = credential.read_text(encoding="utf-8").strip()


def _tables(document: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    for section, value in document.items():
        if isinstance(value, dict):
            yield (section,), value
        elif isinstance(value, list):
            for index, table in enumerate(value):
                if isinstance(table, dict):
                    yield (section, index), table


def _names(path: tuple[str | int, ...], table: Mapping[str, Any]) -> tuple[str, ...]:
    """`hubs`, 0 is named by the hub's name: hubs.hub-1.local_key."""
    return tuple(str(table.get("name", part)) if isinstance(part, int) else part for part in path)


# --- lines -------------------------------------------------------------------------------------


class _Lines:
    """Finds the line of a key: the first one with which the file, cut off there, has it."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)
        self._documents: list[dict[str, Any]] | None = None

    def of(self, path: tuple[str | int, ...]) -> int | None:
        """The line number, None where the file does not have the key."""
        if not path:
            return None
        if self._documents is None:
            self._documents = [self._until(number) for number in range(1, len(self._lines) + 1)]
        for number, document in enumerate(self._documents, start=1):
            if _has(document, path):
                return number
        return self.of(path[:-1])

    def _until(self, number: int) -> dict[str, Any]:
        try:
            return tomllib.loads("".join(self._lines[:number]))
        except tomllib.TOMLDecodeError:
            return {}


def _has(document: Any, path: tuple[str | int, ...]) -> bool:
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
