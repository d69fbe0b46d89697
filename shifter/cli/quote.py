"""`shifter quote`: what a workload would cost against its deadline, without submitting it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from shifter.cli.console import Column, print_json, print_table, say, styled, working
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.payload import read_payload
from shifter.cli.text import LocalTimes, by, local, money, number, parse_time, saving


def quote(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One workload as JSON; - reads stdin.")],
    deadlines: Annotated[
        list[str] | None,
        typer.Option(
            "--deadline", help="A deadline to price (repeat it for more); default: a few around its own."
        ),
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
) -> None:
    """What a workload would cost, by deadline; submits nothing.

    Each line is the answer of the planner that would plan it, beside all the work that is already accepted.
    """
    payload = read_payload(file)
    if len(payload.workloads) != 1:
        raise typer.BadParameter(f"{file} holds {len(payload.workloads)} workloads; a quote is for one.")
    [workload] = payload.workloads
    moments = [parse_time(text, "--deadline") for text in deadlines or ()]
    client = connect(url)
    client.places = payload.places
    with working("pricing deadlines …"):
        answer = client.quote(workload, moments or None)
    print_json(answer) if as_json else _print(answer, workload)


def _print(answer: dict[str, Any], workload: dict[str, Any]) -> None:
    name = workload.get("id", "workload")
    if answer["class"] == "real_time":
        say(f"{name} is real-time work: it runs when it arrives, and there is nothing to move.", "magenta")
        say(answer["reason"]["text"], "dim")
        return
    options = answer["options"]
    currency = answer["currency"]
    times = LocalTimes(m for o in options for m in (o["deadline"], o["finish"]))
    rows = []
    cheapest = min((o["cost"] for o in options if o["feasible"]), default=None)
    for o in options:
        best = o["feasible"] and o["cost"] == cheapest
        rows.append(
            (
                times(o["deadline"]),
                times(o["finish"]),
                styled(number(o["cost"]), "bold green" if best else ""),
                number(o["run_now_cost"]),
                saving(o["cost"], o["run_now_cost"]),
                number(o["carbon_kg"]),
                styled("in time", "green")
                if o["feasible"]
                else styled(f"{number(o['unplaced_accelerator_hours'], 1)} accelerator-h short", "red"),
            )
        )
    columns = (
        Column(times.header("deadline")),
        Column(times.header("finish"), expendable=60),
        Column(f"cost ({currency})", "right"),
        Column(f"at once ({currency})", "right", expendable=80),
        Column("saved", "right"),
        Column("carbon (kg)", "right", expendable=70),
        Column(""),
    )
    print_table(columns, rows, title=f"{name}: {answer['class']}")
    if any(o["feasible"] and o["run_now_cost"] is None for o in options):
        say("–: run at once, as soon as there is room, it would miss that deadline.", "dim")
    say(answer["reason"]["text"], "dim")
    _advise(answer, currency)


def _advise(answer: dict[str, Any], currency: str) -> None:
    feasible = [o for o in answer["options"] if o["feasible"]]
    if not feasible:
        earliest = answer["earliest_feasible_deadline"]
        say(
            f"None of these can be met; the earliest that can is {by(earliest)}."
            if earliest
            else "None of these can be met, nor any within the horizon.",
            "bold yellow",
        )
    elif len(feasible) > 1:
        gain = feasible[0]["cost"] - feasible[-1]["cost"]
        if gain > 0.005:
            say(
                f"Waiting from {local(feasible[0]['deadline'])} to {local(feasible[-1]['deadline'])} "
                f"saves {money(gain, currency)}.",
                "dim",
            )
    if answer.get("synthetic"):
        say("Prices and carbon are synthetic: made up for a demonstration.", "yellow")
