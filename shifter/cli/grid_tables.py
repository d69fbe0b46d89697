"""How grid events, their quotes and their reports are printed."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from shifter.cli.console import Column, print_table, say, styled
from shifter.cli.text import LocalTimes, number, percent, plural

BAR_CELLS = 30
PARTS = {"event": "window", "ramp": "ramp", "rebound": "rebound", "after": "after"}
VERDICTS = {
    "kept": ("kept", "green"),
    "exceeded": ("exceeded", "bold red"),
    "unmetered": ("not metered", "yellow"),
    "ahead": ("to come", "dim"),
    "unlimited": ("no limit", "dim"),
}


def print_events(events: list[dict[str, Any]]) -> None:
    """Each in a line."""
    times = LocalTimes(m for e in events for m in (e["start"], e["end"]))
    columns = (
        Column("event"),
        Column("site"),
        Column(times.header("from")),
        Column(times.header("to")),
        Column("asked", "right"),
        Column("afterwards", expendable=60),
        Column("source", expendable=80),
    )
    rows = [
        (e["id"], e["site"], times(e["start"]), times(e["end"]), asked(e), _afterwards(e), e["source"])
        for e in events
    ]
    print_table(columns, rows, empty="No grid event is in force or to come.")


def asked(event: dict[str, Any]) -> str:
    """
    >>> asked({"limit_kw": None, "cut_ratio": 0.25}), asked({"limit_kw": 600})
    ('25.0 % less', 'at most 600.0 kW')
    """
    if event.get("limit_kw") is not None:
        return f"at most {number(event['limit_kw'], 1)} kW"
    if event.get("cut_kw") is not None:
        return f"{number(event['cut_kw'], 1)} kW less"
    return f"{percent(event['cut_ratio'])} less"


def _afterwards(event: dict[str, Any]) -> str:
    if not event.get("rebound_minutes"):
        return ""
    kw, ratio = event.get("rebound_limit_kw"), event.get("rebound_ratio")
    most = f"{number(kw, 1)} kW" if kw is not None else f"{percent(ratio)} of the baseline"
    return f"at most {most} for {number(event['rebound_minutes'], 0)} min"


def harmless(answer: dict[str, Any]) -> bool:
    """Whether what was quoted is met, makes nothing late, and leaves as much for every loss."""
    return answer["met"] and answer["on_time"] and not answer["survives_less"]


def print_quote(answer: dict[str, Any]) -> None:
    """Its slots, who pays, and all of it in sentences."""
    slots = answer["slots"]
    times = LocalTimes(s["start"] for s in slots)
    columns = (
        Column(times.header("slot")),
        Column("part"),
        Column("limit at q (kW)", "right"),
        Column("baseline", "right", expendable=70),
        Column("real-time q", "right", expendable=50),
        Column("without it", "right", expendable=60),
        Column("with it", "right"),
        Column("with it, q", "right", expendable=80),
        Column(""),
    )
    rows = [
        (
            times(s["start"]),
            PARTS[s["part"]],
            number(s["limit_kw"], 1),
            number(s["baseline_kw"], 1),
            number(s["realtime_kw"], 1),
            number(s["without_kw"], 1),
            number(s["with_kw"], 1),
            number(s["at_quantile_kw"], 1),
            styled(f"{number(s['over_kw'], 1)} kW missing", "bold red")
            if s["over_kw"]
            else styled("met", "green"),
        )
        for s in slots
    ]
    print_table(columns, rows, title=f"{answer['event']['id']}: {asked(answer['event'])}")
    _print_payers(answer)
    for i, sentence in enumerate(answer["sentences"]):
        say(sentence, "bold yellow" if i == 0 and not harmless(answer) else "")
    if answer.get("synthetic"):
        say("Prices and carbon are synthetic: made up for a demonstration.", "yellow")


def _print_payers(answer: dict[str, Any]) -> None:
    payers = answer["workloads"]
    times = LocalTimes(m for p in payers for m in (p["finish"], p["deadline"]) if m)
    columns = (
        Column("who pays"),
        Column("tenant", expendable=80),
        Column("out of the window (acc-h)", "right", expendable=60),
        Column(f"cost ({answer['currency']})", "right"),
        Column("carbon (kg)", "right", expendable=70),
        Column("later (h)", "right"),
        Column(times.header("finish"), expendable=90),
        Column(times.header("deadline"), expendable=50),
        Column(""),
    )
    rows = [
        (
            p["workload_id"],
            p["tenant"],
            number(p["out_of_window_accelerator_hours"], 1),
            number(p["cost"]),
            number(p["carbon_kg"]),
            number(p["later_minutes"] / 60, 1),
            times(p["finish"]),
            times(p["deadline"]),
            styled("kept", "green")
            if p["deadline_kept"]
            else styled(f"{number(p['late_accelerator_hours'], 1)} acc-h late", "bold red"),
        )
        for p in payers
    ]
    print_table(columns, rows)


def print_report(answer: dict[str, Any]) -> None:
    """Its slots with a bar each, and what they come to."""
    slots = answer["slots"]
    times = LocalTimes(s["start"] for s in slots)
    values = [v for s in slots for v in (s["metered_kw"], s["limit_kw"], s["baseline_kw"]) if v is not None]
    most = max(values, default=1.0) or 1.0
    columns = (
        Column(times.header("slot")),
        Column("part"),
        Column("meter's limit (kW)", "right"),
        Column("baseline", "right", expendable=60),
        Column("metered", "right"),
        Column("of it metered", "right", expendable=80),
        Column("requested", "right", expendable=70),
        Column("delivered", "right"),
        Column("", expendable=90),
        Column(""),
    )
    rows = [
        (
            times(s["start"]),
            PARTS[s["part"]],
            number(s["limit_kw"], 1),
            number(s["baseline_kw"], 1),
            number(s["metered_kw"], 1),
            percent(s["metered_ratio"], 0),
            number(s["requested_kw"], 1),
            number(s["delivered_kw"], 1),
            bar(s["metered_kw"], s["limit_kw"], s["baseline_kw"], most),
            styled(*VERDICTS[s["verdict"]]),
        )
        for s in slots
    ]
    print_table(columns, rows, title=f"{answer['event']['id']}: {asked(answer['event'])}, {answer['state']}")
    _say_sums(answer)


def bar(metered_kw: float | None, limit_kw: float | None, baseline_kw: float | None, most_kw: float) -> Text:
    """What was drawn, the limit, and the baseline, on one line.

    >>> bar(5.0, 7.5, 10.0, 10.0).plain
    '███████████████       │      ·'
    >>> bar(None, 7.5, None, 10.0).plain
    '                      │       '
    """

    def at(kw: float) -> int:
        return min(BAR_CELLS - 1, round(kw / most_kw * BAR_CELLS))

    filled = 0 if metered_kw is None else round(metered_kw / most_kw * BAR_CELLS)
    cells = ["█" if i < filled else " " for i in range(BAR_CELLS)]
    if baseline_kw is not None:
        cells[at(baseline_kw)] = "·"
    if limit_kw is not None:
        cells[at(limit_kw)] = "│"
    over = metered_kw is not None and limit_kw is not None and metered_kw > limit_kw
    return Text("".join(cells), style="red" if over else "cyan")


def _say_sums(a: dict[str, Any]) -> None:
    if a["state"] == "ahead":
        say("It is still to come.", "dim")
    elif a["delivered_kwh"] is None:
        say("Nothing is known of what was delivered: nothing was metered, or there is no baseline.", "yellow")
    else:
        ratio = "" if a["delivered_ratio"] is None else f", {percent(a['delivered_ratio'])}"
        kwh = f"{number(a['delivered_kwh'], 1)} kWh of {number(a['requested_kwh'], 1)} kWh requested"
        say(f"Delivered {kwh}{ratio}, while it was metered.", "bold")
    counts = [
        (a["slots_kept"], "kept"),
        (a["slots_exceeded"], "exceeded"),
        (a["slots_unmetered"], "not metered"),
        (a["slots_ahead"], "to come"),
    ]
    total = sum(n for n, _ in counts)
    told = ", ".join(f"{n} {what}" for n, what in counts if n)
    so_far = f"; {percent(a['metered_ratio'])} of it so far was metered" if a["state"] != "ahead" else ""
    say(f"Of {plural(total, 'slot')} of the window: {told}{so_far}.")
    if a["slots_exceeded"]:
        say(f"The limit was exceeded by up to {number(a['highest_over_kw'], 1)} kW.", "red")
    if a["rebound_peak_kw"] is not None:
        say(f"Afterwards the import peaked at {number(a['rebound_peak_kw'], 1)} kW.")
    if a["notice_kept"] is False:
        agreed = number(a["event"]["notice_minutes"], 0)
        say(f"It was accepted {number(a['notice_minutes'], 0)} min ahead; {agreed} min were agreed.")
    say(f"Baseline: {a['baseline_source']}", "dim")
    if a["event"].get("limit_kw") is None:
        say(
            "The meter's limit is the baseline less the cut. A quote's is at the quantile q, with room for more "
            "real-time load.",
            "dim",
        )
