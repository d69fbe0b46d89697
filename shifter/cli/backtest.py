"""`shifter backtest`: policies replayed over history from files, side by side; no daemon."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli.console import (
    Column,
    print_json,
    print_table,
    progress,
    say,
    silent_libraries,
    styled,
    working,
)
from shifter.cli.console import out as stdout
from shifter.cli.options import Json
from shifter.cli.text import number, parse_duration, parse_minutes, parse_time, percent, plural
from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.backtest.campaign import Campaign
    from shifter.backtest.case import Rules
    from shifter.backtest.cases import Cut
    from shifter.backtest.executors import Executor
    from shifter.backtest.results import Row
    from shifter.domain.fleet import Fleet
    from shifter.settings import Settings

_CLUSTER = "On many cores"


def backtest(
    *,
    fleet: Annotated[Path, typer.Option("--fleet", help="fleet.yaml: sites, pools, models.")],
    forecasts: Annotated[
        list[Path], typer.Option("--forecasts", help="forecasts.csv with its vintages; may be repeated.")
    ],
    workloads: Annotated[Path, typer.Option("--workloads", help="workloads.jsonl: all of the time's.")],
    start: Annotated[str, typer.Option("--start", help="The first moment that is replayed.")],
    end: Annotated[str, typer.Option("--end", help="And the first that is not.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder of the results; what it holds is kept.")
    ],
    actuals: Annotated[
        list[Path] | None,
        typer.Option("--actuals", help="What came of price and carbon, where --forecasts do not hold it."),
    ] = None,
    realtime: Annotated[
        Path | None, typer.Option("--realtime", help="realtime.csv: the real-time load that was expected.")
    ] = None,
    realtime_actual: Annotated[
        Path | None,
        typer.Option(
            "--realtime-actual", help="The same as it came, in accelerators_p50; as expected without."
        ),
    ] = None,
    slot: Annotated[str, typer.Option("--slot", help="5, 10, 15, 30 or 60 minutes.")] = "30min",
    replan: Annotated[str, typer.Option("--replan", help="How often policies decide.")] = "30min",
    horizon: Annotated[str, typer.Option("--horizon", help="How far they look ahead.")] = "48h",
    learn: Annotated[
        str,
        typer.Option(
            "--learn",
            help="How often is learnt from what came: 6h as the daemon does, 24h in a quarter of the time, or never.",
        ),
    ] = "6h",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help="run_now, cheapest_window, threshold, ours, ours_uncertain, perfect; may be repeated. All without, "
            "but ours_uncertain only where the fleet's objective.risk says something.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="shifter.yaml, of which forecasts.order, max_age_hours and learning count, and "
            "planning.deadline_margin_minutes and hold_gap_ratio; default: the defaults.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes.", rich_help_panel=_CLUSTER)
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="ADDRESS", help="A Ray cluster: its address, or auto.", rich_help_panel=_CLUSTER
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Replay policies over history, and compare what each came to.

    Each decides again and again with what was known then, its work runs on the same machines beside the same real-time
    load, and it pays what came. Results are kept in the folder as they are done: the same call goes on where it was
    stopped. Exit code 1 when a plan could not be made, and the one before it stood.
    """
    from shifter.backtest.inputs import Files

    _check_out(out)
    executor = _executor(workers, ray)
    files = Files(fleet, forecasts, workloads, actuals or (), realtime, realtime_actual)
    with working("reading, and learning from what came …"):
        cases, chosen = _read(files, start, end, slot, replan, horizon, learn, policy, workers, config)
        from shifter.backtest.campaign import Campaign

        campaign = Campaign.of(cases.cases, chosen, out)
    _tell_left_out(cases)
    _tell_unlearnt(cases)
    if campaign.there:
        say(f"{plural(len(campaign.there), 'replay')} of {len(campaign.units)} done before, and kept.", "dim")
    with progress("replaying", len(campaign.units), done=len(campaign.there)) as told, silent_libraries():
        rows = campaign.run(executor, lambda name: told(1, name))
    from shifter.backtest.report import write_report

    write_report(out / "report.html", rows, "Backtest")
    say(f"Wrote {out / 'results.parquet'}, slots.parquet and report.html.", "green")
    _print(rows, campaign, out, as_json)
    failed = sum(row.failed_cycles for row in rows)
    if failed:
        say(f"{plural(failed, 'plan')} could not be made: the one before stood.", "bold yellow")
        raise typer.Exit(1)


