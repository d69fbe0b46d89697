"""`shifter plan`: one plan from files, or the check of one, by the daemon's own `plan_cycle`."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli.console import print_json, say, silent_libraries, working
from shifter.cli.options import Json
from shifter.cli.plan_inputs import Question, read_inputs, with_grid_events
from shifter.cli.text import parse_minutes, parse_time, plural
from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.cycle import CycleInputs
    from shifter.domain.plan import Plan

Existing = Annotated[
    Path | None, typer.Argument(metavar="PLAN", help="With --verify: check this plan.json, make none.")
]
FleetFile = Annotated[Path, typer.Option("--fleet", help="fleet.yaml: sites, pools, models.")]
WorkloadsFile = Annotated[Path, typer.Option("--workloads", help="workloads.jsonl.")]
ForecastsFile = Annotated[Path, typer.Option("--forecasts", help="forecasts.csv: price and carbon by zone.")]
RealtimeFile = Annotated[
    Path | None,
    typer.Option("--realtime", help="realtime.csv: accelerators that real-time load needs; none without."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write the plan.json here, whole or not at all.")
]
GridEventsFile = Annotated[
    Path | None,
    typer.Option("--grid-events", help="Grid events: JSON lines (.jsonl), or a YAML or JSON list."),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Check the plan against every condition of the contract, and say so.")
]


def plan(
    existing: Existing = None,
    *,
    fleet: FleetFile,
    workloads: WorkloadsFile,
    forecasts: ForecastsFile,
    realtime: RealtimeFile = None,
    grid_events: GridEventsFile = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            help="The moment of planning: nothing later is known, nothing starts before; default: now.",
        ),
    ] = None,
    horizon: Annotated[str, typer.Option("--horizon", help="How far ahead.")] = "48h",
    slot: Annotated[
        str, typer.Option("--slot", help="Length of a slot: 5, 10, 15, 30 or 60 minutes.")
    ] = "30min",
    out: Out = None,
    verify: Verify = False,
    time_limit_s: Annotated[
        float, typer.Option("--time-limit", min=1, help="For the solver, in seconds.")
    ] = 300.0,
    learn: Annotated[
        bool,
        typer.Option(
            "--learn/--as-said",
            help="Learn from what the file says of the past: models beyond its end, weights of vintages by their "
            "record, quantiles. As said: by the newest vintage.",
        ),
    ] = False,
    value: Annotated[
        bool,
        typer.Option(
            "--value", help="Say, too, what one more kW, accelerator or hour of slack would be worth."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make one plan from files, or verify one; no daemon.

    Prints what the plan costs beside running everything at once, and how far from the best possible it is at
    most. `shifter plan PLAN.json --verify` with the files that it was made from checks it instead: exit code
    1 when it breaks a condition.
    """
    if existing is not None and not verify:
        raise typer.BadParameter(
            f"{existing} is a plan: give --verify to check it, or leave it out to make one."
        )
    minutes = parse_minutes(slot, "--slot")
    begin = parse_time(start, "--start") if start else _this_slot(minutes)
    question = Question(
        fleet,
        workloads,
        forecasts,
        realtime,
        begin,
        horizon,
        minutes,
        time_limit_s,
        learn,
        grid_events,
        start_is_now=not start,
    )
    if existing is not None:
        _verify_file(existing, question, as_json)
        return
    # What is made here lives until the command ends: looking for cycles among millions of objects would take longer
    # than a fifth of the whole.
    gc.disable()
    with working("reading …"):
        inputs = read_inputs(question)
    if grid_events is not None:
        with working("planning without the cuts …"), silent_libraries():
            inputs = with_grid_events(inputs, question)
    with working(f"planning {plural(len(inputs.submissions), 'workload')} …"), silent_libraries():
        from shifter.cycle import plan_cycle

        made = plan_cycle(inputs)
    _publish(made, inputs, out, as_json, value)
    if verify:
        _finish_verify(made, inputs, quiet=as_json)


def _this_slot(minutes: int) -> datetime:
    from forecasts.slots import floor_to_slot

    return floor_to_slot(datetime.now(UTC), minutes)


def _publish(made: Plan, inputs: CycleInputs, out: Path | None, as_json: bool, value: bool) -> None:
    from shifter.files import write_plan

    if out is not None:
        write_plan(made, out)
        say(f"Wrote {out}.", "green")
    worth = _worth(made, inputs) if value else {}
    if as_json:
        print_json(made.to_dict() | worth)
        return
    from shifter.cli.summary import print_summary, shown_part

    print_summary(shown_part(made), real_time_of(inputs), workload_count=len(made.workloads))
    if worth:
        from shifter.cli.value import MOST_DEADLINES, print_deadlines, print_worth

        print_worth(worth["value"])
        print_deadlines(worth["deadlines"][:MOST_DEADLINES], made.currency)


def _worth(made: Plan, inputs: CycleInputs) -> dict[str, Any]:
    """What `GET /v1/value` and `GET /v1/value/deadlines` would say of this plan."""
    from shifter.cycle import deferrable
    from shifter.schedule.slack import most_worth_first, worth_of_slack
    from shifter.schedule.value import fleet_worth
    from shifter.views import to_plain

    work = deferrable(inputs.classified, inputs.running)
    deadlines = most_worth_first(worth_of_slack(made, inputs.fleet, work))
    return {"value": to_plain(fleet_worth(made, inputs.fleet)), "deadlines": to_plain(deadlines)}


def real_time_of(inputs: CycleInputs) -> list[tuple[str, str]]:
    """The workloads that are not shifted, each with the reason."""
    from shifter.domain.workload import WorkloadClass

    return [(c.workload.id, c.reason.text) for c in inputs.classified if c.decided is WorkloadClass.REAL_TIME]


def _verify_file(path: Path, question: Question, as_json: bool) -> None:
    from shifter.files import read_plan

    if not path.exists():
        raise InputError("there is no such file.", field=str(path), hint="Check the path.")
    given = read_plan(path)
    hours = (given.horizon.end - given.horizon.start).total_seconds() / 3600
    # The plan says what it was planned for; the options that say so too are for making one.
    asked = Question(
        question.fleet,
        question.workloads,
        question.forecasts,
        question.realtime,
        given.created_at,
        f"{hours:g}h",
        given.horizon.slot_minutes,
        question.time_limit_s,
        question.learn,
        question.grid_events,
    )
    with working("reading …"):
        inputs = with_grid_events(read_inputs(asked), asked)
    violations = _violations(given, inputs)
    if as_json:
        print_json({"plan_id": given.plan_id, "ok": not violations, "violations": violations})
        if violations:
            raise typer.Exit(1)
        return
    _tell(given, violations)


def _finish_verify(made: Plan, inputs: CycleInputs, *, quiet: bool) -> None:
    violations = _violations(made, inputs)
    if not quiet or violations:
        _tell(made, violations)


def _violations(plan: Plan, inputs: CycleInputs) -> list[str]:
    from shifter.cycle import verify_plan

    return [str(v) for v in verify_plan(plan, inputs)]


def _tell(plan: Plan, violations: list[str]) -> None:
    if not violations:
        say(f"Verified: plan {plan.plan_id[:12]} breaks none of the contract's conditions.", "bold green")
        return
    say(f"Plan {plan.plan_id[:12]} breaks {plural(len(violations), 'condition')}:", "bold red")
    for violation in violations[:20]:
        say(f"  {violation}")
    if len(violations) > 20:
        say(f"  … and {len(violations) - 20} more.", "dim")
    sys.stdout.flush()
    raise typer.Exit(1)
