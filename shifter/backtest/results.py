"""What a unit came to, as rows: one of the whole, and one of each site and slot. Parquet, the same bytes every time.

A unit's file holds the rows of its slots, and the row of the whole in the file's own metadata, so that it is there
whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from shifter.backtest.jobs import full_hours
from shifter.backtest.replay import Replayed
from shifter.errors import InputError

SUMMARY = b"shifter.backtest"
INSTALL = "pip install 'inference-shifter[bench]'"


@dataclass(frozen=True)
class Row:
    """One policy in one month of one group of sites. Money is in `currency`; peaks are sums over the sites."""

    group: str
    month: str
    policy: str
    currency: str
    cost: float
    """All that the sites paid [currency]: real-time load and deferrable work."""
    base_cost: float
    """What of it real-time load alone would have cost; the rest is the work's."""
    energy_cost: float
    carbon_cost: float
    demand_charge: float
    other_cost: float
    """Battery wear and own generation, less what export earned."""
    refill_cost: float
    """What it costs to have batteries as full as at the start; less than 0 where they are fuller."""
    refill_kwh: float
    carbon_kg: float
    """What imports caused, and the refill would."""
    base_carbon_kg: float
    """What of it real-time load alone would have caused; the rest is the work's."""
    import_kwh: float
    peak_kw: float
    workloads: int
    deadlines_met: int
    asked_hours: float
    """Work [accelerator-hours of each workload's fastest option]."""
    done_hours: float
    """Done by its deadline; what was not is lost."""
    wait_hours: float
    """From earliest start to finish, mean of the workloads that were finished [h]."""
    starts: int
    """Pieces begun: more than workloads where work is interrupted or parted."""
    realtime_hours: float
    """What real-time load asked for [accelerator-hours]."""
    denied_hours: float
    """What of it found work in its place that could not yield."""
    reserve_hours: float
    """Accelerator-hours of the reserve with work on them that could not yield."""
    over_power_slots: int
    failed_cycles: int
    """Plans that could not be made or published: the one before stood."""
    decisions: int
    assumed_slots: int
    """Slots of which the price or carbon that came is not known, and was taken from the day before."""
    synthetic: bool
    """Whether any price or carbon of it is made up, forecast or come."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Group, month and policy."""
        return self.group, self.month, self.policy


@dataclass(frozen=True, eq=False)
class Result:
    """A unit's row, and the columns of its slots."""

    row: Row
    slots: dict[str, Sequence[Any]]


def result_of(done: Replayed) -> Result:
    """What a replay came to."""
    case, course = done.unit.case, done.course
    bills = [bill for bill, _ in done.bills.values()]
    hours, jobs = case.grid.slot_hours, list(done.jobs.values())
    asked = [full_hours(job.workload, case.fleet) for job in jobs]
    finished = [job for job in jobs if job.finished_us is not None and job.finished_us <= job.deadline_us]
    waits = [(job.finished_us - job.earliest_us) / 3.6e9 for job in finished if job.finished_us is not None]

    def total(name: str) -> float:
        return float(sum(getattr(bill, name) for bill in bills))

    def summed(by_pool: Iterable[Any]) -> float:
        return float(sum(float(values.sum()) for values in by_pool)) * hours

    row = Row(
        group=case.group,
        month=case.month,
        policy=done.unit.policy,
        currency=case.fleet.currency,
        cost=total("total"),
        base_cost=total("base_cost"),
        energy_cost=total("energy"),
        carbon_cost=total("carbon"),
        demand_charge=total("demand_charge"),
        other_cost=total("other"),
        refill_cost=total("refill"),
        refill_kwh=total("refill_kwh"),
        carbon_kg=total("carbon_kg"),
        base_carbon_kg=total("base_carbon_kg"),
        import_kwh=total("import_kwh"),
        peak_kw=total("peak_kw"),
        workloads=len(jobs),
        deadlines_met=len(finished),
        asked_hours=sum(asked),
        done_hours=sum(
            h * min(1.0, job.done / job.workload.amount) for h, job in zip(asked, jobs, strict=True)
        ),
        wait_hours=sum(waits) / len(waits) if waits else 0.0,
        starts=course.starts,
        realtime_hours=summed(case.measured.values()),
        denied_hours=summed(course.denied.values()),
        reserve_hours=summed(course.in_reserve.values()),
        over_power_slots=sum(bill.over_power_slots for bill in bills),
        failed_cycles=done.failed_cycles,
        decisions=done.decisions,
        assumed_slots=sum(outcome.assumed_slots for outcome in case.outcomes.values()),
        synthetic=case.synthetic,
    )
    return Result(row, _slots(done))