def _check_out(out: Path) -> None:
    """Raises InputError where results could not be written: an hour of replays later it would be a pity."""
    from shifter.backtest.report import drawing
    from shifter.backtest.results import arrow

    if out.exists() and not out.is_dir():
        raise InputError(
            f"{out} is a file, and results are several.",
            field="--out",
            hint="Name a folder, as --out results.",
        )
    arrow()
    drawing()


def _read(
    files: Any,
    start: str,
    end: str,
    slot: str,
    replan: str,
    horizon: str,
    learn: str,
    policy: list[str] | None,
    workers: int,
    config: Path | None,
) -> tuple[Cut, list[str]]:
    from shifter.backtest.cases import cut
    from shifter.backtest.inputs import read
    from shifter.settings import load_settings

    minutes = parse_minutes(slot, "--slot")
    hours = parse_duration(horizon, "--horizon").total_seconds() / 3600
    rules = rules_of(None if config is None else load_settings(config))
    rules = replace(
        rules,
        replan_minutes=parse_minutes(replan, "--replan"),
        horizon_hours=hours,
        max_horizon_hours=max(hours, rules.max_horizon_hours),
        learn_hours=_learn_hours(learn),
    )
    given = read(files, parse_time(start, "--start"), parse_time(end, "--end"), minutes, rules)
    chosen = _policies(policy, given.fleet)
    return cut(given, workers=workers), chosen


def rules_of(settings: Settings | None) -> Rules:
    """How the daemon would go by these settings; by default without."""
    from forecasts.series import PLANNED
    from shifter.backtest.case import Rules

    if settings is None:
        return Rules()
    told, planning = settings.forecasts, settings.planning
    max_age = {("*", signal): timedelta(hours=told.max_age_hours) for signal in PLANNED}
    for zone, by_signal in told.max_age_hours_by_zone.items():
        max_age |= {(zone, signal): timedelta(hours=hours) for signal, hours in by_signal.items()}
    return Rules(
        deadline_margin_minutes=planning.deadline_margin_minutes,
        hold_gap_ratio=planning.hold_gap_ratio,
        order={(zone, signal): of for zone, by in told.order.items() for signal, of in by.items()},
        max_age=max_age,
        learning=told.learning.rules,
    )


