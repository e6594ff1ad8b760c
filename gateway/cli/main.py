"""All commands."""

import typer

from gateway.cli import (
    ask,
    backup,
    check,
    commissioning,
    demo,
    locks,
    match,
    pins as pins_,
    run,
    simulator,
    stays,
)

app = typer.Typer(
    name="gateway",
    help="Guests' PINs on Tuya locks, from Stays.net reservations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("simulator")(simulator.simulator)
app.command("check")(check.check)
app.command("status")(ask.status)
app.command("reconcile")(ask.reconcile)
app.command("plan")(stays.plan)
app.command("reservations")(stays.reservations)
app.command("token")(ask.token)
app.command("held")(ask.held)
app.command("match")(match.match)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
pins = typer.Typer(help="The PINs of stays.", no_args_is_help=True)
pins.command("show")(pins_.show)
pins.command("issue")(pins_.issue)
pins.command("reissue")(pins_.reissue)
pins.command("revoke")(pins_.revoke)
app.add_typer(pins, name="pin")
locks.app.command("test")(commissioning.try_lock)
locks.app.command("retire")(commissioning.retire)
app.add_typer(locks.app, name="locks")
clock = typer.Typer(help="The clock of this machine.", no_args_is_help=True)
clock.command("trust")(ask.clock_trust)
app.add_typer(clock, name="clock")


@clock.callback()
def _clock() -> None:
    """The clock of this machine."""


@app.callback()
def _root() -> None:
    """Guests' PINs on Tuya locks, from Stays.net reservations."""


def main() -> None:
    """The console script."""
    app()
