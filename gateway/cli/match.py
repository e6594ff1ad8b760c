"""`gateway match`: which lock belongs to which listing."""

import json
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.daemon import ask
from gateway.cli.settings import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    console,
    read_config,
    write_line,
)
from gateway.domain.matching import THRESHOLD
from gateway.web.matching import as_toml


def match(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How alike names have to be, 0 to 1.")
    ] = THRESHOLD,
    json_: JsonOption = False,
) -> None:
    """Suggest which lock belongs to which listing of Stays, as TOML to paste."""
    settings, paths = read_config(config)
    path = f"/api/admin/matches/suggestions?threshold={threshold}"
    found = ask(settings, paths, "GET", path).data()
    if json_:
        write_line(json.dumps(found))
        return
    if not found:
        console.print("No lock's name fits a listing's: map them by hand in [[listings]].")
        return
    table = Table("lock", "listing", "score", "why", "mapped", title="Suggestions: check each one")
    for one in found:
        listing = one["listing"]
        table.add_row(
            one["lock"],
            f"{listing['name']} ({listing['code'] or listing['id']})",
            f"{one['score']:.2f}",
            one["reason"],
            "yes" if one["mapped"] else "no",
        )
    console.print(table)
    write_line(
        as_toml(
            (one["lock"], one["listing"]["code"] or one["listing"]["id"], one["listing"]["name"])
            for one in found
            if not one["mapped"]
        )
    )
