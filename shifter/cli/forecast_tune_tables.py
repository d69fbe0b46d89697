"""What came of tuning, as tables and as JSON: settings on the days that choose, the chosen one on those that judge."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from shifter.cli.console import Column, out, print_table, say, styled
from shifter.cli.text import local, number, percent, plural
from shifter.settings.section import without_secrets

if TYPE_CHECKING:
    from forecasts.gain import Gain
    from forecasts.learning import Learning
    from forecasts.replay import Replay
    from forecasts.trials import Parts
    from forecasts.tuning import Tuning
    from shifter.backtest.tuning import RiskTuning, Weighed

IN_FORCE = "as it is"


def print_tuning(parts: Sequence[Parts], found: Tuning, database: str | None) -> None:
    """Tables on stdout, what they mean on stderr, and what is to be pasted on stdout. `database`: that they were read
    from, if it was one.
    """
    from forecasts.tuning import WORTH

    for p in parts:
        out().print(styled(_title(p), "bold"), soft_wrap=True)
    print_table(*_tried(parts, found), title="On the days that choose, the best first")
    if min(found.tried, key=lambda t: t.gain.ratio).rules != found.chosen:
        say(
            f"What is better by less than {100 * WORTH:g} % is not preferred: of what does about as well, the least "
            "changed is chosen.",
            "dim",
        )
    if found.judged is not None:
        print_table(*_judged(found), title="On the days that judge")
    worse = [one for one in found.judged.replays if one.captured.is_worse] if found.judged else []
    for one in worse:
        say(f"{one.zone} {one.signal}: a job that decides by it saves less, by more than noise.", "yellow")
    say(f"{found.verdict}.", "bold green" if found.suggests else "bold")
    if found.suggests:
        say("To try it beside what is in force, put into shifter.yaml:")
        out().print(styled(pasted(found, "candidate")), soft_wrap=True)
        say("After some weeks this says whether it is better:")
        for zone in dict.fromkeys(p.judging.zone for p in parts):
            say(f"  {comparison(zone, database)}")
        say("Then, to plan by it, in place of that:")
        out().print(styled(pasted(found)), soft_wrap=True)


def comparison(zone: str, database: str | None) -> str:
    """A command for a shell; what it is to be given besides is in capitals."""
    from forecasts.heeded import CANDIDATE, PLANNED_BY

    where = database if database is not None and without_secrets(database) == database else "DATABASE"
    words = ("compare", PLANNED_BY, CANDIDATE, "--zone", zone, "--database", where)
    return shlex.join(("shifter", "forecasts", *words))


def label(rules: Learning, present: Learning) -> str:
    """What differs from the rules in force, such as `adapt_rate 0.05`."""
    from forecasts.tuning import shown

    was, is_ = asdict(present), asdict(rules)
    return ", ".join(f"{k} {shown(v)}" for k, v in is_.items() if v != was[k]) or IN_FORCE


def pasted(found: Tuning, section: Literal["learning", "candidate"] = "learning") -> str:
    """The settings that were chosen, as lines of a shifter.yaml: those that change, and those that are no defaults; of
    a candidate only the former.
    """
    from forecasts.learning import BY_DEFAULT
    from forecasts.tuning import shown

    default = asdict(BY_DEFAULT)
    lines = [
        f"    {name}: {shown(value)}"
        for name, value in asdict(found.chosen).items()
        if name in found.changes or (section == "learning" and value != default[name])
    ]
    return "\n".join(["forecasts:", f"  {section}:", *lines])


def _title(p: Parts) -> str:
    made_up = " SYNTHETIC, not the real grid." if p.judging.synthetic else ""
    first, last = p.choosing, p.judging
    return (
        f"{first.zone} {first.signal} [{first.unit}]: {_span(first)} choose, {_span(last)} judge, by "
        f"{last.known.source}.{made_up}"
    )


def _span(r: Replay) -> str:
    return f"{plural(len(r.origins), 'moment')} from {local(r.origins[0])} to {local(r.origins[-1])}"


def _tried(parts: Sequence[Parts], found: Tuning) -> tuple[list[Column], list[list[str | Text]]]:
    many = len(parts) > 1
    columns = [
        Column("setting"),
        *(Column(f"CRPS{_of(p) if many else ''}", "right", expendable=60) for p in parts),
        Column("against what is", "right"),
        Column("with 90 %", "right", expendable=30),
        *(Column(f"captured{_of(p) if many else ''}", "right", expendable=50) for p in parts),
    ]
    rows: list[list[str | Text]] = []
    for one in sorted(found.tried, key=lambda t: t.gain.ratio):
        name = label(one.rules, found.present)
        if one.rules == found.chosen != found.present:
            name += " (chosen)"
        style = "bold green" if one.rules == found.chosen else "bold" if one.rules == found.present else ""
        rows.append(
            [
                styled(name, style),
                *(number(crps, 2) for crps in one.crps),
                styled("–" if one.rules == found.present else signed(one.gain.ratio), style),
                "–" if one.rules == found.present else interval(one.gain),
                *(percent(share) for share in one.captured),
            ]
        )
    return columns, rows


def _of(p: Parts) -> str:
    return f" {p.choosing.zone} {p.choosing.signal}"


def _judged(found: Tuning) -> tuple[list[Column], list[list[str | Text]]]:
    assert found.judged is not None
    columns = [
        Column("of"),
        Column("CRPS as it is", "right"),
        Column("CRPS chosen", "right"),
        Column("change", "right"),
        Column("with 90 %", "right", expendable=30),
        Column("p", "right"),
        Column("days", "right", expendable=60),
        Column("captured as it is", "right", expendable=50),
        Column("captured chosen", "right", expendable=50),
    ]
    rows: list[list[str | Text]] = [
        [
            f"{one.zone} {one.signal}",
            number(one.crps_present, 2),
            number(one.crps_chosen, 2),
            *_gain(one.gain),
            percent(one.captured.present),
            percent(one.captured.other),
        ]
        for one in found.judged.replays
    ]
    if len(rows) > 1:
        rows.append([styled("all", "bold"), "–", "–", *_gain(found.judged.gain), "–", "–"])
    return columns, rows


def _gain(gain: Gain) -> list[str | Text]:
    style = "green" if gain.is_sure else ""
    p = gain.p_value
    shown = "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
    return [styled(signed(gain.ratio), style), interval(gain), shown, f"{gain.n_days:,}"]


def signed(ratio: float) -> str:
    """`-3.1 %`, `+0.4 %`."""
    return f"{100 * ratio:+.1f} %"


def interval(gain: Gain) -> str:
    """`-4.0 to -2.1 %`."""
    if gain.low is None or gain.high is None:
        return "–"
    return f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f} %"


def print_risk(risk: RiskTuning) -> None:
    """The same of weights on the worst outcomes."""
    columns = [
        Column("cvar_weight"),
        Column(f"cost of work a day ({risk.currency})", "right"),
        Column(f"of the dearest {percent(1 - risk.level, 0)}", "right"),
        Column("both, against what is", "right"),
        Column("with 90 %", "right", expendable=30),
        Column("work done (h)", "right", expendable=50),
    ]

    def rows(some: Sequence[Weighed]) -> list[list[str | Text]]:
        return [
            [
                styled(f"{one.weight:g}{', as it is' if one.weight == risk.present else ''}"),
                number(one.cost),
                number(one.worst),
                "–" if one.weight == risk.present else signed(one.gain.ratio),
                "–" if one.weight == risk.present else interval(one.gain),
                number(one.done_hours, 0),
            ]
            for one in some
        ]

    print_table(columns, rows(risk.tried), title="Plans with other weights on the worst, days that choose")
    if risk.judged is not None:
        print_table(columns, rows(risk.judged), title="Days that judge")
    say(f"{risk.verdict}.", "bold green" if risk.suggests else "bold")
    if risk.suggests:
        say("To have it, put into the fleet file:")
        out().print(styled(f"objective:\n  risk:\n    cvar_weight: {risk.chosen:g}"), soft_wrap=True)


def to_json(parts: Sequence[Parts], found: Tuning, risk: RiskTuning | None) -> dict[str, Any]:
    """All of it, as plain values."""

    def span(r: Replay) -> dict[str, Any]:
        return {"first": r.origins[0], "last": r.origins[-1], "moments": len(r.origins)}

    return {
        "verdict": found.verdict,
        "suggests": found.suggests,
        "settings": pasted(found) if found.suggests else None,
        "candidate": pasted(found, "candidate") if found.suggests else None,
        **asdict(found),
        "parts": [
            {
                "zone": p.judging.zone,
                "signal": p.judging.signal,
                "unit": p.judging.unit,
                "outcomes_of": p.judging.known.source,
                "synthetic": p.judging.synthetic,
                "choosing": span(p.choosing),
                "judging": span(p.judging),
            }
            for p in parts
        ],
        "risk": None
        if risk is None
        else {"verdict": risk.verdict, "suggests": risk.suggests, **asdict(risk)},
    }
