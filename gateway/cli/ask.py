"""Commands that ask the running daemon."""

import json
import re
import time
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli.daemon import ask, make_token, page_url
from gateway.cli.pins import local
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    EXIT_FAILED,
    ConfigOption,
    JsonOption,
    console,
    fail,
    read_config,
    write_line,
)

_ARRIVALS = 5
_MARKS = {"active": "green", "planned": "cyan", "at_risk": "bold red", "unmapped": "yellow"}


def status(config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False) -> None:
    """What the daemon is doing: runs, who arrives next, locks."""
    settings, paths = read_config(config)
    run = ask(settings, paths, "GET", "/api/admin/reconciliation/status").data()
    stays = ask(settings, paths, "GET", "/api/admin/reservations?status=confirmed").data()
    locks = ask(settings, paths, "GET", "/api/admin/locks").data()
    clock = ask(settings, paths, "GET", "/api/admin/clock").data()
    if json_:
        shown = {"reconciliation": run, "reservations": stays, "locks": locks, "clock": clock}
        write_line(json.dumps(shown))
        return
    last = run["lastRun"]
    coming = "not planned" if run["nextRun"] is None else local(run["nextRun"])
    console.print(f"Reconciliation: {run['currentStatus']}, next {coming} ({run['schedule']})")
    if last is not None:
        counts = ", ".join(f"{name} {count}" for name, count in last["stats"].items())
        console.print(f"Last run: {local(last['startedAt'])}, {last['duration']} ms, {counts}")
        if last["message"]:
            console.print(f"  {last['message']}", markup=False)
    if not clock["trusted"]:
        console.print(f"[bold red]Clock not trusted[/]: {clock_words(clock)}")
    console.print(_stays_table(stays))
    console.print(_locks_table(locks))


def _stays_table(stays: list[dict[str, Any]]) -> Table:
    table = Table(
        "stay", "where", "from", "until", "PIN", "doors", title="Who is here and who comes"
    )
    for stay in [one for one in stays if one["listing"]["name"]][:_ARRIVALS]:
        doors = ", ".join(f"{door['lock']} {door['evidence']}" for door in stay["credentials"])
        colour = _MARKS.get(stay["pinStatus"], "white")
        table.add_row(
            stay["code"],
            stay["listing"]["name"],
            local(stay["checkIn"]),
            local(stay["checkOut"]),
            f"[{colour}]{stay['pinStatus']}[/]",
            doors,
        )
    return table


def _locks_table(locks: list[dict[str, Any]]) -> Table:
    table = Table("lock", "reachable", "since", "battery", "codes", "waiting", title="Locks")
    for lock in locks:
        reachable = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "not known yet"}
        percent, state = lock["battery"]["percent"], lock["battery"]["state"]
        table.add_row(
            lock["name"],
            reachable[lock["reachable"]],
            "" if lock["since"] is None else local(lock["since"]),
            (state or "") if percent is None else f"{percent} %",
            str(lock["codes"]),
            str(lock["waiting"]),
        )
    return table


def reconcile(config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False) -> None:
    """Ask the daemon to reconcile now, and wait until it is done."""
    settings, paths = read_config(config)
    before = ask(settings, paths, "GET", "/api/admin/reconciliation/status").data()["lastRun"]
    ask(settings, paths, "POST", "/api/admin/reconciliation/run").data()
    with console.status("reconciling", spinner="dots"):
        while True:
            state = ask(settings, paths, "GET", "/api/admin/reconciliation/status").data()
            if state["currentStatus"] != "pending" and state["lastRun"] != before:
                break
            time.sleep(0.3)  # noqa: TID251 - a command of its own process may block
    run = state["lastRun"]
    if json_:
        write_line(json.dumps(run))
    else:
        counts = ", ".join(f"{name} {count}" for name, count in run["stats"].items())
        console.print(f"{run['status']} in {run['duration']} ms: {counts}")
        if run["message"]:
            console.print(run["message"], markup=False)
    if run["status"] != "success":
        raise typer.Exit(EXIT_FAILED)


def clock_words(clock: dict[str, Any]) -> str:
    """How the clock stands, with what to do."""
    if clock["trusted"]:
        who = ", ".join(clock["vouchedBy"])
        return f"trusted ({who} vouches for it)" if who else "trusted (nothing speaks against it)"
    return (
        f"{'; '.join(clock['reasons'])}. It shows {clock['wall']}, work goes on by {clock['actsOn']}."
        " Let it reach the Internet, or set the time and run gateway clock trust"
    )


def clock_trust(config: ConfigOption = DEFAULT_CONFIG, *, json_: JsonOption = False) -> None:
    """Vouch for the clock of this machine as it is now; this is audited."""
    settings, paths = read_config(config)
    clock = ask(settings, paths, "POST", "/api/admin/clock/trust").data()
    if json_:
        write_line(json.dumps(clock))
    else:
        console.print(f"{local(clock['wall'])}: {clock_words(clock)}")


def token(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    ttl: Annotated[str, typer.Option(help='How long it is valid: "12h", "30m", "7d".')] = "12h",
    subject: Annotated[str, typer.Option(help="Whose it is; the audit trail names it.")] = "admin",
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="A link instead that signs in to the page, once, in 10 minutes."
        ),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Print an admin's token for the HTTP API, or a link to the page."""
    matched = re.fullmatch(r"(\d{1,4})([mhd])", ttl)
    if matched is None:
        fail('--ttl is a duration such as "12h", "30m" or "7d"')
    unit = {"m": "minutes", "h": "hours", "d": "days"}[matched[2]]
    lives = timedelta(**{unit: int(matched[1])})
    settings, paths = read_config(config)
    if not link:
        name, value = "token", make_token(settings, paths, subject=subject, ttl=lives)
    else:
        wanted = {"subject": subject, "sessionSeconds": int(lives.total_seconds())}
        made = ask(settings, paths, "POST", "/api/admin/sign-in-links", wanted).data()
        name, value = "link", page_url(settings) + made["path"]
    write_line(json.dumps({name: value}) if json_ else value)


def held(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    confirm: Annotated[bool, typer.Option("--confirm", help="Their PINs go.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Their PINs stay.")] = False,
    json_: JsonOption = False,
) -> None:
    """Show what the brake holds; confirm or reject it."""
    if confirm and reject:
        fail("--confirm or --reject, not both")
    settings, paths = read_config(config)
    path = "/api/admin/reconciliation/held"
    if confirm or reject:
        action = {"action": "confirm" if confirm else "reject"}
        decided = ask(settings, paths, "POST", path, action).data()
        write_line(json.dumps(decided) if json_ else f"decided on {decided['decided']} stays")
        return
    rows = ask(settings, paths, "GET", path).data()["held"]
    if json_:
        write_line(json.dumps(rows))
        return
    table = Table("stay", "unit", "since", "Stays says", title="Held by the brake")
    for row in rows:
        table.add_row(row["code"], row["unit"] or "", local(row["since"]), row["reason"])
    console.print(table if rows else "The brake holds nothing.")
