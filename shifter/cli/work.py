"""Handing in work and steering it: `submit`, `workloads`, `cancel`, `override`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shifter.cli.console import print_json, say
from shifter.cli.options import DEFAULT_URL, EVERY, Json, Url, connect
from shifter.cli.payload import Payload, read_payload
from shifter.cli.program import command
from shifter.cli.shown import ENDED, is_hopeless, print_one, print_workloads, why_hopeless
from shifter.cli.text import parse_time, percent, plural
from shifter.errors import Conflict, InputError, ShifterError

if TYPE_CHECKING:
    from datetime import datetime

    from shifter.cli.edge import CommandClient
    from shifter.client import Client

NEWEST = 100
"""So many are listed for a person who gives no limit."""

State = Annotated[
    Literal["accepted", "planned", "running", "done", "cancelled", "late", "real_time"] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help="Only these: accepted, planned, running, done, cancelled, late, real_time.",
    ),
]


def submit(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="JSON (one object, or an array) or JSON lines; - reads stdin."),
    ],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Hand in workloads from a file.

    All of them, or none. The answer says each one's class, when it will run, what that costs, and what it
    would have cost at once. The same id with the same content is the same workload: a file sent twice changes
    nothing.
    """
    client = connect(url)
    payload, views = _handed_in(file, client)
    if as_json:
        print_json(views)
        return
    currency, now = _currency(client, views), _now(client)
    _tell(views, payload.workloads, now)
    if len(views) == 1:
        print_one(views[0], currency, now)
    else:
        print_workloads(views, currency)
    say(f"Why: {command('explain', views[0]['id'], url=url)}", "dim")


def _handed_in(file: str, client: CommandClient) -> tuple[Payload, list[dict[str, Any]]]:
    """What was in the file, and what became of it. What is refused says that nothing of the file was taken."""
    several = True
    try:
        payload = read_payload(file)
        several, client.places = len(payload.workloads) > 1, payload.places
        return payload, client.submit(payload.workloads)
    except (InputError, Conflict) as error:
        refused = _refused_again(error, client) if isinstance(error, Conflict) else error
        if several:
            refused.add_note("Nothing was taken: all of a file is, or none of it.")
        raise refused from None


def _tell(views: list[dict[str, Any]], given: list[dict[str, Any]], now: datetime) -> None:
    """What became of them, and what nobody should overlook."""
    say(accepted(len(views), sum(not v["created"] for v in views)), "green")
    over = [v for v in views if not v["created"] and v["state"] in ENDED]
    for view in over:
        what, remedy = ENDED[view["state"]]
        say(f"{view['id']} {what}: the same again changes nothing. {remedy}", "bold yellow")
    hopeless = [(v, g) for v, g in zip(views, given, strict=True) if v not in over and is_hopeless(v, now)]
    if hopeless:
        which = "It" if len(views) == 1 else f"{len(hopeless)} of them"
        say(f"{which} CANNOT BE DONE IN TIME; what fits before the deadline is planned.", "bold yellow")
    for view, raw in hopeless:
        say(f"  {why_hopeless(view, raw)}", "yellow")
    if len(views) > 1:
        for view in views:
            if view["class"] == "real_time":
                say(f"{view['id']} is real-time work and never moves: {view['reason']['text']}", "magenta")


def accepted(count: int, known: int) -> str:
    """How many are new, and how many were there already with this very content."""
    if known == count:
        return f"Already there, unchanged: {plural(known, 'workload')}."
    there = f" {known} were there already, unchanged." if known > 1 else " 1 was there already, unchanged."
    return f"Accepted {plural(count - known, 'workload')}.{there if known else ''}"


def _refused_again(error: Conflict, client: Client) -> Conflict:
    """The same refusal; where that id has come to its end, how to go on."""
    known = error.facts.get("workload_id")
    try:
        state = client.workload(known)["state"] if known else ""
    except ShifterError:
        state = ""
    hint = f"{known} {ENDED[state][0]}. Give this work an id of its own." if state in ENDED else error.hint
    return Conflict(error.detail, field=error.field, hint=hint, **dict(error.facts))


def workloads(
    workload_id: Annotated[str | None, typer.Argument(metavar="ID", help="Show this one in full.")] = None,
    *,
    state: State = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="At most so many, the newest; default: 100, with --json all."),
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List workloads, or show one.

    Costs are in the fleet's currency, each workload's share of the plan; `saved` is against running at once.
    """
    client = connect(url)
    if workload_id is not None:
        view = client.workload(workload_id)
        print_json(view) if as_json else print_one(view, _currency(client, [view]), _now(client))
        return
    most = limit or (EVERY if as_json else NEWEST)
    views = client.workloads(state=state, tenant=tenant, limit=most)
    if as_json:
        print_json(views)
        return
    print_workloads(views, _currency(client, views))
    if len(views) == most:
        say(f"These are the newest {most}; --limit shows more.", "dim")


def cancel(
    workload_id: Annotated[str, typer.Argument(metavar="ID", help="The workload.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Cancel a workload.

    Its slots are free with the next plan. Cancelling twice is the same as once. Its id stays taken: to run the
    work after all, hand it in under another.
    """
    view = connect(url).cancel(workload_id)
    if as_json:
        print_json(view)
    else:
        say(f"{workload_id} is {view['state']}; {percent(view['progress_ratio'])} of it was done.", "green")


def override(
    workload_id: Annotated[str, typer.Argument(metavar="ID", help="The workload.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit.")],
    decided: Annotated[
        str | None, typer.Option("--class", metavar="real_time|deferrable", help="What it shall be.")
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift it: the policy decides again.")] = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Decide a workload's class yourself; it is recorded.

    An override stands over the policy until it is lifted. Who, when and why are in the audit.
    """
    if lift == (decided is not None):
        raise typer.BadParameter("give either --class real_time, --class deferrable, or --lift.")
    if decided not in {None, "real_time", "deferrable"}:
        raise typer.BadParameter(f"--class {decided} is none: give real_time or deferrable.")
    answer = connect(url).override(workload_id, decided, reason)
    if as_json:
        print_json(answer)
    elif lift:
        say(f"The policy decides the class of {workload_id} again.", "green")
    else:
        say(f"{workload_id} is {decided} from now on, because: {reason}", "green")


def _currency(client: Client, views: list[dict[str, Any]]) -> str:
    """The fleet's currency, from the smallest answer that tells it; "" where none does."""
    try:
        return str(client.explanation(views[0]["id"])["currency"]) if views else ""
    except ShifterError:
        return ""


def _now(client: Client) -> datetime:
    """The daemon's time, which may be a simulated one."""
    return parse_time(client.health()["now"], "health.now")
