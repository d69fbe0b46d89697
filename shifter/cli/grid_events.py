"""`shifter grid-events`: what a grid asks: quote it, accept it, look at it, take it back, report what was delivered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from shifter.cli.console import print_json, say
from shifter.cli.grid_tables import print_events, print_quote, print_report
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import local, parse_duration, parse_time
from shifter.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What the grid asks: quote it before accepting, add, list, withdraw, report.",
)

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


@app.command()
def quote(
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
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What an event would cost, who would pay, and whether it can be met; accepts nothing.

    The plan is made with it and without it. Exit code 1 where it cannot be met, or makes work late.
    """
    asked = (site, start, hours, limit_kw, cut_kw, cut_ratio, baseline, ramp)
    after = (rebound, rebound_limit_kw, rebound_ratio, notice, id)
    client = connect(url)
    answers = [client.quote_grid_event(event) for event in _events(file, *asked, *after)]
    if as_json:
        print_json(answers[0] if len(answers) == 1 else answers)
    else:
        for answer in answers:
            print_quote(answer)
    if not all(a["met"] and a["on_time"] for a in answers):
        raise typer.Exit(1)


@app.command()
def add(
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
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Accept events: they bind the next plan, which is made at once.

    A cut's baseline is frozen now. The same event again is the same; other content under its id is refused.
    """
    asked = (site, start, hours, limit_kw, cut_kw, cut_ratio, baseline, ramp)
    after = (rebound, rebound_limit_kw, rebound_ratio, notice, id)
    client = connect(url)
    answers = [client.add_grid_event(event) for event in _events(file, *asked, *after)]
    if as_json:
        print_json(answers)
        return
    for a in answers:
        source = f", cut from {a['frozen_baseline']['source']}" if a.get("frozen_baseline") else ""
        say(f"{a['id']} binds {a['site']} from {local(a['start'])} to {local(a['end'])}{source}.", "green")


@app.command(name="list")
def listed(
    since: Annotated[
        str | None, typer.Option("--since", help="Those that end after it; default: now.")
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List events that are in force or to come."""
    events = connect(url).grid_events(parse_time(since, "--since") if since else None)
    print_json(events) if as_json else print_events(events)


@app.command()
def withdraw(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Take an event back that you sent.

    One that has begun ends now, one that lies ahead never was.
    """
    left = connect(url).withdraw_grid_event(event_id)
    if as_json:
        print_json(left)
    else:
        say(f"{event_id} is withdrawn.", "green")


@app.command()
def report(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What was delivered against what was requested, as the site's import was metered.

    Slots that were not metered are shown as such. The bar shows what was drawn: █ metered, │ the limit, · the baseline.
    """
    answer = connect(url).grid_event_report(event_id)
    print_json(answer) if as_json else print_report(answer)


def _events(file: Path | None, site: str | None, start: str | None, *rest: Any) -> Iterator[dict[str, Any]]:
    """Of the file, or the one that the options spell. Raises InputError, BadParameter."""
    if file is not None:
        if any(value is not None for value in (site, start, *rest)):
            raise typer.BadParameter("give either FILE, or options.")
        if not file.is_file():
            raise InputError("there is no such file.", field=str(file), hint="Check the path.")
        from shifter.files import read_grid_events

        yield from [event.to_dict() for event in read_grid_events(file)]
        return
    yield _spelt(site, start, *rest)


def _spelt(
    site: str | None,
    start: str | None,
    hours: float | None,
    limit_kw: float | None,
    cut_kw: float | None,
    cut_ratio: float | None,
    baseline: str | None,
    ramp: float | None,
    rebound: str | None,
    rebound_limit_kw: float | None,
    rebound_ratio: float | None,
    notice: str | None,
    id: str | None,
) -> dict[str, Any]:
    for name, value in (("--site", site), ("--start", start), ("--hours", hours)):
        if value is None:
            raise typer.BadParameter(
                f"give FILE, or --site, --start, --hours and a cut or a limit: {name} is missing."
            )
    begin = parse_time(start or "", "--start")
    end = begin + timedelta(hours=hours or 0.0)
    minute = timedelta(minutes=1)
    said = {
        "id": id or f"{site}-{begin:%Y%m%dT%H%M}",
        "site": site,
        "start": begin.isoformat(),
        "end": end.isoformat(),
        "limit_kw": limit_kw,
        "cut_kw": cut_kw,
        "cut_ratio": cut_ratio,
        "baseline": baseline,
        "ramp_kw_per_minute": ramp,
        "rebound_minutes": parse_duration(rebound, "--rebound") / minute if rebound else None,
        "rebound_limit_kw": rebound_limit_kw,
        "rebound_ratio": rebound_ratio,
        "notice_minutes": parse_duration(notice, "--notice") / minute if notice else None,
    }
    return {key: value for key, value in said.items() if value is not None}
