"""The files of `shifter plan` as one snapshot, at the moment of planning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shifter.cli.console import say
from shifter.cli.options import told_by
from shifter.cli.text import parse_duration
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.slots import SlotGrid
    from shifter.cycle import CycleInputs
    from shifter.domain.fleet import Fleet
    from shifter.realtime.load import RealtimeLoad


@dataclass(frozen=True)
class Question:
    """What is to be planned: the files, and the window."""

    fleet: Path
    workloads: Path
    forecasts: Path
    realtime: Path | None
    start: datetime
    horizon: str
    slot_minutes: int
    time_limit_s: float
    learn: bool = False
    grid_events: Path | None = None
    start_is_now: bool = False
    """Nobody gave a start."""


def read_inputs(question: Question) -> CycleInputs:
    """The files as one snapshot, at the moment of planning. Raises InputError."""
    from forecasts.slots import SlotGrid
    from shifter.cycle import CycleInputs, Submission
    from shifter.domain.chains import check_chains
    from shifter.files import read_fleet, read_workloads

    fleet = read_fleet(question.fleet)
    horizon = parse_duration(question.horizon, "--horizon")
    with told_by({name: f"--{name}" for name in ("slot", "horizon")}):
        grid = SlotGrid.covering(question.start, horizon, question.slot_minutes)
    work = read_workloads(question.workloads, fleet)
    try:
        check_chains(work)
    except InputError as error:
        where = f"{question.workloads}: {error.field}"
        raise InputError(error.detail, field=where, hint=error.hint) from error
    frame = _read_frame(question, grid, fleet.zones, fleet.currency)
    return CycleInputs(
        now=question.start,
        fleet=fleet,
        frame=frame,
        realtime=_read_load(question, grid, fleet),
        submissions=tuple(Submission(w, question.start) for w in work),
        time_limit_s=question.time_limit_s,
    )


def _read_load(question: Question, grid: SlotGrid, fleet: Fleet) -> RealtimeLoad:
    from shifter.files import read_realtime
    from shifter.realtime.load import RealtimeLoad

    if question.realtime is None:
        return RealtimeLoad(grid)
    try:
        return read_realtime(question.realtime, grid, fleet)
    except InputError as error:
        if question.start_is_now and "slot" in error.facts:
            error.add_note("Without --start, the plan begins now.")
        raise


def with_grid_events(inputs: CycleInputs, question: Question) -> CycleInputs:
    """The same under the grid events of the file that are known at the moment of planning.

    One with an agreed notice is known from so long before its start. A cut is taken from the plan without any of them.
    Raises InputError.
    """
    if question.grid_events is None:
        return inputs
    from dataclasses import replace

    from shifter.files import read_grid_events
    from shifter.service.baselines import under

    if not question.grid_events.is_file():
        raise InputError("there is no such file.", field=str(question.grid_events), hint="Check the path.")
    return replace(inputs, grid_events=under(inputs, read_grid_events(question.grid_events, inputs.fleet)))


def _read_frame(question: Question, grid: Any, zones: tuple[str, ...], currency: str) -> Any:
    """The newest vintages known at the start, by the csv source, on the grid; and what the older ones teach."""
    from forecasts.assemble import frame_from_series
    from forecasts.errors import ForecastRejected
    from forecasts.extend import LOOKBACK
    from forecasts.series import PLANNED
    from forecasts.slots import as_datetime
    from forecasts.sources.asking import ask, one_by_one
    from forecasts.sources.registry import make_source

    path, now = question.forecasts, question.start
    if not path.is_file():  # a source that does not answer is another matter than a wrong path
        raise InputError("there is no such file.", field=str(path), hint="Check the path.")
    source = make_source("csv", {"path": str(path), "currency": currency})
    asked = one_by_one(source, zones, PLANNED, grid.start - LOOKBACK, grid.end)
    try:
        with told_by({"zone": "--forecasts"}):
            answers = ask(source, asked, now=now).or_raise()
    except ForecastRejected as error:  # of a file it is a mistake in what was given
        raise InputError(error.detail, field=error.field or str(path), hint=error.hint) from error
    if question.start_is_now and not any(as_datetime(s.end[-1]) > grid.start for s in answers.series):
        raise _of_another_time(question, source)
    for failure in answers.failures:
        say(str(failure), "bold yellow")
    outlooks = _outlooks(source, now) if question.learn else None
    return frame_from_series(
        answers.series, grid, as_of=now, zones=zones, currency=currency, outlooks=outlooks
    )


def _of_another_time(question: Question, source: Any) -> InputError:
    """The forecasts end before now or are not known yet: without prices there would be a plan, and no sense in it."""
    from forecasts.slots import as_datetime, isoformat_z

    now, said = question.start, source.read(now=question.start)
    begins, ends = (as_datetime(t) for t in (min(s.start[0] for s in said), max(s.end[-1] for s in said)))
    first = max(max(s.known_at, as_datetime(s.start[0])) for s in said)
    return InputError(
        f"without it the plan begins now, at {isoformat_z(now)}, and {question.forecasts} says nothing from then on: "
        f"it reaches from {isoformat_z(begins)} to {isoformat_z(ends)}.",
        field="--start",
        hint=f"Give --start {isoformat_z(first)}, when its newest forecast begins, or forecasts of now."
        if first < ends
        else "Give one within it, or forecasts of now.",
    )


def _outlooks(source: Any, now: datetime) -> Any:
    """What all vintages of the file teach; it says so itself where that is too little."""
    from forecasts.history import VintageHistory
    from forecasts.outlooks import Outlooks

    return Outlooks(VintageHistory(s for s in source.read(now=now) if s.known_at <= now))
