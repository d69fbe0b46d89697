"""`shifter explain` and `shifter admission`: one workload, and the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from shifter.cli.console import Column, out, print_json, print_table, say, styled
from shifter.cli.fields import print_fields
from shifter.cli.options import DEFAULT_URL, Json, Url, connect
from shifter.cli.text import LocalTimes, duration, local, number, saving

Id = Annotated[str, typer.Argument(metavar="ID", help="The workload.")]

ADMISSION_STYLES = {"run": "bold green", "wait": "yellow", "stop": "bold red", "rejected": "red"}


def explain(workload_id: Id, as_json: Json = False, url: Url = DEFAULT_URL) -> None:
    """Why this class, why these hours, what it saves.

    The rule that decided and what it looked at, the slots with their price and carbon beside the whole
    window's, the limits that bind, and the steps before and after it.
    """
    client = connect(url)
    told = client.explanation(workload_id)
    lease = client.allocations(workload_id)
    if as_json:
        print_json({**told, "lease": lease})
        return
    console = out()
    console.print(styled(workload_id, "bold") + styled(f"  {told['state']}, {told['class']}"))
    for sentence in told["sentences"]:
        console.print(Padding(styled(sentence), (0, 0, 0, 2), expand=False))
    evidence = told["reason"].get("evidence") or {}
    seen = ", ".join(f"{k} = {v}" for k, v in evidence.items() if not isinstance(v, dict | list))
    fields: list[tuple[str, str | Text]] = [
        ("decided by", f"rule {told['reason']['rule']}" + (f" ({seen})" if seen else ""))
    ]
    if told.get("override"):
        o = told["override"]
        fields.append(("override", f"by {o['by']} on {local(o['at'])}: {o['reason']}"))
    console.print()
    print_fields(console, "", fields)
    _print_savings(told)
    _print_slots(lease)
    _print_limits(told)
    _print_chain(told)
    if told.get("synthetic"):
        say("Prices and carbon are synthetic: made up for a demonstration.", "yellow")


def admission(workload_id: Id, as_json: Json = False, url: Url = DEFAULT_URL) -> None:
    """May this workload run now?

    What a gate asks before it starts the work, and while it runs. Exit code 0 whatever the answer is.
    """
    answer = connect(url).admission(workload_id)
    if as_json:
        print_json(answer)
        return
    style = ADMISSION_STYLES.get(answer["state"], "")
    fields: list[tuple[str, str | Text]] = [
        ("answer", styled(answer["state"], style) + styled(f"  {answer['reason']}")),
        ("accelerators now", str(answer["accelerators"])),
        ("not before", local(answer["not_before"])),
        ("not after", local(answer["not_after"])),
        ("ask again in", duration(answer["retry_after_s"])),
        ("valid until", f"{local(answer['valid_until'])} (version {answer['version']})"),
    ]
    print_fields(out(), workload_id, fields)


def _print_savings(told: dict[str, Any]) -> None:
    """Shares are in whole percent, as in the sentences above."""
    currency = told["currency"]
    inside, window = told["in_slots"] or {}, told["in_window"] or {}
    rows = [
        (
            f"cost ({currency})",
            number(told["cost"]),
            number(told["run_now_cost"]),
            saving(told["cost"], told["run_now_cost"], 0),
        ),
        (
            "carbon (kg)",
            number(told["carbon_kg"]),
            number(told["run_now_carbon_kg"]),
            saving(told["carbon_kg"], told["run_now_carbon_kg"], 0),
        ),
    ]
    if told["cost"] is not None:
        columns = (Column(""), *(Column(h, "right") for h in ("planned", "at once", "saved")))
        print_table(columns, rows)
    signals = [
        (
            f"price ({currency}/MWh)",
            number(inside.get("price_per_mwh"), 1),
            number(window.get("price_per_mwh"), 1),
        ),
        (
            "carbon (gCO2e/kWh)",
            number(inside.get("carbon_g_per_kwh"), 0),
            number(window.get("carbon_g_per_kwh"), 0),
        ),
    ]
    if inside:
        columns = (Column("mean of"), Column("its slots", "right"), Column("its whole window", "right"))
        print_table(columns, signals)


def _print_slots(lease: dict[str, Any]) -> None:
    rows = lease["allocations"]
    if not rows:
        return
    held = stretches(rows)
    times = LocalTimes((m for start, end, _ in held for m in (start, end)), seconds=True)
    columns = (
        Column(times.header("from")),
        Column("to"),
        Column("pool", wrap=True),
        Column("accelerators", "right"),
    )
    print_table(columns, [(times(start), times(end), _where(on), str(on.total())) for start, end, on in held])
    stale = " STALE: after this, only its latest start rules." if lease["stale"] else ""
    say(f"Held until {local(lease['valid_until'])} (version {lease['version']}), then renewed.{stale}", "dim")


def stretches(pieces: Iterable[Mapping[str, Any]]) -> list[tuple[datetime, datetime, Counter[str]]]:
    """From when to when how many accelerators are held where. Pieces that overlap are added up, so that no two
    stretches do; what goes on unchanged is one.
    """
    spans = [
        (datetime.fromisoformat(p["start"]), datetime.fromisoformat(p["end"]), _place(p), p["accelerators"])
        for p in pieces
    ]
    edges = sorted({edge for start, end, *_ in spans for edge in (start, end)})
    found: list[tuple[datetime, datetime, Counter[str]]] = []
    for start, end in pairwise(edges):
        on: Counter[str] = Counter()
        for begins, ends, place, accelerators in spans:
            if begins <= start and end <= ends:
                on[place] += accelerators
        if found and found[-1][1:] == (start, on):
            found[-1] = (found[-1][0], end, on)
        elif on:
            found.append((start, end, on))
    return found


def _place(piece: Mapping[str, Any]) -> str:
    """
    >>> _place({"site": "a", "pool": "b"}), _place({"site": "a", "pool": "b", "model": "m", "cap_kw": 0.4})
    ('a/b', 'a/b (m, capped at 0.4 kW)')
    """
    further = [piece["model"]] if piece.get("model") else []
    if piece.get("cap_kw") is not None:
        further.append(f"capped at {piece['cap_kw']:g} kW")
    return f"{piece['site']}/{piece['pool']}" + (f" ({', '.join(further)})" if further else "")


def _where(on: Counter[str]) -> str:
    return next(iter(on)) if len(on) == 1 else ", ".join(f"{n} on {place}" for place, n in sorted(on.items()))


def _print_limits(told: dict[str, Any]) -> None:
    rows = [
        (
            f"{x['site']}/{x['pool']}" if x["pool"] else x["site"] or "the tenant",
            x["kind"],
            str(x["slots"]),
            f"{x['mean_price']:.2g}",
            x["text"],
        )
        for x in told["limits"]
    ]
    if rows:
        columns = (
            Column("limit at"),
            Column("what"),
            Column("slots", "right"),
            Column(f"price of it ({told['currency']})", "right", expendable=80),
            Column("in words", wrap=True, expendable=100),
        )
        print_table(columns, rows)


def _print_chain(told: dict[str, Any]) -> None:
    rows = [
        (
            "after" if x["relation"] == "depends_on" else "before",
            x["workload_id"],
            x["state"] or "unknown",
            local(x["planned_finish"]),
            local(x["deadline"]),
        )
        for x in told["chain"]
    ]
    if rows:
        columns = (
            Column("it runs"),
            Column("workload"),
            Column("state"),
            Column("planned finish"),
            Column("deadline", expendable=90),
        )
        print_table(columns, rows)
