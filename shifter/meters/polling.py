"""Asks meters and hands on what they measure, as one sample a pool.

A sample tells all real-time load of its pool. So where several meters stand at one, each for a model, it is told only
while every one of them answers: a part of a load would read as a load that has fallen.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shifter.errors import InputError, NotFound, NotReady, ShifterError
from shifter.meters.base import Meter, Told
from shifter.meters.csv import BadRows
from shifter.service import Service
from shifter.service.heard import checked
from shifter.store import loads
from shifter.telemetry import get_logger
from shifter.views import TelemetrySample

AT_ONCE = 10_000
"""Samples of one transaction: others wait for no longer than that takes."""
OLD = 3.0
"""A meter's reading counts beside another's for so many of its intervals."""
MOST_NAMED = 5
"""Rows of a file that a fault names; of more it says how many."""

log = get_logger("shifter.meters")


@dataclass
class _Heard:
    """What came of asking a meter once."""

    told: Sequence[Told] = ()
    errors: list[ShifterError] = field(default_factory=list)
    rows: bool = False
    """Whether the errors are of rows, and others count."""
    broke: Exception | None = None


class Metering:
    """All meters of a daemon. `clock` [s] is for tests."""

    def __init__(
        self, service: Service, meters: Iterable[Meter], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.meters = tuple(meters)
        self._service = service
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, TelemetrySample]] = {}
        self._owed: dict[str, _Heard] = {}
        """What a file has told while the store was away: it is not read again."""
        self._odd_rows: set[str] = set()
        """Whose last rows were wrong: that they end is no sign that they are right now."""
        self._at: dict[tuple[str, str], list[Meter]] = defaultdict(list)
        for meter in self.meters:
            if meter.pool is not None:
                self._at[meter.pool].append(meter)

    def poll(self, meter: Meter) -> int:
        """Ask one; how many samples were taken of it. Raises nothing that a meter may do: its fault is told."""
        core, now, taken = self._service.core, self._service.core.now(), 0
        if core.stopping:
            return 0
        heard = self._asked(meter, now)
        try:
            if meter.pool is None:
                taken, wrong = self._take_history(heard.told, now)
                heard.errors += wrong
                heard.rows |= bool(wrong)
            else:
                taken = self._take(meter, heard.told, now)
        except NotReady as error:  # the store's fault, which has been told
            log.warning("not now", meter=meter.name, error=str(error))
            if meter.pool is None:
                self._owed[meter.name] = heard
            return 0
        except (InputError, NotFound) as error:
            with self._lock:
                self._last.pop(meter.name, None)
            heard.errors.append(error)
        outcome = "failed" if heard.errors else "ok"
        core.metrics.ingests.labels(source=f"meter {meter.name}", outcome=outcome).inc()
        if heard.errors or heard.told or meter.name not in self._odd_rows:
            self._tell(meter, heard)
            (self._odd_rows.add if heard.rows else self._odd_rows.discard)(meter.name)
        return taken

    def _asked(self, meter: Meter, now: datetime) -> _Heard:
        """What it says now, or has said already and nobody could keep."""
        owed = self._owed.pop(meter.name, None)
        if owed is not None:
            return owed
        try:
            return _Heard(meter.read(now))
        except BadRows as error:
            return _Heard(error.good, list(error.bad), rows=True)
        except ShifterError as error:
            return _Heard(errors=[error])
        except Exception as error:  # the next look must come, and somebody must hear of it
            return _Heard(errors=[InputError(f"{type(error).__name__}: {error}.")], broke=error)

    def _take(self, meter: Meter, told: Sequence[Told], now: datetime) -> int:
        """The load of a pool, where all its meters have told theirs."""
        assert meter.pool is not None
        at_s = self._clock()
        with self._lock:
            if not told:
                self._last.pop(meter.name, None)
                return 0
            self._last[meter.name] = at_s, told[-1].sample
            parts = [
                found[1]
                for m in self._at[meter.pool]
                if (found := self._last.get(m.name)) is not None and at_s - found[0] <= OLD * m.every_s
            ]
        if len(parts) < len(self._at[meter.pool]):
            return 0
        sample = parts[0]
        if sample.traffic is not None:
            sample = replace(sample, traffic=tuple(t for part in parts for t in part.traffic or ()))
        return self._service.telemetry([replace(sample, at=now)], meter.name)

    def _take_history(self, told: Sequence[Told], now: datetime) -> tuple[int, list[ShifterError]]:
        """What is not kept yet, or not as high, each row by itself: one that is wrong does not keep the others out."""
        core, taken = self._service.core, 0
        errors: list[ShifterError] = []
        for i in range(0, len(told), AT_ONCE):
            fresh = []
            some = told[i : i + AT_ONCE]
            kept = self._kept(some)
            for one in some:
                key, at = (one.sample.site, one.sample.pool), one.sample.at
                known = kept.get(key, {}).get(at)
                if known is not None and not _may_be_higher(one):
                    continue
                try:
                    load = checked(core, one.sample, one.where, now).realtime_accelerators
                except (InputError, NotFound) as error:
                    errors.append(error)
                    continue
                if known is None or load is None or load > known:
                    fresh.append(
                        one.sample
                    )  # as it was told: what was made of it is no sample that anybody sent
            taken += self._service.telemetry(fresh, "") if fresh else 0
        return taken, errors

    def _kept(self, told: Sequence[Told]) -> dict[tuple[str, str | None], dict[datetime, float]]:
        """What is kept of their pools and moments: a file may be read twice, after a restart too."""
        by_pool: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for one in told:
            if one.sample.pool is not None:
                by_pool[one.sample.site, one.sample.pool].append(one.sample.at)
        with self._service.core.reading() as db:
            return {
                key: loads.highest_at(db, *key, min(moments), max(moments) + timedelta(microseconds=1))
                for key, moments in by_pool.items()
            }

    def _tell(self, meter: Meter, heard: _Heard) -> None:
        core, fault, errors = self._service.core, f"meter {meter.name}", heard.errors
        if not errors:
            if core.set_fault(fault, None):
                log.info("a meter answers again", meter=meter.name)
            return
        named = " ".join(str(error) for error in errors[:MOST_NAMED])
        more = f" And {len(errors) - MOST_NAMED} more." if len(errors) > MOST_NAMED else ""
        means = (
            ""
            if meter.pool is None
            else " Nothing is told of its pool meanwhile: silence is no absence of load."
        )
        if core.set_fault(fault, f"The meter {meter.name} fails: {named}{more}{means}"):
            log.warning("a meter fails", meter=meter.name, error=f"{named}{more}", exc_info=heard.broke)


def _may_be_higher(one: Told) -> bool:
    """Than what is kept of its moment. Traffic that is read again is not: it may only be sized otherwise by now."""
    return one.more or one.sample.realtime_accelerators is not None
