"""What `shifter size` prints: replicas side by side, or the steps of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shifter.cli.console import Column, print_table, say, styled
from shifter.cli.text import number, percent, plural

if TYPE_CHECKING:
    from rich.text import Text


def print_one(answer: dict[str, Any]) -> None:
    """Replicas of one model, and what one more or fewer would come to."""
    each = f" ({plural(answer['accelerators'], 'accelerator')})"
    say(
        f"{answer['model']} on {answer['accelerator']}, {answer['requests_per_s']:g} requests per s: "
        f"{plural(answer['replicas'], 'replica')}{each}",
        "bold",
    )
    slo = answer["latency_slo"]
    if answer["by"] == "measured":
        say(
            "By the measured table; what is below is by the profile."
            if answer["around"]
            else "By the measured table.",
            "dim",
        )
    if not answer["around"]:
        one = (str(answer["replicas"]), str(answer["accelerators"]))
        print_table((Column("replicas", "right"), Column("accelerators", "right")), [one])
        return
    columns = (
        Column("replicas", "right"),
        Column("accelerators", "right", expendable=40),
        Column("utilisation", "right", expendable=60),
        Column("first token (ms)", "right"),
        Column("in time", "right"),
        Column("whole (ms)", "right"),
        Column("in time", "right"),
        Column(""),
    )
    rows: list[tuple[str | Text, ...]] = [
        _row(e, e["replicas"] == answer["replicas"]) for e in answer["around"]
    ]
    if answer["simulated"] is not None:
        s = answer["simulated"]
        rows.append(("", "", "", *_times(s), styled("simulated", "dim")))
    print_table(columns, rows)
    asked = [
        f"{what} within {number(slo[key], 0)} ms"
        for what, key in (("first token", "ttft_ms"), ("whole answer", "latency_ms"))
        if slo[key] is not None
    ]
    say(
        f"What {100 * slo['quantile']:g} of 100 requests have at most. Asked of them: {', '.join(asked)}.",
        "dim",
    )


def _row(e: dict[str, Any], chosen: bool) -> tuple[str | Text, ...]:
    told = styled("enough", "green") if e["in_time"] else styled("too few", "red")
    style = "bold" if chosen else ""
    return (
        styled(str(e["replicas"]), style),
        styled(str(e["accelerators"]), style),
        percent(e["utilisation"]),
        *_times(e),
        told,
    )


def _times(e: dict[str, Any]) -> tuple[str, str, str, str]:
    return (
        number(e["ttft_ms"], 0),
        percent(e["ttft_attained"], 2),
        number(e["latency_ms"], 0),
        percent(e["latency_attained"], 2),
    )


def print_chain(answer: dict[str, Any]) -> None:
    """What each step of a chain needs."""
    say(
        f"{answer['chains_per_s']:g} chains per s, {100 * answer['quantile']:g} of 100 within "
        f"{number(answer['latency_ms'], 0)} ms: {plural(answer['accelerators'], 'accelerator')}",
        "bold",
    )
    columns = (
        Column("step", "right"),
        Column("model"),
        Column("accelerator"),
        Column("its part (ms)", "right"),
        Column("replicas", "right"),
        Column("accelerators", "right"),
    )
    rows = [
        (
            str(i),
            s["model"],
            s["accelerator"],
            number(s["latency_ms"], 0),
            str(s["replicas"]),
            str(s["accelerators"]),
        )
        for i, s in enumerate(answer["steps"], 1)
    ]
    print_table(columns, rows)
