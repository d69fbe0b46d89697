"""The ways to do each workload's work, of its options in the fleet. Workloads that ask for the same share one tuple."""

from __future__ import annotations

from datetime import timedelta

from shifter.domain.capping import import_kw
from shifter.domain.fleet import Fleet
from shifter.domain.options import Option, kind_of, options_of
from shifter.domain.rows import Allocation
from shifter.domain.workload import Workload
from shifter.schedule.jobs import Way

MICROSECOND = timedelta(microseconds=1)


class WorkWays:
    """The ways of a fleet's workloads."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._position = {key: i for i, key in enumerate(fleet.pools)}
        self._found: dict[tuple[object, ...], tuple[float, tuple[Way, ...]]] = {}

    def of(self, workload: Workload) -> tuple[float, tuple[Way, ...]]:
        """Work per accelerator-hour in the fastest of its options [its unit/h], and the ways that are wide enough."""
        asked = (kind_of(workload), workload.max_accelerators)
        if asked not in self._found:
            self._found[asked] = self._ways(workload)
        return self._found[asked]

    def held(self, a: Allocation) -> Way:
        """What running work holds. How fast it goes, and in what shape, plays no part."""
        site, pool = self.fleet.pools[a.site, a.pool]
        drawn_kw = import_kw(site, pool, a.cap_kw)
        return Way(self._position[a.site, a.pool], 1.0, drawn_kw, model=a.model, cap_kw=a.cap_kw)

    def _ways(self, workload: Workload) -> tuple[float, tuple[Way, ...]]:
        options = options_of(workload, self.fleet)
        fastest = max((option.rate for option in options), default=self._rate_anywhere(workload))
        usable = (option for option in options if option.replica <= workload.max_accelerators)
        return fastest, tuple(self._way(option, fastest) for option in usable)

    def _way(self, option: Option, fastest: float) -> Way:
        return Way(
            self._position[option.key],
            option.rate / fastest,
            option.import_kw,
            option.replica,
            round(option.load / MICROSECOND),
            option.model,
            option.cap_kw,
        )

    def _rate_anywhere(self, workload: Workload) -> float:
        """What hours are counted at where no pool may run it: the fastest accelerator that its model knows."""
        model = self.fleet.by_model.get(workload.model or "")
        if model is None or workload.tokens is None:
            return 1.0
        return 3600.0 * max(model.throughput_tokens_per_s.values())
