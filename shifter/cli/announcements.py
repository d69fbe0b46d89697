"""`shifter realtime`: what real-time load is expected, and what is announced of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from shifter.cli.console import Column, print_json, print_table, say
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.realtime import realtime
from shifter.cli.text import LocalTimes, local, parse_time


class _Shows(TyperGroup):
    """`shifter realtime` and `shifter realtime SITE/POOL` show; no pool has the name of a command, for it has a `/`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is no command is meant for `show`."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Shows,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What real-time load is expected, and how often that held; announce what is to come.\n\n"
    "`shifter realtime` and `shifter realtime SITE/POOL` show it.",
)
app.command("show")(realtime)


@app.command()
def announce(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How it is called, such as launch.")],
    *,
    start: Annotated[str, typer.Option("--start", help="When it begins.")],
    end: Annotated[str | None, typer.Option("--end", help="When it ends; or --hours.")] = None,
    hours: Annotated[float | None, typer.Option("--hours", min=0, help="How long it is, in hours.")] = None,
    factor: Annotated[
        float | None, typer.Option("--factor", min=0, help="So many times the load: 1.8 is 80 % more.")
    ] = None,
    added: Annotated[
        float | None,
        typer.Option("--added-accelerators", min=0, help="So many more, in each pool that is concerned."),
    ] = None,
    site: Annotated[str | None, typer.Option("--site", help="At this site only.")] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="In pools of this name only.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="Its id; default: made of name and start.")] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Announce real-time load that is known to come: a launch, a campaign, a holiday.

    It is held in the next plan, which is made at once. The same again is the same; other content under its id is
    refused.
    """
    if (end is None) is (hours is None):
        raise typer.BadParameter("give one of --end and --hours.")
    begin = parse_time(start, "--start")
    over = parse_time(end, "--end") if end is not None else begin + timedelta(hours=hours or 0.0)
    said = {
        "id": id or f"{name}-{begin:%Y%m%dT%H%M}",
        "name": name,
        "start": begin.isoformat(),
        "end": over.isoformat(),
        "factor": factor,
        "added_accelerators": added,
        "site": site,
        "pool": pool,
    }
    client = connect(url)
    client.options = {
        "name": "NAME",
        "end": "--hours" if end is None else "--end",
        "factor": "--factor",
        "added_accelerators": "--added-accelerators",
    }
    kept = client.announce({key: value for key, value in said.items() if value is not None})
    if as_json:
        print_json(kept)
        return
    say(f"{kept['id']} is announced: {_load(kept)} {_where(kept)}, {_window(kept)}.", "green")


@app.command()
def announcements(
    since: Annotated[
        str | None, typer.Option("--since", help="Those that end after it; default: now.")
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List what is announced and not over yet, those of the daemon's settings among them."""
    found = connect(url).announcements(parse_time(since, "--since") if since else None)
    if as_json:
        print_json(found)
        return
    times = LocalTimes(m for a in found for m in (a["start"], a["end"]))
    columns = (
        Column("announcement"),
        Column("name"),
        Column("where"),
        Column(times.header("from")),
        Column(times.header("to")),
        Column("load", "right"),
        Column("by", expendable=80),
    )
    rows = [
        (a["id"] or "–", a["name"], _where(a), times(a["start"]), times(a["end"]), _load(a), _by(a))
        for a in found
    ]
    print_table(columns, rows, empty="Nothing is announced.")
    if any(not a["heeded"] for a in found):
        say(
            "Not held: real-time load is no longer forecast from what is measured, or the pool is gone.",
            "yellow",
        )


@app.command()
def withdraw(
    announcement_id: Annotated[str, typer.Argument(metavar="ID", help="The announcement.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Take an announcement back, as if it had never been said."""
    was = connect(url).withdraw_announcement(announcement_id)
    if as_json:
        print_json(was)
    else:
        say(f"{announcement_id} is withdrawn.", "green")


def _where(told: dict[str, Any]) -> str:
    """
    >>> (
    ...     _where({"site": "fra", "pool": None}),
    ...     _where({"site": None, "pool": None}),
    ...     _where({"site": None, "pool": "a"}),
    ... )
    ('at fra', 'everywhere', 'in pools a')
    """
    site, pool = told["site"], told["pool"]
    if site and pool:
        return f"in {site}/{pool}"
    return f"at {site}" if site else f"in pools {pool}" if pool else "everywhere"


def _load(told: dict[str, Any]) -> str:
    """
    >>> _load({"factor": 1.8, "added_accelerators": 4}), _load({"factor": 1, "added_accelerators": 4})
    ('x 1.8 + 4 accelerators', '+ 4 accelerators')
    """
    times = f"x {told['factor']:g}" if told["factor"] != 1 else ""
    more = f"+ {told['added_accelerators']:g} accelerators" if told["added_accelerators"] else ""
    return " ".join(part for part in (times, more) if part)


def _window(told: dict[str, Any]) -> str:
    return f"from {local(told['start'])} to {local(told['end'])}"


def _by(told: dict[str, Any]) -> str:
    by = "the settings, fixed" if told["fixed"] else told["created_by"]
    return by if told["heeded"] else f"{by}; not held"
