"""Jobs of like windows and widths added up: a few hundred clusters stand for any number of jobs."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from forecasts.slots import Floats
from shifter.schedule.classes import WorkClass, option_sets
from shifter.schedule.jobs import HOUR_US, Ints, Job
from shifter.schedule.problem import ScheduleProblem
from shifter.schedule.tenants import NOBODY

ENDLESS_HOURS = 1e9
"""Work that takes longer is as good as endless: products and squares of it must stay finite."""

TOLD_RATIO = 0.9
"""Tenants may be told apart as long as the groups of work that make up clusters are fewer than this share of them."""


class Clusters:
    """Jobs in ever more clusters: the one whose jobs are most unlike, by start, end and time needed, each weighted with
    its work, is halved, until there are enough.

    Only what may run in the same ways, is equally firm, and of the same tenant where it is `told` apart, is added up at
    all.
    """

    def __init__(self, jobs: Sequence[Job], told: Collection[int] = ()) -> None:
        self._jobs, self._told = jobs, told
        groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
        for i, job in enumerate(jobs):
            if job.ways and job.hours > 0:
                tenant = job.tenant if job.tenant in told else NOBODY
                groups[(job.ways, job.firm, job.open_ended, tenant)].append(i)
        # As weights and as a trait, work that would take ages is as good as endless: squares of it must stay finite.
        self._hours = np.minimum([job.hours for job in jobs], ENDLESS_HOURS)
        self._width = np.array([job.max_accelerators for job in jobs], dtype=float)
        windows = np.array([[job.start_us, job.end_us] for job in jobs], dtype=float).reshape(-1, 2)
        self._traits = np.column_stack([windows / HOUR_US, self._hours / self._width])
        self._heap: list[tuple[float, int, Ints]] = []
        self._pushed = 0
        for group in groups.values():
            self._push(np.array(group, dtype=np.int64))

    def _push(self, members: Ints) -> None:
        heapq.heappush(self._heap, (-_spread(self._traits, self._hours, members), self._pushed, members))
        self._pushed += 1

    def about(self, most: int) -> list[WorkClass]:
        """About `most` of them; asked again for more, it goes on from there."""
        heap = self._heap
        while heap and len(heap) < most and heap[0][0] < 0:
            _, _, members = heapq.heappop(heap)
            for half in _halves(self._traits, self._hours, members):
                self._push(half)
        return [self._summed(members) for _, _, members in sorted(heap, key=lambda h: h[1])]

    def _summed(self, members: Ints) -> WorkClass:
        """All their work, in the window of the one that is most like all.

        A window of a real job, not the mean of theirs: half of them released now and half tomorrow are none that start
        at noon, and prices that suit such a window suit nobody.
        """
        jobs, weight = self._jobs, self._hours[members] / self._hours[members].sum()
        off = self._traits[members] - _mean(self._traits[members], weight)
        one = jobs[int(members[np.argmin((off * off).sum(axis=1))])]
        return WorkClass(
            jobs=tuple(jobs[i] for i in members) if self._told else (),
            hours=sum(jobs[i].hours for i in members),
            max_accelerators=float(self._width[members].sum()),
            start_us=one.start_us,
            end_us=one.end_us,
            ways=one.ways,
            firm=one.firm,
            open_ended=one.open_ended,
            tenant=one.tenant if one.tenant in self._told else NOBODY,
        )


def _spread(traits: Floats, hours: Floats, members: Ints) -> float:
    """How unlike the members are: work times the widest weighted standard deviation of a trait [h2]."""
    return float(hours[members].sum() * _deviations(traits, hours, members).max())


def _deviations(traits: Floats, hours: Floats, members: Ints) -> Floats:
    weight = hours[members] / hours[members].sum()
    chosen = traits[members]
    off = chosen - _mean(chosen, weight)
    deviations: Floats = np.sqrt(_mean(off * off, weight))
    return np.where(deviations > 1e-9, deviations, 0.0)


def _mean(traits: Floats, weight: Floats) -> Floats:
    """Weighted, (n_traits,). Not `weight @ traits`: threads would add that up in another order."""
    mean: Floats = (weight[:, None] * traits).sum(axis=0)
    return mean


def _halves(traits: Floats, hours: Floats, members: Ints) -> tuple[Ints, Ints]:
    trait = int(_deviations(traits, hours, members).argmax())
    order = members[np.argsort(traits[members, trait], kind="stable")]
    done = np.cumsum(hours[order])
    middle = int(np.searchsorted(done, done[-1] / 2)) + 1
    # Members that are alike in this trait stay together, unless all are on one side.
    values = traits[order, trait]
    if middle >= len(order) or values[middle - 1] == values[0]:
        middle = int(np.searchsorted(values, values[0], side="right"))
    return order[:middle], order[middle:]


def kept_apart(problem: ScheduleProblem, n_clusters: int) -> set[int]:
    """Tenants that stay apart: those with a quota before the others, then those that ask for more."""
    groups: defaultdict[int, set[object]] = defaultdict(set)
    for job, options in zip(problem.jobs, option_sets(problem.jobs), strict=True) if problem.tenants else ():
        groups[job.tenant].add((options, job.firm, job.open_ended))
    every = len(set().union(*groups.values()))
    order = sorted(
        range(len(problem.tenants)),
        key=lambda i: (i >= problem.n_quotas, -problem.tenants[i].asked_hours, i),
    )
    fits = np.cumsum([len(groups[i]) for i in order]) + every <= TOLD_RATIO * n_clusters
    return {i for i, one in zip(order, fits.tolist(), strict=True) if one}
