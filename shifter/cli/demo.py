"""`shifter demo`: everything on bundled data, told as it happens; nothing is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from shifter.cli.console import out, print_json, say, silent_libraries, styled, working
from shifter.cli.options import told_by
from shifter.cli.program import command, program
from shifter.cli.signals import stopping
from shifter.cli.text import by, local, money, number, plural, saving

if TYPE_CHECKING:
    from shifter.demo.stage import Options, Stage
    from shifter.domain.plan import Plan
    from shifter.domain.rows import Unplaced
    from shifter.views import Event

TOLD = {
    "workload.accepted": "cyan",
    "workload.done": "green",
    "workload.late": "bold red",
    "workload.cancelled": "dim",
    "grid_event.created": "yellow",
    "grid_event.changed": "yellow",
    "grid_event.withdrawn": "yellow",
    "grid.notice": "yellow",
    "guard.yielded": "magenta",
    "guard.returned": "magenta",
    "source.failed": "yellow",
    "source.recovered": "green",
    "cycle.failed": "bold red",
    "plan.rejected": "bold red",
    "fault": "bold red",
}
"""Events that the demo tells of as they happen, and their style; plans come too often to be news."""

RETURNED = {"load": "work returns", "plan": "a new plan has taken over"}
"""Why less yields than before, or nothing."""

PULSE = timedelta(hours=1)
"""Of the demo's clock: how often it says what runs."""


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Print one plan's summary and exit; no server.")
    ] = False,
    live: Annotated[
        list[str] | None,
        typer.Option(
            "--live", metavar="ZONE", help="The real grid of GB, DE, FR, … without a key (repeat for more)."
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Default: 8321, or the next one that is free."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", help="Keep the store in this sqlite:///FILE; default: a temporary one."),
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", min=1, max=3600, help="Simulated seconds in one real second.")
    ] = 120.0,
    source_url: Annotated[
        list[str] | None,
        typer.Option("--source-url", metavar="NAME=URL", hidden=True, help="A source's base URL."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: the plan.json.")] = False,
) -> None:
    """Start it on bundled data: nothing to configure.

    Three sites, a day of work arriving, an executor that does what the plan says, and a clock that runs 120
    times as fast as the real one, marked wherever its time is shown. With --live the clock is real, and
    prices and carbon are the grid's; what no source tells without a key is made up and says so.
    """
    if as_json and not once:
        raise typer.BadParameter("--json goes with --once.")
    with working("loading …"):
        from shifter.demo import once as single
        from shifter.demo import scenario
        from shifter.demo.grid import live_sources

        zones = tuple(dict.fromkeys(scenario.live_zone(text) for text in live or ()))
        sources = live_sources(zones, single.base_urls(source_url or ())) if zones else ()
    if once:
        _once(zones, sources, as_json)
        return
    from shifter.demo.stage import Options

    options = Options(
        host=host,
        port=8321 if port is None else port,
        port_is_asked=port is not None,
        database=database,
        zones=zones,
        sources=sources,
        speed=speed,
    )
    with told_by({name: f"--{name}" for name in ("host", "port")}):
        _play(options)


def _once(zones: Sequence[str], sources: Any, as_json: bool) -> None:
    from shifter.demo.once import plan_once
    from shifter.domain.workload import WorkloadClass

    with working("planning …"), silent_libraries():
        done = plan_once(zones, sources)
    for failure in done.failures:
        say(f"A source failed, and what it would have told is made up: {failure}", "bold yellow")
    plan = done.plan.to_dict()
    if as_json:
        print_json(plan)
        return
    from shifter.cli.summary import print_summary

    real_time = [
        (c.workload.id, c.reason.text) for c in done.classified if c.decided is WorkloadClass.REAL_TIME
    ]
    print_summary(plan, real_time)
    out().print(_saved(done.plan), soft_wrap=True)
    say(f"To see it live: {command('demo')}", "dim")


def _play(options: Options) -> None:
    from shifter.demo.stage import staged

    begun = time.monotonic()
    with stopping() as stop, ExitStack() as stack:
        with working("starting …"):
            stage = stack.enter_context(staged(options, say))
        with working("making the first plan …"):
            plan = stage.open()
        _welcome(stage, plan, time.monotonic() - begun)
        _watch(stage, stop)
        _farewell(stage)
    say(
        "Stopped. Nothing is left behind."
        if options.database is None
        else f"Stopped; {options.database} stays."
    )


def _welcome(stage: Stage, plan: Plan, took_s: float) -> None:
    console = out()
    say(f"First plan after {took_s:.1f} s.", "dim")
    console.print()
    if stage.clock.simulated:
        console.print(
            styled(
                f"  SIMULATED  {local(stage.clock.now())}, {stage.clock.speed:g} times as fast as real time; "
                "prices, carbon and load are made up  ",
                "bold black on yellow",
            ),
            soft_wrap=True,
        )
    else:
        _tell_live(stage, plan)
    console.print()
    console.print(Text.assemble("  Dashboard  ", (stage.url, "bold cyan underline")), soft_wrap=True)
    console.print(Text.assemble("  Plan       ", _saved(plan)), soft_wrap=True)
    console.print()
    console.print(f"  Try, in another terminal{' and this folder' if os.sep in program() else ''}:")
    for typed, why in _commands(stage, plan):
        console.print(Text.assemble("    ", (typed, "bold"), (f"   {why}", "dim")), soft_wrap=True)
    console.print()
    say("What happens, as it happens (Ctrl-C stops it):", "dim")


def _tell_live(stage: Stage, plan: Plan) -> None:
    zones = ", ".join(stage.options.zones)
    out().print(styled(f"  LIVE  the grid of {zones}, {local(stage.clock.now())}  ", "bold black on green"))
    for source in stage.service.health().sources:
        if not source.up:
            say(f"  {source.name} failed: {source.error}", "bold yellow")
    for warning in plan.warnings:
        say(f"  {warning}", "yellow")
    say("  Real-time load and workloads are made up in any case.", "yellow")


def _commands(stage: Stage, plan: Plan) -> list[tuple[str, str]]:
    """What to try, each with what it shows; they work as typed."""
    at = stage.url
    best = max(plan.workloads, key=lambda w: w.run_now_cost - w.cost, default=None)
    commands = [(command("submit", str(stage.sample), url=at), "hand in work of your own")]
    if best is not None:
        commands.append((command("explain", best.workload_id, url=at), "why then and there"))
    commands.append((command("slots", url=at), "what each pool holds, hour by hour"))
    return commands


def _saved(plan: Plan) -> Text:
    """What the plan saves against running everything at once."""
    less = plan.baseline.total - plan.cost.total
    share = saving(plan.deferrable_total, plan.baseline.deferrable_total)
    hours = (plan.horizon.end - plan.horizon.start).total_seconds() / 3600
    return Text.assemble(
        _money_saved(less, share, plan.currency),
        f" and {carbon_saved(plan.baseline.carbon_kg - plan.carbon_kg, less)} over {hours:g} h "
        f"against running at once: {plural(len(plan.workloads), 'deferrable workload')}, "
        f"{plural(len(plan.allocations), 'piece')}",
    )


def _money_saved(less: float, share: str, currency: str) -> tuple[str, str]:
    if less < -0.005:
        return (f"costs {money(-less, currency)} more", "bold yellow")
    of = "" if share == "–" else f" ({share} of what deferrable work costs)"
    return (f"saves {money(less, currency)}{of}", "bold green")


def carbon_saved(less_kg: float, less_money: float = 1.0) -> str:
    """What follows "saves … EUR and": more carbon is called more, not a negative saving.

    >>> carbon_saved(16.94), carbon_saved(-9.1), carbon_saved(16.94, -2)
    ('16.9 kg CO2e', 'causes 9.1 kg CO2e more', 'saves 16.9 kg CO2e')
    """
    if less_kg <= -0.05:
        return f"causes {number(-less_kg, 1)} kg CO2e more"
    return f"{'saves ' if less_money < -0.005 else ''}{number(less_kg, 1)} kg CO2e"


def _watch(stage: Stage, stop: threading.Event) -> None:
    """Let the demo go on, and tell what happens, until somebody stops it."""
    from shifter.demo.stage import TICK_S

    past = stage.service.events(0, 1000)
    last = past[-1].id if past else 0
    pulse = stage.clock.now() + PULSE
    said: set[str] = set()
    while not stop.wait(TICK_S):
        stage.tick()
        if stage.clock.now() >= pulse:
            pulse += PULSE
            out().print(_pulse(stage), soft_wrap=True)
        for one in stage.service.plan().unplaced:
            if one.workload_id not in said:
                said.add(one.workload_id)
                out().print(_unplaced(one), soft_wrap=True)
        for event in stage.service.events(last, 1000):
            last = event.id
            if str(event.kind) in TOLD:
                out().print(_line(event), soft_wrap=True)


def _unplaced(one: Unplaced) -> Text:
    """Work that cannot be done in time, and by when it could."""
    later = by(one.earliest_feasible_deadline) or "none within the horizon"
    told = f"  {one.workload_id} cannot be done in time. {one.reason} Earliest deadline that works: {later}."
    return styled(told, "bold yellow")


def _pulse(stage: Stage) -> Text:
    """Once an hour of the demo's clock: what runs and what waits."""
    views = stage.service.workloads(limit=1000)
    running = sorted(v.id for v in views if v.state == "running")
    waiting = sum(v.state == "planned" for v in views)
    done = sum(v.state == "done" for v in views)
    names = f": {', '.join(running[:4])}{' …' if len(running) > 4 else ''}" if running else ""
    told = f"  {len(running)} running{names}; {waiting} waiting; {done} done"
    return styled(f"  {local(stage.clock.now())}", "dim") + styled(told)


def _line(event: Event) -> Text:
    kind, data = str(event.kind), event.data
    when = styled(f"  {local(event.at)}  ", "dim") + styled(f"{kind:<19}", TOLD[kind])
    if kind.startswith("guard."):
        return when + styled(f" {data['site']}/{data['pool']}  {_yielded(data)}")
    subject = str(data.get("workload_id") or data.get("id") or data.get("source") or "")
    facts = "  ".join(f"{name} {data[name]}" for name in ("tenant", "class", "error") if data.get(name))
    return when + styled(f" {subject}  {facts}")


def _yielded(data: Mapping[str, Any]) -> str:
    """Who stands back for real-time load, which is made up in every demo.

    >>> yields = {"realtime_accelerators": 37.0, "available_accelerators": 32, "workloads": {"captions": 8}}
    >>> _yielded(yields | {"drill": True})
    'a drill: made-up real-time load needs 37.0 of 32; work yields captions 8'
    >>> _yielded(yields | {"workloads": {}, "by": "plan"})
    'made-up real-time load needs 37.0 of 32; a new plan has taken over'
    >>> _yielded(yields | {"realtime_accelerators": 26, "by": "load"})
    'made-up real-time load needs 26.0 of 32; work returns, but for captions 8'
    """
    load, there = data["realtime_accelerators"], data["available_accelerators"]
    drill = "a drill: " if data.get("drill") else ""
    needs = f"{drill}made-up real-time load needs {number(load, 1)} of {there}"
    names = ", ".join(f"{name} {n}" for name, n in data["workloads"].items())
    if why := RETURNED.get(data.get("by", "")):
        return f"{needs}; {why}" + (f", but for {names}" if names else "")
    return f"{needs}; work yields {names}"


def _farewell(stage: Stage) -> None:
    views = stage.service.workloads(limit=1000)
    done = sum(v.state == "done" for v in views)
    out().print()
    handed = plural(len(views), "workload")
    say(f"{handed} handed in, {done} done by {local(stage.clock.now())}. The last plan:")
    last = stage.service.plan()
    out().print(_saved(last), soft_wrap=True)
    price = stage.fleet.objective.carbon_price_per_tonne
    if told := why_more_carbon(last.carbon_kg - last.baseline.carbon_kg, price, last.currency):
        say(told, "dim")


def why_more_carbon(more_kg: float, price_per_tonne: float, currency: str) -> str:
    """One sentence where the plan emits more than running at once would; else ""."""
    if more_kg < 0.05:
        return ""
    return (
        f"It emits more because carbon counts at {price_per_tonne:g} {currency} per tonne: "
        "where power is cheaper by more than that, work goes there though it is dirtier."
    )
