"""What the daemon would have learnt of the grid by then: outlooks of a replay's zones, made once for all policies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forecasts.assemble import Preference
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.outlook import Outlook
from forecasts.outlooks import Outlooks, anchor_of
from forecasts.series import PLANNED, ForecastSeries, Signal
from shifter.backtest.facts import FactHistory

Key = tuple[str, Signal, datetime]


@dataclass(frozen=True, eq=False)
class Learnt:
    """Outlooks by zone, signal and the moment they were made, every `every_hours`; None where too little was known."""

    every_hours: int = 0
    made: Mapping[Key, Outlook | None] = field(default_factory=dict)

    def at(self, zone: str, signal: Signal, moment: datetime) -> Outlook | None:
        """The outlook that holds at `moment`."""
        if not self.every_hours:
            return None
        return self.made.get((zone, signal, anchor_of(moment, self.every_hours)))

    def within(self, zones: Sequence[str], start: datetime, end: datetime) -> Learnt:
        """Those that may be asked for in `[start, end)`."""
        if not self.every_hours:
            return self
        first = anchor_of(start, self.every_hours)
        kept = {k: o for k, o in self.made.items() if k[0] in zones and first <= k[2] < end}
        return Learnt(self.every_hours, kept)

    def content(self) -> Iterator[bytes]:
        """All that plans hang on, in a fixed order."""
        yield repr(self.every_hours).encode()
        for (zone, signal, at), outlook in sorted(self.made.items()):
            yield repr((zone, str(signal), at)).encode()
            if outlook is not None:
                yield repr((outlook.unit, outlook.basis, outlook.scale)).encode()
                for part in (outlook.weights, outlook.bands):
                    for name, values in part.items():
                        yield repr(name).encode() + values.tobytes()
                yield outlook.ours.tobytes() + outlook.errors.tobytes()


def learn(
    vintages: Sequence[ForecastSeries],
    zones: Sequence[str],
    start: datetime,
    end: datetime,
    every_hours: int,
    *,
    order: Preference | None = None,
    rules: Learning = BY_DEFAULT,
    workers: int = 1,
    told: Callable[[str, float], None] = lambda _what, _share: None,
) -> Learnt:
    """The outlooks of `zones` from `start` until `end`, each from what was known when it was made.

    `told` is told of each zone and signal that is done, and of the share that is.
    """
    if not every_hours:
        return Learnt()
    first = anchor_of(start, every_hours)
    step = timedelta(hours=every_hours)
    anchors = [first + i * step for i in range(-((first - end) // step))]
    # A zone's price learns from its carbon and the other way round: both of a zone's signals go with each.
    todo = [(zone, signal, [s for s in vintages if s.zone == zone]) for zone in zones for signal in PLANNED]
    made: dict[Key, Outlook | None] = {}
    if workers == 1:
        for i, given in enumerate(todo):
            made |= _made(*given, anchors, order, rules)
            told(f"{given[0]} {given[1]}", (i + 1) / len(todo))
        return Learnt(every_hours, made)
    # Spawned, not forked: threads and linear algebra do not survive a fork.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        asked = {
            pool.submit(_made, *given, anchors, order, rules): f"{given[0]} {given[1]}" for given in todo
        }
        for i, done in enumerate(as_completed(asked)):
            made |= done.result()
            told(asked[done], (i + 1) / len(todo))
    return Learnt(every_hours, made)


def _made(
    zone: str,
    signal: Signal,
    vintages: Sequence[ForecastSeries],
    anchors: Sequence[datetime],
    order: Preference | None,
    rules: Learning,
) -> dict[Key, Outlook | None]:
    outlooks = Outlooks(FactHistory(vintages), order, rules=rules)
    return {(zone, signal, at): outlooks.make(zone, signal, at) for at in anchors}
