"""Workloads as they are shown: many as a table, one in full, and what a person has to know of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from shifter.cli.console import Column, out, print_table, say, styled
from shifter.cli.fields import print_fields
from shifter.cli.text import LocalTimes, amount, less_or_more, local, moment, number, percent, saving

View = dict[str, Any]

STATE_STYLES = {
    "running": "green",
    "planned": "cyan",
    "accepted": "yellow",
    "done": "dim",
    "cancelled": "dim",
    "late": "bold red",
    "real_time": "magenta",
}
LIVE = {"accepted", "planned", "running"}
ENDED = {
    "cancelled": ("was cancelled, and stays so", "To run it after all, give it a new id."),
    "done": ("is done", "To run it once more, give it a new id."),
    "late": (
        "has missed its deadline, and is over",
        "To run it after all, give it a new id and a later deadline.",
    ),
}
"""States in which a workload has come to its end: what is to be said of it, and what to do where it is wanted again."""


def print_workloads(views: list[View], currency: str) -> None:
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
    if any(map(_is_marked, views)):
        say("!: cannot be done in time; what fits before the deadline is planned.", "dim")


def _is_marked(view: View) -> bool:
    return not view["feasible"] and view["state"] in LIVE


def _row(view: View, times: LocalTimes) -> tuple[str | Text, ...]:
    state = styled(view["state"], STATE_STYLES.get(view["state"], ""))
    if _is_marked(view):
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


def print_one(view: View, currency: str, now: datetime) -> None:
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
        label = "planned" if view["feasible"] else "planned of it"
        fields.append((label, f"{local(view['planned_start'])} to {local(view['planned_finish'])}"))
    if view["state"] in LIVE and (latest := _latest_start(view, now)) is not None:
        fields.append(("latest start", latest))
    if view["cost"] is not None:
        unit = f" ({currency})" if currency else ""
        fields.append((f"cost{unit}", _beside(view, "cost", "run_now_cost")))
        fields.append(("carbon (kg)", _beside(view, "carbon_kg", "run_now_carbon_kg")))
    print_fields(out(), view["id"], fields)


def _latest_start(view: View, now: datetime) -> str | Text | None:
    """Never a moment that is past: it is too late then or, for what runs as planned, of no more use."""
    if is_hopeless(view, now):
        return styled("too late for its deadline", "bold yellow")
    latest = moment(view["latest_start"])
    return None if latest is None or latest < now else local(latest)


def is_hopeless(view: View, now: datetime) -> bool:
    """Whether it cannot be done in time, by the plan or, before one holds it, by its window alone."""
    if view["state"] not in LIVE or not view["feasible"]:
        return not view["feasible"]
    latest = moment(view["latest_start"])
    return view["planned_start"] is None and latest is not None and latest < now


def why_hopeless(view: View, given: Mapping[str, Any]) -> str:
    """Which one cannot be done in time, why, and by when it could; `given` is what was handed in."""
    if view["feasible"]:
        told = (
            f"It cannot be done by its deadline, {local(view['deadline'])}, not even at full width from now on. "
            "The next plan says by when it could be."
        )
    else:
        told = view["note"]
    if given.get("max_accelerators") is None:
        told += " Its max_accelerators was not given, and the default is 1: with more, it may be done sooner."
    return f"{view['id']}: {told}"


def _class(view: View) -> str:
    """The class and its reason, which mostly begins with the class."""
    name, why = str(view["class"]).replace("_", "-"), str(view["reason"]["text"])
    return why if why.lower().startswith(name) else f"{name}: {why}"


def _beside(view: View, planned: str, at_once: str) -> str:
    if view[at_once] is None:
        return number(view[planned])
    shown = f"{number(view[planned])}, at once {number(view[at_once])}"
    compared = less_or_more(view[planned], view[at_once]) if view["feasible"] else ""
    return f"{shown}: {compared}" if compared else shown
