"""What was known at one moment of a replay, and nothing later: the only view of the world that a policy has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from forecasts.assemble import frame_from_store
from forecasts.frame import ForecastFrame
from forecasts.history import VintageHistory
from forecasts.slots import Floats, SlotGrid
from shifter.backtest.case import Case
from shifter.backtest.facts import FactHistory
from shifter.domain.fleet import PoolKey
from shifter.realtime.load import RealtimeLoad
from shifter.realtime.profiles import MeasuredLoad, apply_measured


class Knowledge:
    """The vintages of a case and its expected real-time load, to be asked as of a moment."""

    def __init__(self, case: Case) -> None:
        self.case = case
        # Leads are of when each value was known, which the fast history does not keep.
        history = VintageHistory if case.fleet.objective.risk.trust else FactHistory
        self.history = history(case.vintages)

    def at(self, slot: int, measured: dict[PoolKey, float]) -> Known:
        """What is known as a slot begins. `measured` is the real-time load of the slot before it."""
        return Known(self, slot, measured)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known as slot `slot` of the case begins."""

    _all: Knowledge
    slot: int
    measured: dict[PoolKey, float]

    @property
    def now(self) -> datetime:
        """The start of the slot."""
        return self._all.case.grid.moment(self.slot)

    def grid(self, until: datetime | None = None) -> SlotGrid:
        """What is looked at: the horizon, or to `until` where that is later, as far as real-time load is foreseen."""
        case, now = self._all.case, self.now
        rules = case.rules
        end = max(now + timedelta(hours=rules.horizon_hours), until or now)
        end = min(end, now + timedelta(hours=rules.max_horizon_hours), case.reach.end)
        return SlotGrid.covering(now, end - now, case.grid.slot_minutes)

    def frame(self, grid: SlotGrid) -> ForecastFrame:
        """Prices and carbon, as told by then."""
        fleet, rules = self._all.case.fleet, self._all.case.rules
        return frame_from_store(
            self._all.history,
            grid,
            as_of=self.now,
            zones=fleet.zones,
            currency=fleet.currency,
            preference=rules.order,
            max_age=rules.max_age,
            outlooks=self._all.case.learnt,
        )

    def load(self, grid: SlotGrid) -> RealtimeLoad:
        """Real-time load as expected, raised where more was measured just now: as the daemon does."""
        expected = part(self._all.case.expected, grid)
        seen = {key: MeasuredLoad(accelerators, self.now) for key, accelerators in self.measured.items()}
        return apply_measured(expected, seen, self.now, fleet=self._all.case.fleet)

    @cached_property
    def near(self) -> ForecastFrame:
        """The frame of the horizon, which several may ask for."""
        return self.frame(self.grid())


def part(load: RealtimeLoad, grid: SlotGrid) -> RealtimeLoad:
    """The slots of a load that a grid within its own holds."""
    first = round(load.grid.position(grid.start))
    cut = slice(first, first + grid.n_slots)
    return RealtimeLoad(grid, {k: {p: v[cut] for p, v in of.items()} for k, of in load.quantiles.items()})


def foreseen(frame: ForecastFrame, case: Case) -> ForecastFrame:
    """The frame with what came of it in the place of what was forecast, as far as that is known, and no bands."""
    first = round(case.reach.position(frame.grid.start))
    cut = slice(first, first + frame.grid.n_slots)
    signals = []
    for s in frame.signals:
        outcome = case.outcomes[s.zone]
        came: Floats = (outcome.price_per_mwh if s.signal == "price" else outcome.carbon_g_per_kwh)[cut]
        signals.append(replace(s, values=np.where(np.isfinite(came), came, s.values), quantiles={}))
    return replace(frame, signals=tuple(signals))
