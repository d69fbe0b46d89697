"""The files of a backtest, read into everything that is replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from forecasts.assemble import Preference
from forecasts.errors import ForecastRejected
from forecasts.series import PLANNED, ForecastSeries, Signal
from forecasts.slots import Floats, SlotGrid
from forecasts.sources.csv import CsvOptions, CsvSource
from shifter.backtest.case import Rules
from shifter.backtest.cases import Everything
from shifter.domain.fleet import PoolKey
from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files import read_fleet, read_known_realtime, read_workloads
from shifter.realtime.load import RealtimeLoad


@dataclass(frozen=True)
class Files:
    """What is given. Of real-time load: what was expected, at quantiles, and what came, as its median."""

    fleet: Path
    forecasts: Sequence[Path]
    workloads: Path
    actuals: Sequence[Path] = ()
    realtime: Path | None = None
    realtime_actual: Path | None = None


def read(files: Files, start: datetime, end: datetime, slot_minutes: int, rules: Rules) -> Everything:
    """All of it, checked. Raises InputError naming file, line and field.

    Forecasts are preferred in the order of their files, but where `rules` have an order of their own.
    """
    fleet = read_fleet(files.fleet)
    work = read_workloads(files.workloads, fleet)
    if end <= start:
        raise InputError("the end is not after the start.", field="--end", hint="The end is exclusive.")
    grid = SlotGrid.covering(start, _reach(work, start, end, rules) - start, slot_minutes)
    expected = RealtimeLoad(grid)
    if files.realtime is not None:
        expected = read_known_realtime(files.realtime, grid, fleet, start)
    measured: dict[PoolKey, Floats] = {key: expected.median(key) for key in expected.quantiles}
    if files.realtime_actual is not None:
        came = read_known_realtime(files.realtime_actual, expected.grid, fleet, start)
        if unknown := sorted(set(came.quantiles) - set(expected.quantiles)):
            raise InputError(
                f"{unknown[0][0]}/{unknown[0][1]} had real-time load, and none is expected there.",
                field=str(files.realtime_actual),
                hint="Give what was expected of it in --realtime.",
            )
        expected = RealtimeLoad(came.grid, {k: _cut(v, came.grid) for k, v in expected.quantiles.items()})
        measured = {key: came.median(key) for key in expected.quantiles}
    names = _names([*files.forecasts, *files.actuals])
    told = [
        _vintages(path, names[i], fleet.currency, end)
        for i, path in enumerate([*files.forecasts, *files.actuals])
    ]
    n = len(files.forecasts)
    rules = replace(rules, order=_order(names[:n], rules.order))
    return Everything(
        fleet,
        tuple(s for series in told[:n] for s in series),
        tuple(s for series in told[n:] for s in series),
        work,
        expected,
        measured,
        start,
        end,
        rules,
    )


def _reach(work: Sequence[Workload], start: datetime, end: datetime, rules: Rules) -> datetime:
    """As far as any plan may look."""
    last = max([end, *(w.deadline for w in work if w.deadline is not None and start < w.deadline)])
    return min(last, end + timedelta(days=366)) + timedelta(hours=rules.max_horizon_hours)


def _cut(load: object, grid: SlotGrid) -> dict[float, Floats]:
    assert isinstance(load, dict)
    return {p: values[: grid.n_slots] for p, values in load.items()}


def _names(paths: Sequence[Path]) -> list[str]:
    """A source's name for each file: its own, and a number where two have the same."""
    names: list[str] = []
    for path in paths:
        name = (path.stem.replace(":", "-") or "csv")[:48]
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _order(names: Sequence[str], own: Preference) -> Preference:
    """As in the daemon: what an order does not name comes after. Raises InputError where it names what is not there."""
    found: dict[tuple[str, Signal], Sequence[str]] = {("*", signal): tuple(names) for signal in PLANNED}
    for (zone, signal), order in own.items():
        for name in order:
            if name not in names:
                raise InputError(
                    f"no file of --forecasts is named {name!r}.",
                    field=f"forecasts.order.{zone}.{signal}",
                    hint=f"A file is the source that it is named as; there are {', '.join(names)}.",
                )
        found[zone, signal] = (*order, *(name for name in names if name not in order))
    return found


def _vintages(path: Path, name: str, currency: str, now: datetime) -> list[ForecastSeries]:
    if not path.is_file():
        raise InputError("there is no such file.", field=str(path), hint="Check the path.")
    try:
        return CsvSource(CsvOptions(path=path, name=name, currency=currency)).read(now=now)
    except ForecastRejected as error:  # of a file it is a mistake in what was given
        raise InputError(error.detail, field=error.field or str(path), hint=error.hint) from error