def _slots(done: Replayed) -> dict[str, Sequence[Any]]:
    case, n = done.unit.case, done.unit.case.grid.n_slots
    parts: list[dict[str, Any]] = []
    for site in case.fleet.sites:
        course = done.bills[site.name][1]
        outcome = case.outcomes[site.zone]
        keys = [(site.name, pool.name) for pool in site.pools]
        none = np.zeros(n)
        parts.append(
            {
                "group": [case.group] * n,
                "month": [case.month] * n,
                "policy": [done.unit.policy] * n,
                "site": [site.name] * n,
                "start": case.grid.edges[:-1],
                "billed": (np.arange(n) < case.billed_slots).tolist(),
                "price_per_mwh": outcome.price_per_mwh[:n],
                "carbon_g_per_kwh": outcome.carbon_g_per_kwh[:n],
                "realtime": sum((case.measured.get(key, none) for key in keys), none),
                "deferrable": sum((done.course.used[key] for key in keys), none),
                "denied": sum((done.course.denied[key] for key in keys), none),
                "import_kw": course["import_kw"],
                "base_kw": course["base_kw"],
                "charge_kw": done.storage.charge_kw[site.name],
                "discharge_kw": done.storage.discharge_kw[site.name],
            }
        )
    return {name: [value for p in parts for value in p[name]] for name in parts[0]}


def write_unit(path: Path, result: Result) -> None:
    """A unit's file, whole or not at all."""
    pa, pq = arrow()
    table = pa.table(dict(result.slots), schema=_slot_schema(pa))
    summary = json.dumps(asdict(result.row), separators=(",", ":"), allow_nan=False).encode()
    _write(path, lambda to: pq.write_table(table.replace_schema_metadata({SUMMARY: summary}), to))


def read_row(path: Path) -> Row:
    """The row of a unit's file. Raises InputError where it is none, or not one of this version."""
    try:
        return Row(**json.loads(_metadata(path)))
    except (TypeError, ValueError):
        raise InputError(
            "it is a unit of another version.", field=str(path), hint="Take another folder."
        ) from None


def write_results(folder: Path, files: Sequence[Path]) -> list[Row]:
    """`results.parquet` and `slots.parquet` of all units' files, in their order. Returns the rows."""
    pa, pq = arrow()
    rows = [read_row(path) for path in files]
    columns = {f.name: [getattr(row, f.name) for row in rows] for f in fields(Row)}
    _write(folder / "results.parquet", lambda to: pq.write_table(pa.table(columns), to))

    def slots(to: Path) -> None:
        with pq.ParquetWriter(to, _slot_schema(pa)) as writer:
            for path in files:
                writer.write_table(pq.read_table(path).replace_schema_metadata(None))

    _write(folder / "slots.parquet", slots)
    return rows


def arrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet. Raises InputError with the command that installs it."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            "results are written with pyarrow, which is not installed.",
            field="--out",
            hint=f"Run {INSTALL}.",
        ) from None
    return pa, pq


def _slot_schema(pa: Any) -> Any:
    text, number = pa.string(), pa.float64()
    kinds = dict.fromkeys(("group", "month", "policy", "site"), text)
    kinds |= {"start": pa.timestamp("us", tz="UTC"), "billed": pa.bool_()}
    kinds |= dict.fromkeys(("price_per_mwh", "carbon_g_per_kwh", "realtime", "deferrable", "denied"), number)
    kinds |= dict.fromkeys(("import_kw", "base_kw", "charge_kw", "discharge_kw"), number)
    return pa.schema(list(kinds.items()))


def _metadata(path: Path) -> bytes:
    pa, pq = arrow()
    try:
        found: bytes | None = (pq.read_schema(path).metadata or {}).get(SUMMARY)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"it cannot be read: {error}.", field=str(path), hint="Delete it, and run again."
        ) from None
    if found is None:
        raise InputError("it is no unit of a backtest.", field=str(path), hint="Delete it, and run again.")
    return found


def _write(path: Path, write: Any) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
