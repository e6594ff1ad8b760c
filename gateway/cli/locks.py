"""`gateway locks list` and `gateway locks scan`."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gateway.app import Paths
from gateway.cli.daemon import NoDaemonError, ask, request
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    errors,
    fail,
    read_config,
    write_line,
)
from gateway.config import Config, load
from gateway.errors import BadDevicesFileError, CannotListenError, ConfigError
from gateway.tuya.discovery import Discovery, Sighting
from gateway.tuya.profiles import PROFILES
from gateway.tuya.proposal import proposal
from gateway.tuya.survey import Configured, Row, Standing, survey
from gateway.tuya.wizard import WizardDevice, read_devices

_MOST_SECONDS = 4  # of one request to the daemon
_COLOURS = {
    Standing.KNOWN: "green",
    Standing.DIFFERS: "bold yellow",
    Standing.NOT_HEARD: "bold red",
    Standing.NEW: "bold cyan",
    Standing.UNSUPPORTED: "red",
    Standing.OTHER: "dim",
}

app = typer.Typer(help="The locks: what is configured, what is on the LAN.", no_args_is_help=True)


# --- list --------------------------------------------------------------------------------------


@app.command("list")
def list_locks(config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False) -> None:
    """Show the configured locks: profile and grade of its evidence, reachability, codes, clock."""
    settings, paths = read_config(config)
    told = ask(settings, paths, "GET", "/api/admin/locks").data()
    configured = {lock.name: lock for lock in settings.locks}
    rows = []
    for lock in told:
        mine = configured.get(lock["name"])
        profile = None if mine is None else mine.profile
        grade = None if profile is None else str(PROFILES[profile].grade)
        hub = None if mine is None else mine.hub
        rows.append({"profile": profile, "grade": grade, "hub": hub} | lock)
    if json_:
        write_line(json.dumps(rows))
        return
    table = Table("lock", "profile", "hub", "reachable", "battery", "codes", "not ours", "clock")
    for row in rows:
        cells = (
            row["name"],
            f"{row['profile']} ({row['grade']})" if row["profile"] else "not in this file",
            row["hub"] or "",
            _reachable(row),
            _battery(row["battery"]),
            f"{row['codes']}" + (f", {row['waiting']} waiting" if row["waiting"] else ""),
            _others(row),
            "" if row["clockSkew"] is None else f"{row['clockSkew']:+.0f} s",
        )
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _reachable(row: dict[str, Any]) -> str:
    if row["reachable"] is None:
        return "not known yet"
    return "yes" if row["reachable"] else f"no: {row['reason'] or 'not reached'}"


def _battery(battery: dict[str, Any]) -> str:
    percent = "" if battery["percent"] is None else f"{battery['percent']} %"
    return percent or battery["state"] or ""


def _others(row: dict[str, Any]) -> str:
    foreign, stray = row["foreignCodes"], row["strayCodes"]
    told = [f"{foreign} foreign"] if foreign else []
    return ", ".join([*told, f"{stray} stray"] if stray else told)


# --- scan --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """The configuration as far as there is one; `note` says why there is none."""

    config: Config | None
    paths: Paths | None
    note: str = ""

    def configured(self) -> tuple[Configured, ...]:
        """What a survey knows of it."""
        if self.config is None:
            return ()
        hubs = (
            Configured(
                kind="hub",
                name=hub.name,
                device_id=hub.device_id,
                address=hub.address,
                version=hub.version,
            )
            for hub in self.config.hubs
        )
        locks = (
            Configured(
                kind="lock",
                name=lock.name,
                device_id=lock.device_id,
                address=lock.address or "",
                version=lock.version or "",
                profile=lock.profile,
                hub=lock.hub or "",
            )
            for lock in self.config.locks
        )
        return (*hubs, *locks)


@app.command("scan")
def scan(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    seconds: Annotated[int, typer.Option(min=1, max=300, help="How long to listen.")] = 18,
    devices: Annotated[
        Path | None,
        typer.Option(help="The devices.json of tinytuya's wizard: names, keys, hubs, profiles."),
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="Put the local keys into what is printed.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show the Tuya devices on the LAN, and the configuration of those that are new."""
    site = _site(config)
    file, notes = _devices(devices)
    notes = (*((site.note,) if site.note else ()), *notes)
    try:
        with errors.status(f"listening for {seconds} s", spinner="dots"):
            sightings = asyncio.run(_hear(site, seconds))
    except CannotListenError as error:
        fail(str(error))
    configured = site.configured()
    rows = survey(sightings, configured, file)
    toml = proposal(rows, configured, with_keys=keys)
    if json_:
        shown = [_as_json(row) for row in rows]
        write_line(json.dumps({"devices": shown, "notes": notes, "toml": toml}))
        return
    _show(rows, notes, toml)


