"""What running one workload at once would add to the demand charge, everything else staying as planned.

A workload's own cost is its energy and carbon: the demand charge belongs to the peak that all work makes together, and
is in the totals alone. But it may be the very reason to wait, so an explanation has to be able to say it. It is worked
out slot by slot from the published plan: the import that the plan has, less what this workload draws in its slots, plus
what it would draw from now on in what the plan leaves free.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shifter.domain.fleet import Fleet, PoolKey
from shifter.domain.options import Option, option_of, options_of
from shifter.domain.rows import Allocation, PowerRow, SlotRow
from shifter.domain.workload import LEFT_RATIO, Workload
from shifter.service.state import Published
from shifter.store.workloads import WorkloadRecord

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class PeakChange:
    """By how much a site's charged peak would grow [kW], and what that costs [currency]; less than 0 where it falls."""

    site: str
    kw: float
    cost: float


def peak_changes(record: WorkloadRecord, fleet: Fleet, published: Published) -> tuple[PeakChange, ...]:
    """Of each site whose charged peak running at once would change; nothing for work that the plan does not hold."""
    own = published.allocations.get(record.id, ())
    share = published.shares.get(record.id)
    if not own or (share is not None and share.reason_code == "running"):  # which is at once
        return ()
    run = _Run(record.workload, fleet, published, own)
    moved = run.moved_kw(max(record.window_start, published.plan.created_at))
    found = []
    for name, kw in moved.items():
        site = fleet.by_site[name]
        now = max(row.import_kw for row in run.power[name])
        then = max(row.import_kw + kw.get(i, 0.0) for i, row in enumerate(run.power[name]))
        more = max(then, site.peak_so_far_kw) - max(now, site.peak_so_far_kw)
        if site.demand_charge_per_kw > 0 and abs(more) > 1e-9:
            found.append(PeakChange(name, more, more * site.demand_charge_per_kw))
    return tuple(found)


class _Run:
    """One workload taken out of the plan, and put back as early as it fits."""

    def __init__(
        self, workload: Workload, fleet: Fleet, published: Published, own: Sequence[Allocation]
    ) -> None:
        self.workload, self.fleet = workload, fleet
        self.options: dict[PoolKey, Option] = {}
        """The fastest in each pool: at once, nothing slower is chosen."""
        for option in options_of(workload, fleet):
            if option.key not in self.options or option.rate > self.options[option.key].rate:
                self.options[option.key] = option
        self.rows = {key: published.rows[key] for key in self.options if key in published.rows}
        sites = {site for site, _ in self.rows}
        power: defaultdict[str, list[PowerRow]] = defaultdict(list)
        for row in published.plan.power:
            if row.site in sites:
                power[row.site].append(row)
        self.power: Mapping[str, list[PowerRow]] = power
        self.own = [(a, o) for a in own if (o := option_of(workload, fleet, a)) is not None]
        self.pools = sorted(self.rows, key=lambda key: -self.options[key].rate)
        """The fastest first, as the baseline takes them."""

    def import_kw(self, key: PoolKey) -> float:
        """What one busy accelerator adds to the site's import [kW]."""
        return self.options[key].import_kw

    def planned_work(self) -> float:
        """Work that its own allocations do, load time taken off [its unit]."""
        return sum(
            a.accelerators * option.rate * (max(timedelta(0), a.end - a.start - option.load) / HOUR)
            for a, option in self.own
        )

    def held(self, key: PoolKey, row: SlotRow | PowerRow) -> float:
        """Its own accelerators in a slot of the plan, mean over the slot."""
        return sum(n for n, _ in self._held(key, row))

    def held_kw(self, key: PoolKey, row: SlotRow | PowerRow) -> float:
        """What they draw, mean over the slot [kW]."""
        return sum(n * kw for n, kw in self._held(key, row))

    def _held(self, key: PoolKey, row: SlotRow | PowerRow) -> Iterator[tuple[float, float]]:
        for a, option in self.own:
            if option.key == key:
                time = max(timedelta(0), min(a.end, row.end) - max(a.start, row.start))
                yield a.accelerators * time / (row.end - row.start), option.import_kw

    def moved_kw(self, start: datetime) -> dict[str, dict[int, float]]:
        """By site and slot, how much more it would import than planned [kW], had it run from `start` on."""
        moved: dict[str, dict[int, float]] = {site: defaultdict(float) for site in self.power}
        for key in self.pools:
            for i, row in enumerate(self.rows[key]):
                moved[key[0]][i] -= self.held_kw(key, row)
        work = left = self.planned_work()
        before: dict[PoolKey, int] = {}
        for i in range(min((len(rows) for rows in self.rows.values()), default=0)):
            if left <= LEFT_RATIO * work:
                break
            counts = self.counts(i)
            row = next(iter(self.rows.values()))[i]
            hours = max(timedelta(0), row.end - max(row.start, start)) / HOUR
            if hours <= 0:
                continue
            left += sum(  # what has to be loaded first does no work meanwhile
                max(0, n - before.get(key, 0)) * self.options[key].rate * (self.options[key].load / HOUR)
                for key, n in counts.items()
            )
            done = sum(n * self.options[key].rate for key, n in counts.items()) * hours
            share = hours / ((row.end - row.start) / HOUR) * min(1.0, left / done if done else 0.0)
            for key, n in counts.items():
                moved[key[0]][i] += n * share * self.import_kw(key)
            left, before = left - done, counts
        return moved

    def counts(self, i: int) -> dict[PoolKey, int]:
        """How many accelerators it could hold in slot `i`, were its own free: the fastest first."""
        width, found = self.workload.max_accelerators, {}
        room = {site: self.headroom_kw(site, i) for site in self.power}
        for key in self.pools:
            row, kw = self.rows[key][i], self.import_kw(key)
            kept = self.fleet.by_site[key[0]].resilience.kept(row.realtime_q, row.reserved)
            free = row.count - kept - row.deferrable
            if not self.workload.preemptible:
                free = min(free, row.count - row.reserved - (row.deferrable - row.preemptible))
            free += self.held(key, row)
            most = min(free, width, room[key[0]] / kw if kw > 0 else math.inf)
            size = self.options[key].replica
            count = int(max(0.0, most) + 1e-6) // size * size
            found[key] = count
            width -= count
            room[key[0]] -= count * kw
        return found

    def headroom_kw(self, site: str, i: int) -> float:
        """What the power limit leaves it in slot `i` [kW], real-time load being at its quantile."""
        row = self.power[site][i]
        if row.limit_kw is None:
            return math.inf
        drawn = row.import_kw
        for key in self.rows:
            if key[0] == site:
                slot = self.rows[key][i]
                beyond = (slot.realtime_q - slot.realtime_p50) * self.import_kw(key)
                drawn += beyond - self.held_kw(key, slot)
        return row.limit_kw - drawn
