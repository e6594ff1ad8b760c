"""`gateway pin …`: show, issue, reissue and revoke PINs."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from gateway.cli.daemon import ask
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    fail,
    read_config,
    write_line,
)

StayArgument = Annotated[str, typer.Argument(help="The short or long id of the stay or access.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Why; the audit trail keeps it. Never a PIN.")
]
_ACCESS = "/api/admin/access"


def show(
    stay: StayArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="The whole PIN; this is audited.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Show a stay's PIN, masked unless --reveal."""
    shown = _pin(config, stay, reveal=reveal)
    if json_:
        write_line(json.dumps(shown))
        return
    _print_pin(shown)


def issue(
    stay: Annotated[
        str | None,
        typer.Argument(help="A stay whose PIN is looked at once more; or none, and --name."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    name: Annotated[
        str | None, typer.Option("--name", help="For somebody that Stays does not know.")
    ] = None,
    phone: Annotated[
        str | None, typer.Option("--phone", help="Where messages to this guest go.")
    ] = None,
    lock: Annotated[
        list[str] | None, typer.Option("--lock", help="A door; more than one may be given.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help='"2026-02-05 15:00" here, or RFC 3339; else now.')
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="The same; required.")] = None,
    staff: Annotated[
        bool, typer.Option("--staff", help="Somebody who works here: takes part in no turnover.")
    ] = False,
    unit: Annotated[
        str | None, typer.Option("--unit", help="Where the doors are those of several units.")
    ] = None,
    day: Annotated[
        list[str] | None, typer.Option("--day", help="Of staff: mon, tue, …; with --hours.")
    ] = None,
    hours: Annotated[
        str | None, typer.Option("--hours", help='Of staff: "08:00-12:00"; with --day.')
    ] = None,
    reason: ReasonOption = None,
    json_: JsonOption = False,
) -> None:
    """Have a stay's PIN issued as far as its window allows, or give one to somebody that Stays does not know."""
    if (stay is None) == (name is None):
        fail(
            "name a stay, or give --name, --lock and --until for somebody that Stays does not know"
        )
    if stay is not None:
        _act(config, stay, "reprocess", reason, json_=json_)
        return
    if until is None or not lock:
        fail("--lock and --until say which doors, and how long")
    body: dict[str, Any] = {
        "kind": "staff" if staff else "guest",
        "name": name,
        "locks": lock,
        "until": _moment(until, "--until"),
    }
    if start is not None:
        body["from"] = _moment(start, "--from")
    if phone is not None:
        body["phone"] = phone
    if unit is not None:
        body["unit"] = unit
    if day or hours:
        body["weekly"] = _weekly(day or [], hours or "")
    if reason is not None:
        body["reason"] = reason
    settings, paths = read_config(config)
    access = ask(settings, paths, "POST", _ACCESS, body).data()
    shown = _pin(config, access["code"], reveal=True)
    if json_:
        write_line(json.dumps(access | {"pin": shown["pin"]}))
        return
    console.print(
        f"{access['code']} for {access['name']}: a lock has the PIN once `gateway pin show`"
        " or the reservation says confirmed",
        markup=False,
    )
    _print_pin(shown)


def reissue(
    stay: StayArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    reason: ReasonOption = None,
    json_: JsonOption = False,
) -> None:
    """Give a stay another PIN: on every door first, then the old one is deleted. Lifts a revocation."""
    _act(config, stay, "reissue-pin", reason, json_=json_)


def revoke(
    stay: StayArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    reason: ReasonOption = None,
    json_: JsonOption = False,
) -> None:
    """Take a stay's PIN away from every door; only `gateway pin reissue` gives it one again."""
    _act(config, stay, "revoke-pin", reason, json_=json_)


def _act(config: Path, stay: str, what: str, reason: str | None, *, json_: bool) -> None:
    settings, paths = read_config(config)
    path = f"/api/admin/reservations/{quote(stay, safe='')}/{what}"
    shown = ask(settings, paths, "POST", path, {"reason": reason}).data()
    if json_:
        write_line(json.dumps(shown))
        return
    table = Table("door", "evidence", "from", "until", "in the way")
    for door in shown["credentials"]:
        table.add_row(
            door["lock"],
            door["evidence"],
            local(door["validFrom"]),
            local(door["validUntil"]),
            door["reason"] or "",
        )
    console.print(f"{shown['code']}: {shown['pinStatus']}; the locks are at it", markup=False)
    console.print(table)


def _pin(config: Path, stay: str, *, reveal: bool) -> Any:
    settings, paths = read_config(config)
    query = f"reveal={'true' if reveal else 'false'}"
    path = f"/api/admin/reservations/{quote(stay, safe='')}/pin?{query}"
    return ask(settings, paths, "GET", path).data()


def _print_pin(shown: Any) -> None:
    table = Table("door", "PIN", "from", "until")
    for door in shown["doors"]:
        table.add_row(
            door["lock"], door["pin"], local(door["validFrom"]), local(door["validUntil"])
        )
    console.print(table)


def _moment(text: str, option: str) -> str:
    """RFC 3339; a time without a zone is this machine's."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        fail(f'{option} is a time such as "2026-02-05 15:00"')


def _weekly(days: list[str], hours: str) -> dict[str, Any]:
    start, _, end = hours.partition("-")
    return {"days": days, "from": start, "until": end}


def local(moment: str) -> str:
    """A time of the API as this machine's clock shows it."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