def _site(path: Path) -> _Site:
    """A technician begins without a configuration, or with half of one."""
    try:
        config = load(path, environ=os.environ)
    except ConfigError as error:
        if not path.exists():
            return _Site(config=None, paths=None, note=f"{path} does not exist: all is new")
        count = len(error.problems)
        many = f"{count} problems" if count > 1 else error.problems[0]
        note = f"{path} is not valid ({many}): all is shown as new; gateway check tells more"
        return _Site(config=None, paths=None, note=note)
    return _Site(config=config, paths=Paths.of(config, folder=path.parent, environ=os.environ))


def _devices(path: Path | None) -> tuple[tuple[WizardDevice, ...], tuple[str, ...]]:
    if path is None:
        return (), ()
    try:
        return read_devices(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}")
    except BadDevicesFileError as error:
        fail(f"{path}: {error}")


async def _hear(site: _Site, seconds: int) -> tuple[Sighting, ...]:
    """By the running daemon, else by ourselves.

    Raises:
        CannotListenError: a port is taken.
    """
    if site.config is None or site.paths is None:
        return await Discovery().sightings(seconds)
    seen: set[Sighting] = set()
    left = seconds
    while left > 0:
        part = min(left, _MOST_SECONDS)
        path = f"/api/admin/locks/sightings?seconds={part}"
        try:
            answer = await request(site.config, site.paths, "GET", path)
        except NoDaemonError:
            return (*seen, *await Discovery().sightings(left))
        for one in answer.data():
            told = (one[key] for key in ("deviceId", "address", "version", "product"))
            seen.add(Sighting(*told))
        left -= part
    return tuple(seen)


def _as_json(row: Row) -> dict[str, Any]:
    found = row.found
    return {
        "deviceId": row.device_id,
        "standing": row.standing,
        "what": row.what,
        "name": row.name,
        "address": row.address,
        "version": row.version,
        "product": row.product,
        "hub": row.hub or None,
        "profile": None if found is None else found.profile,
        "overrides": None if found is None else found.overrides,
        "tries": None if found is None else found.tries,
        "detail": row.detail,
    }


def _show(rows: tuple[Row, ...], notes: tuple[str, ...], toml: str) -> None:
    table = Table("device", "name", "address", "version", "product", "what", "standing", "detail")
    for row in rows:
        cells = (
            ("└ " if row.hub else "") + row.device_id,
            row.name,
            row.address,
            row.version,
            row.product,
            row.what,
        )
        standing = Text(row.standing, style=_COLOURS[row.standing])
        table.add_row(*(Text(cell) for cell in cells), standing, Text(row.detail))
    console.print(table if rows else "No Tuya device was heard, none is configured.")
    if not any(row.address for row in rows):
        console.print(
            "Nothing was heard: is this machine in the network of the locks, and does no firewall"
            " drop UDP 6666, 6667 and 7000?"
        )
    for note in notes:
        console.print(Text(note))
    if toml:
        console.print("\nFor config.toml:\n")
        write_line(toml)
