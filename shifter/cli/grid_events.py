"""`shifter grid-events`: what a grid asks: quote it, accept it, look at it, take it back, report what was delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli.console import print_json, say, working
from shifter.cli.grid_options import TypedEvents, takes_events
from shifter.cli.grid_tables import harmless, print_events, print_quote, print_report
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import local, parse_time
from shifter.errors import ShifterError

if TYPE_CHECKING:
    from shifter.client import Client

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What the grid asks: quote it before accepting, add, list, withdraw, report.",
)


@app.command()
@takes_events
def quote(asked: TypedEvents, *, as_json: Json = False, url: Url = DEFAULT_URL) -> None:
    """What an event would cost, who would pay, and whether it can be met; accepts nothing.

    The plan is made with it and without it. Exit code 1 where it cannot be met, makes work late, or
    leaves less for the loss of something.
    """
    client = connect(url)
    answers = list(asked.sent(client, client.quote_grid_event))
    if as_json:
        print_json(answers[0] if len(answers) == 1 else answers)
    else:
        for answer in answers:
            print_quote(answer)
    if not all(map(harmless, answers)):
        raise typer.Exit(1)


@app.command()
@takes_events
def add(asked: TypedEvents, *, as_json: Json = False, url: Url = DEFAULT_URL) -> None:
    """Accept events: they bind the next plan, which is made at once. Each is quoted then, to say whether it can be met.

    A cut's baseline is frozen now. The same event again is the same; other content under its id is refused. Those of a
    file before one that is refused are in force, and those after it are not sent. With --json nothing is quoted.
    """
    client = connect(url)
    accepted: list[dict[str, Any]] = []
    try:
        for a in asked.sent(client, client.add_grid_event):
            accepted.append(a)
            source = f", cut from {a['frozen_baseline']['source']}" if a.get("frozen_baseline") else ""
            binds = f"{a['id']} binds {a['site']} from {local(a['start'])} to {local(a['end'])}"
            say(f"{binds}{source}.", "green")
    finally:  # those before one that is refused are in force
        if as_json:
            print_json(accepted)
    if not as_json:
        for event in asked.events:
            _say_verdict(client, event, f"{event['id']}: " if len(asked.events) > 1 else "")


def _say_verdict(client: Client, event: dict[str, Any], whose: str) -> None:
    """Whether an event that is accepted can be met. What a grid tells is a fact: not even an error changes it."""
    try:
        with working("planning with it and without it …"):
            answer = client.quote_grid_event(event)
    except ShifterError as error:
        say(
            f"{whose}Whether it can be met is not known: {error.detail} Ask again: shifter grid-events quote.",
            "yellow",
        )
        return
    for i, sentence in enumerate(answer["verdict"]):
        say(f"{whose}{sentence}", "bold yellow" if i == 0 and not harmless(answer) else "")


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
