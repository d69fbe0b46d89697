"""The grid events that `shifter grid-events quote` and `add` are about: those of a file, or one that options spell."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli.options import spelt
from shifter.cli.text import parse_duration, parse_time
from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.cli.edge import CommandClient

OPTIONS = {
    "end": "--hours",
    "rebound_minutes": "--rebound",
    "notice_minutes": "--notice",
    **spelt("limit_kw", "cut_kw", "cut_ratio", "ramp_kw_per_minute", "rebound_limit_kw", "rebound_ratio"),
}
"""Which option says what a grid event calls so, where they differ."""
MINUTE = timedelta(minutes=1)

File = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help="Grid events as JSON lines (.jsonl), or a YAML or JSON list; or give options."
    ),
]
Site = Annotated[str | None, typer.Option("--site", help="The site.")]
Start = Annotated[str | None, typer.Option("--start", help="When the window begins.")]
Hours = Annotated[float | None, typer.Option("--hours", min=0, help="How long it is, in hours.")]
LimitKw = Annotated[float | None, typer.Option("--limit-kw", min=0, help="Highest import, slot mean.")]
CutKw = Annotated[float | None, typer.Option("--cut-kw", min=0, help="So much less than the baseline.")]
CutRatio = Annotated[
    float | None,
    typer.Option("--cut-ratio", min=0, max=1, help="That part of the baseline less: 0.25 is a quarter."),
]
BaselineName = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="plan|similar_days|highest_days",
        help="What a cut is taken from; default: plan.",
    ),
]
Ramp = Annotated[
    float | None,
    typer.Option(
        "--ramp-kw-per-minute",
        min=0,
        help="The import comes down and goes up within this, around the window.",
    ),
]
Rebound = Annotated[
    str | None, typer.Option("--rebound", help="How long its limit afterwards holds, such as 2h.")
]
ReboundKw = Annotated[float | None, typer.Option("--rebound-limit-kw", min=0, help="Highest import then.")]
ReboundRatio = Annotated[
    float | None, typer.Option("--rebound-ratio", min=0, help="The same, of the baseline.")
]
Notice = Annotated[str | None, typer.Option("--notice", help="The notice that was agreed, such as 15min.")]
Id = Annotated[str | None, typer.Option("--id", help="Its id; default: made of site and start.")]


@dataclass(frozen=True)
class TypedEvents:
    """Grid events, and the file that they are from; without one, options spell the one that there is."""

    events: list[dict[str, Any]]
    file: Path | None = None

    def sent(
        self, client: CommandClient, send: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """What `send` answers to each, a call of the client, as it comes.

        What is wrong names its options, or file and id.
        """
        client.options = {} if self.file else OPTIONS
        for event in self.events:
            client.places = [f"{self.file}: {event['id']}"] if self.file else ()
            yield send(event)


def takes_events(command: Callable[..., None]) -> Callable[..., None]:
    """`command(asked, ...)` as a command with the options of `asked_events` in place of them, beside its own."""
    asked = inspect.signature(asked_events, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()
    signature = inspect.Signature([*asked.values(), *own])

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(asked_events(**{name: given.pop(name) for name in asked}), **given)

    run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run


def asked_events(
    file: File = None,
    *,
    site: Site = None,
    start: Start = None,
    hours: Hours = None,
    limit_kw: LimitKw = None,
    cut_kw: CutKw = None,
    cut_ratio: CutRatio = None,
    baseline: BaselineName = None,
    ramp: Ramp = None,
    rebound: Rebound = None,
    rebound_limit_kw: ReboundKw = None,
    rebound_ratio: ReboundRatio = None,
    notice: Notice = None,
    id: Id = None,
) -> TypedEvents:
    """Of the file, or the one that the options spell. Raises InputError, BadParameter."""
    window = {"--site": site, "--start": start, "--hours": hours}
    further = {
        "id": id or None,
        "limit_kw": limit_kw,
        "cut_kw": cut_kw,
        "cut_ratio": cut_ratio,
        "baseline": baseline,
        "ramp_kw_per_minute": ramp,
        "rebound_minutes": parse_duration(rebound, "--rebound") / MINUTE if rebound else None,
        "rebound_limit_kw": rebound_limit_kw,
        "rebound_ratio": rebound_ratio,
        "notice_minutes": parse_duration(notice, "--notice") / MINUTE if notice else None,
    }
    if file is not None:
        if any(value is not None for value in (*window.values(), *further.values())):
            raise typer.BadParameter("give either FILE, or options.")
        return TypedEvents(_of_file(file), file)
    for name, value in window.items():
        if value is None:
            raise typer.BadParameter(
                f"give FILE, or --site, --start, --hours and a cut or a limit: {name} is missing."
            )
    from shifter.domain.grid_event import check_hours

    check_hours(hours or 0.0)
    begin = parse_time(start or "", "--start")
    end = begin + timedelta(hours=hours or 0.0)
    spelt = {
        "id": f"{site}-{begin:%Y%m%dT%H%M}",
        "site": site,
        "start": begin.isoformat(),
        "end": end.isoformat(),
    }
    return TypedEvents([spelt | {key: value for key, value in further.items() if value is not None}])


def _of_file(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise InputError("there is no such file.", field=str(file), hint="Check the path.")
    from shifter.files import read_grid_events

    return [event.to_dict() for event in read_grid_events(file)]
