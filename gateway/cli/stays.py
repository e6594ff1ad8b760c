"""`gateway reservations` and `gateway plan`."""

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Table

from gateway.cli.daemon import ask
from gateway.cli.pins import local
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    read_config,
    write_line,
)

_PATIENCE = 70.0  # Stays is read for it
_COLOURS = {"active": "green", "planned": "cyan", "at_risk": "bold red", "unmapped": "yellow"}
_SIGNS = {"issue": "+", "move": "~", "mend": "=", "revoke": "-", "drop": "-"}
_SIGN_COLOURS = {"+": "green", "~": "yellow", "=": "dim", "-": "red"}


def reservations(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    status: Annotated[
        str | None,
        typer.Option("--status", help="confirmed, pending, cancelled, blocked or completed."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Those that end after this date.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Those that begin before this date.")
    ] = None,
    page: Annotated[int, typer.Option("--page", help="Fifty a page.")] = 1,
    json_: JsonOption = False,
) -> None:
    """The stays by arrival, with how their PINs stand."""
    settings, paths = read_config(config)
    wanted = {"status": status, "from": start, "to": end, "page": page}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    answer = ask(settings, paths, "GET", f"/api/admin/reservations?{query}")
    rows = answer.data()
    if json_:
        write_line(json.dumps(answer.body))
        return
    table = Table("stay", "where", "status", "from", "until", "PIN", "doors")
    for stay in rows:
        colour = _COLOURS.get(stay["pinStatus"], "white")
        doors = ", ".join(f"{door['lock']} {door['evidence']}" for door in stay["credentials"])
        table.add_row(
            stay["code"],
            stay["listing"]["name"] or "",
            stay["status"],
            local(stay["checkIn"]),
            local(stay["checkOut"]),
            f"[{colour}]{stay['pinStatus']}[/]",
            doors,
        )
    console.print(table)
    console.print(f"{len(rows)} of {answer.body['total']}, page {answer.body['page']}")


def plan(config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False) -> None:
    """What a reconciliation would change now, and why; changes nothing."""
    settings, paths = read_config(config)
    path = "/api/admin/reconciliation/plan"
    with console.status("reading Stays", spinner="dots"):
        shown = ask(settings, paths, "GET", path, patience=_PATIENCE).data()
    if json_:
        write_line(json.dumps(shown))
        return
    for stay in shown["stays"]:
        console.print(f"{stay['code']}  {stay['unit'] or ''}  ({stay['change']})", markup=False)
        for door in stay["doors"]:
            sign = _SIGNS[door["action"]]
            console.print(f"  {_line(door, sign)}", style=_SIGN_COLOURS[sign], markup=False)
    for code in shown["held"]:
        console.print(f"! {code} keeps its doors for now: the brake holds it", style="bold red")
    for note in shown["notes"]:
        console.print(f"note: {note}", markup=False)
    if not shown["stays"] and not shown["held"]:
        console.print("Nothing would change.")


def _line(door: dict[str, Any], sign: str) -> str:
    windows = [_window(door[name]) for name in ("before", "after") if door[name] is not None]
    span = " → ".join(dict.fromkeys(windows))
    return f"{sign} {door['lock']}: {door['action']} {span} ({door['why']})"


def _window(window: dict[str, str]) -> str:
    return f"{local(window['validFrom'])} to {local(window['validUntil'])}"
