"""Handing in work and steering it: `submit`, `workloads`, `cancel`, `override`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import Column, out, print_json, print_table, say, styled
from shifter.cli.fields import print_fields
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.payload import read_payload
from shifter.cli.text import (
    LocalTimes,
    amount,
    by,
    less_or_more,
    local,
    number,
    percent,
    plural,
    saving,
)
from shifter.errors import ShifterError

if TYPE_CHECKING:
    from shifter.client import Client

STATE_STYLES = {
    "running": "green",
    "planned": "cyan",
    "accepted": "yellow",
    "done": "dim",
    "cancelled": "dim",
    "late": "bold red",
    "real_time": "magenta",
}

State = Annotated[
    str | None,
    typer.Option("--state", help="Only these: accepted, planned, running, done, cancelled, late, real_time."),
]


def submit(
    file: Annotated[str, typer.Argument(help="JSON (one object, or an array) or JSON lines; - reads stdin.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Hand in workloads from a file.

    All of them, or none. The answer says each one's class, when it will run, what that costs, and what it
    would have cost at once. The same id with the same content is the same workload: a file sent twice changes
    nothing.
    """
    workloads = read_payload(file)
    client = connect(url)
    views = client.submit(workloads)
    if as_json:
        print_json(views)
        return
    known = sum(not v["created"] for v in views)
    say(_accepted(len(views), known), "green")
    if len(views) == 1:
        _print_one(views[0], _currency(client, views))
    else:
        print_workloads(views, _currency(client, views))
        for view in views:
            _warn_of(view)
    if views:
        say(f"Why: shifter explain {views[0]['id']}", "dim")


def _accepted(count: int, known: int) -> str:
    """What became of them: how many are new, and how many were there already with this very content."""
    if known == count:
        return f"Already there, unchanged: {plural(known, 'workload')}."
    there = f" {known} were there already, unchanged." if known > 1 else " 1 was there already, unchanged."
    return f"Accepted {plural(count - known, 'workload')}.{there if known else ''}"


def workloads(
    workload_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this one in full.")] = None,
    *,
    state: State = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List workloads, or show one.

    Costs are in the fleet's currency, each workload's share of the plan; `saved` is against running at once.
    """
    client = connect(url)
    if workload_id is not None:
        view = client.workload(workload_id)
        print_json(view) if as_json else _print_one(view, _currency(client, [view]))
        return
    views = client.workloads(state=state, tenant=tenant, limit=limit)
    if as_json:
        print_json(views)
        return
    print_workloads(views, _currency(client, views))
    if len(views) == limit:
        say(f"These are the newest {limit}; --limit shows more.", "dim")


def cancel(
    workload_id: Annotated[str, typer.Argument(metavar="ID", help="The workload.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Cancel a workload.

    Its slots are free with the next plan. Cancelling twice is the same as once.
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


def print_workloads(views: list[dict[str, Any]], currency: str) -> None:
    """The table of workloads, newest first, as the API gives them."""
    unit = f" ({currency})" if currency else ""
    times = LocalTimes(m for v in views for m in (v["planned_start"], v["planned_finish"], v["deadline"]))
    columns = (
        Column("id"),
        Column("state"),
        Column("class", expendable=100),
        Column("tenant", expendable=140, style="dim"),
        Column("work", "right", expendable=110),
        Column("done", "right", expendable=120),
        Column(times.header("start"), expendable=40),
        Column(times.header("finish"), expendable=60),
        Column(times.header("deadline"), expendable=80),
        Column(f"cost{unit}", "right", expendable=90),
        Column(f"at once{unit}", "right", expendable=130),
        Column("saved", "right", expendable=50),
    )
    print_table(columns, [_row(v, times) for v in views], empty="No workloads.")


def _row(view: dict[str, Any], times: LocalTimes) -> tuple[str | Text, ...]:
    state = styled(view["state"], STATE_STYLES.get(view["state"], ""))
    if not view["feasible"] and view["state"] in {"accepted", "planned", "running"}:
        state.append(" !", "bold red")
    return (
        view["id"],
        state,
        view["class"],
        view["tenant"],
        amount(view["amount"], view["unit"]),
        percent(view["progress_ratio"]),
        times(view["planned_start"]),
        times(view["planned_finish"]),
        times(view["deadline"]),
        number(view["cost"]),
        number(view["run_now_cost"]),
        saving(view["cost"], view["run_now_cost"]),
    )


def _warn_of(view: dict[str, Any]) -> None:
    if view["feasible"]:
        if view["class"] == "real_time":
            say(f"{view['id']} is real-time work and never moves: {view['reason']['text']}", "magenta")
        return
    later = view["earliest_feasible_deadline"]
    advice = (
        f"the earliest deadline that works is {by(later)}" if later else "nor does any within the horizon"
    )
    left = number(view["unplaced_accelerator_hours"], 1)
    say(
        f"{view['id']} cannot finish in time: {left} accelerator-h find no place before then; {advice}.",
        "bold yellow",
    )


def _print_one(view: dict[str, Any], currency: str) -> None:
    """All of one workload, but for what does not apply to it: no plan for what was cancelled."""
    state = styled(view["state"], STATE_STYLES.get(view["state"], "")) + styled(f"  {view['note']}")
    done = f"{percent(view['progress_ratio'])}, {amount(view['done'], view['unit'])}"
    fields: list[tuple[str, str | Text]] = [
        ("state", state),
        ("class", _class(view)),
        ("tenant", view["tenant"]),
        ("work", amount(view["amount"], view["unit"])),
        ("done", f"{done}, as {view['progress_source']}"),
        ("submitted", local(view["submitted_at"])),
    ]
    if view["deadline"]:
        fields.append(("window", f"{local(view['earliest_start'])} to {local(view['deadline'])}"))
    if view["planned_start"]:
        fields.append(("planned", f"{local(view['planned_start'])} to {local(view['planned_finish'])}"))
    if view["latest_start"] and view["state"] in {"accepted", "planned", "running"}:
        fields.append(("latest start", local(view["latest_start"])))
    if view["cost"] is not None:
        unit = f" ({currency})" if currency else ""
        fields.append((f"cost{unit}", _beside(view, "cost", "run_now_cost")))
        fields.append(("carbon (kg)", _beside(view, "carbon_kg", "run_now_carbon_kg")))
    print_fields(out(), view["id"], fields)
    _warn_of(view)


def _class(view: dict[str, Any]) -> str:
    """The class and its reason, which mostly begins with the class."""
    name, why = str(view["class"]).replace("_", "-"), str(view["reason"]["text"])
    return why if why.lower().startswith(name) else f"{name}: {why}"


def _beside(view: dict[str, Any], planned: str, at_once: str) -> str:
    if view[at_once] is None:
        return number(view[planned])
    shown = f"{number(view[planned])}, at once {number(view[at_once])}"
    compared = less_or_more(view[planned], view[at_once]) if view["feasible"] else ""
    return f"{shown}: {compared}" if compared else shown
