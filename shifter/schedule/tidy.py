"""Fewer runs: each plain job placed once more beside all others, where that costs less with a price on every run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import partial

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.beside import Beside
from shifter.schedule.columns import Columns, Meter
from shifter.schedule.jobs import Way
from shifter.schedule.ledger import Ledger
from shifter.schedule.pack import Piece
from shifter.schedule.place import done_hours
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.runs import in_runs
from shifter.schedule.settle import BatteryTrace, settle

PASSES = 3


def tidy(
    problem: ScheduleProblem,
    pieces: list[Piece],
    batteries: Mapping[int, BatteryTrace],
    stays: Container[str] = (),
) -> list[Piece]:
    """The same work in fewer pieces, or these very pieces. No peak rises, and no limit is met less than before.

    Jobs of which something `stays` are left as they are.

    What slots cost is their energy and carbon: capacity that others leave free serves nobody else any more.
    """
    own: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        own[piece.job].append(piece)
    ledger = below_peak(problem, pieces, batteries)
    for group in (
        own.values()
    ):  # one by one, as each is released: pieces that share an accelerator in turns count twice
        ledger.hold(group)
    run_price = problem.run_price
    meter, price_of = Meter.of(problem), partial(_energy_price, problem)

    def cost(of: Sequence[Piece]) -> float:
        return float(meter.read(Columns.of(problem, of))[1].sum()) + run_price * len(of)

    done = done_hours(problem, pieces)
    whole = (job for job in problem.jobs if job.plain and done[job.id] >= job.hours * (1 - 1e-6))
    jobs = {job.id: job for job in whole if job.id not in stays}
    changed = False
    for _ in range(PASSES):
        better = 0
        for id in sorted(jobs, key=lambda i: (-len(own[i]), i)):
            ledger.release(own[id])
            found = in_runs(jobs[id], ledger, price_of, run_price) if len(own[id]) > 1 else None
            if found is not None and cost(found) < cost(own[id]) - 1e-9:
                own[id] = found
                better += 1
            ledger.hold(own[id])
        changed |= better > 0
        if not better:
            break
    if not changed:
        return pieces
    return [piece for group in own.values() for piece in group]


def below_peak(
    problem: ScheduleProblem, pieces: Sequence[Piece], batteries: Mapping[int, BatteryTrace]
) -> Ledger:
    """What is free beside the batteries, below the limits and, where it has a price, the peak that there is."""
    ledger = Ledger(problem)
    ledger.hold_beside(Beside(batteries))
    imports = settle(problem, pieces, batteries).import_kw
    if problem.n_quotas:  # nor is more borrowed in any slot than now
        used = Ledger(problem)
        used.hold(pieces)
        for quota, tenant in enumerate(problem.tenants[: problem.n_quotas]):
            if not tenant.hard:
                ledger.quota_left[quota] = np.maximum(tenant.left, used.of_quotas[quota])
    for i, site in enumerate(problem.sites):
        if site.demand_charge_per_kw > 0:
            net = batteries[i].charge_kw - batteries[i].discharge_kw if i in batteries else 0.0
            peak_kw = max(float(imports[i].max()), site.peak_so_far_kw)
            ledger.headroom_kw[i] = np.minimum(ledger.headroom_kw[i], peak_kw - site.median_kw - net)
    return ledger


def _energy_price(problem: ScheduleProblem, way: Way, firm: bool) -> Floats:
    site = problem.sites[problem.pools[way.pool].site]
    price: Floats = way.import_kw * site.unit_cost_per_kwh[problem.cell_slot] * problem.cell_hours
    return price
