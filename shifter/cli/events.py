"""`shifter events`: what happened, and with `--follow` what happens."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import out, print_json_line, styled
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import gap, local

STYLES = {
    "plan.published": "cyan",
    "plan.rejected": "bold red",
    "cycle.failed": "bold red",
    "workload.done": "green",
    "workload.late": "bold red",
    "source.failed": "yellow",
    "forecast.rejected": "yellow",
    "telemetry.stale": "yellow",
    "fault": "bold red",
}


def events(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay, and tell what happens next.")] = False,
    after: Annotated[
        int | None, typer.Option("--after", help="All events with a larger id than this.")
    ] = None,
    last: Annotated[
        int, typer.Option("--last", min=0, help="How many past events, where --after is not given.")
    ] = 30,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What happened: plans, admissions, grid events, faults.

    With --json, one JSON object a line. --follow stays until it is interrupted, also while the daemon restarts.
    """
    client = connect(url)
    tell = print_json_line if as_json else _print
    past = list(client.events(after_id=after or 0))
    for event in past if after is not None else past[len(past) - min(last, len(past)) :]:
        tell(event)
    if follow:
        for event in client.events(after_id=past[-1]["id"] if past else 0, follow=True):
            tell(event)


def _print(event: dict[str, Any]) -> None:
    out().print(_line(event), soft_wrap=True)


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, list | dict)


def _plain(name: str, value: Any) -> str:
    if isinstance(value, float):
        return gap(value) if name.endswith("_gap") else f"{value:,.6g}"
    return str(value)[:12] if name == "plan_id" else str(value)


def _line(event: dict[str, Any]) -> Text:
    kind = event["kind"]
    facts = "  ".join(
        f"{k}={_plain(k, v)}" for k, v in event["data"].items() if _is_plain(v) and k != "drill"
    )
    if event["data"].get("drill"):
        facts += "  a drill"
    return Text.assemble(
        (f"{event['id']:>6}  ", "dim"),
        (local(event["at"]), "dim"),
        "  ",
        (f"{kind:<20}", STYLES.get(kind, "")),
        "  ",
        styled(facts),
    )