def _learn_hours(text: str) -> int:
    """Whole hours of which a day is a multiple; 0 for `never`."""
    if text == "never":
        return 0
    seconds = parse_duration(text, "--learn").total_seconds()
    if seconds < 3600 or seconds % 3600 or 86_400 % seconds:
        raise InputError(
            f"a day is not a whole number of {text}.", field="--learn", hint="Use 6h, 12h, 24h or never."
        )
    return int(seconds // 3600)


def _policies(asked: list[str] | None, fleet: Fleet) -> list[str]:
    """Each once, in their order. Raises InputError for one that there is not, or that would be another's twin."""
    from shifter.backtest.replay import POLICIES
    from shifter.domain.risk import Risk

    uncertain = fleet.objective.risk != Risk()
    for name in asked or ():
        if name not in POLICIES:
            raise InputError(
                f"there is no policy {name!r}.", field="--policy", hint=f"Use {', '.join(POLICIES)}."
            )
        if name == "ours_uncertain" and not uncertain:
            hint = "Set cvar_weight, robust_quantile or trust under objective.risk of the fleet file."
            raise InputError(
                "the fleet says nothing of risk: it would be `ours`.", field="--policy", hint=hint
            )
    return [name for name in POLICIES if (name in asked if asked else name != "ours_uncertain" or uncertain)]


def _executor(workers: int, ray: str | None) -> Executor:
    from shifter.backtest.executors import Processes, Ray, Serial

    if ray is not None:
        return Ray(ray)
    return Processes(workers) if workers > 1 else Serial()


def _tell_left_out(cases: Cut) -> None:
    for count, why in (
        (cases.real_time, "real-time, and part of the real-time load"),
        (cases.outside, "submitted at another time"),
        (cases.beyond, "due when the data end, or later"),
    ):
        if count:
            say(f"Left out: {plural(count, 'workload')}, {why}.", "dim")


def _tell_unlearnt(cases: Cut) -> None:
    """Where `--learn` was in vain."""
    made = [outlook for case in cases.cases for outlook in case.learnt.made.values()]
    if not made or any(outlook is not None for outlook in made):
        return
    if any(case.synthetic for case in cases.cases):
        why = "of prices and carbon, since they are made up"
    else:
        why = "since too little was known by then of what came"
    say(f"Nothing is learnt (--learn) {why}: plans go by each forecast as it is said.", "yellow")


def _print(rows: list[Row], campaign: Campaign, out: Path, as_json: bool) -> None:
    from shifter.backtest import summary

    found = summary.totals(rows)
    at_once = found.get(summary.AT_ONCE)
    shares = {
        name: {
            "saved_ratio": summary.saved_ratio(t, at_once),
            "captured_ratio": summary.captured_ratio(t, found),
            "captured_carbon_ratio": summary.captured_carbon_ratio(t, found),
        }
        for name, t in found.items()
    }
    if as_json:
        policies = [
            asdict(t)
            | {"hour_cost": t.hour_cost, "hour_carbon_g": t.hour_carbon_g}
            | shares[n]
            | {"met_ratio": t.met_ratio, "kept_ratio": t.kept_ratio}
            for n, t in found.items()
        ]
        files = {name: str(out / name) for name in ("results.parquet", "slots.parquet", "report.html")}
        done = {"replays": len(campaign.units), "kept": len(campaign.there)}
        said = {"currency": rows[0].currency, "synthetic": any(row.synthetic for row in rows)}
        print_json({**said, **done, "policies": policies, "files": files})
        return
    currency = rows[0].currency
    columns = (
        Column("policy"),
        Column(f"cost ({currency})", "right"),
        Column(f"an hour of work ({currency})", "right", expendable=40),
        Column("saved", "right"),
        Column("of perfect", "right", expendable=50),
        Column("carbon (kg)", "right", expendable=30),
        Column("an hour of work (g)", "right", expendable=45),
        Column("of perfect in carbon", "right", expendable=55),
        Column("peak (kW)", "right", expendable=60),
        Column("in time", "right"),
        Column("undone (h)", "right", expendable=70),
        Column("real-time kept", "right", expendable=20),
        Column("in reserve (h)", "right", expendable=80),
        Column("over power (slots)", "right", expendable=90),
        Column("pieces", "right", expendable=100),
    )
    table = [
        (
            name,
            number(t.cost),
            number(t.hour_cost, 4),
            percent(shares[name]["saved_ratio"]),
            percent(shares[name]["captured_ratio"]),
            number(t.carbon_kg, 0),
            number(t.hour_carbon_g, 1),
            percent(shares[name]["captured_carbon_ratio"]),
            number(t.peak_kw, 1),
            percent(t.met_ratio),
            number(max(0.0, t.asked_hours - t.done_hours), 0),
            percent(t.kept_ratio, 3),
            number(t.reserve_hours, 0),
            f"{t.over_power_slots:,}",
            f"{t.starts:,}",
        )
        for name, t in found.items()
    ]
    title = f"{summary.about(rows)}. {summary.made_up(rows)}".strip()
    stdout().print(styled(title, "bold"), soft_wrap=True)
    print_table(columns, table)
