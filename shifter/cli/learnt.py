"""Who counts for how much in a forecast, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shifter.cli.console import Column, print_table, say
from shifter.cli.text import local, percent, plural


def print_learnt(learnt: Sequence[dict[str, Any]]) -> None:
    """A row for each source and model of each signal; in words where nothing was learnt."""
    leads: list[int] = max((one["lead_hours"] for one in learnt), key=len, default=[])
    rows = []
    for one in learnt:
        head = _head(one)
        if one["note"]:
            say(f"{head}: {one['note']}", "yellow")
        for part in (*one["sources"], *one["models"]):
            name = part["name"] if part in one["sources"] else f"  {part['name']}"
            rows.append((head, name, *(_share(ratio) for ratio in part["ratio"])))
            head = ""
        if one["made_for"] is not None:
            by = "" if one["planned_by"] else " In shadow: nothing is planned by it."
            days = plural(one["rounds"], "day")
            say(f"{_head(one)}: learnt of {local(one['made_for'])}, from {days}.{by}", "dim")
    if rows:
        columns = (Column("believed"), Column("who"), *(Column(f"{h} h ahead", "right") for h in leads))
        print_table(columns, rows)


def _head(one: dict[str, Any]) -> str:
    """What it is of; and whether it is not what is in force, but a candidate."""
    _, _, what = one["name"].partition(":")
    return f"{one['zone']} {one['signal']}{what and f', {what}'}"


def _share(ratio: float | None) -> str:
    return "known" if ratio is None else percent(ratio, 0)
