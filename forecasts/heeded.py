"""A store as far as it is heeded: without what we said ourselves, and without sources that are only on trial.

What we made of forecasts is stored, so that it can be scored as any source is. It may never come back as if somebody
else had said it: no frame, no outcome and no weight is made of it. So whoever makes one asks through `Heeded`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Protocol

from forecasts.known import Known
from forecasts.series import ForecastSeries, Signal

PLANNED_BY = "shifter"
"""The source of what was planned by: forecasts of others and our models, as far as each is to be believed."""
MODELS_ALONE = "shifter:models"
"""The source of what our models expect by themselves."""
CANDIDATE = "shifter:candidate"
"""The source of what would have been planned by, had a candidate setting been in force."""
OWN = frozenset({PLANNED_BY, MODELS_ALONE, CANDIDATE})
"""Sources that are ourselves; nobody else can have such a name."""


class Vintages(Known, Protocol):
    """A store that also tells who ever spoke."""

    def sources(self, zone: str, signal: Signal) -> tuple[str, ...]:
        """Who ever said anything of it."""


class Heeded:
    """`store` without `OWN`, the sources in `shadow`, and of a zone's signal in `alone` those of which that is false.
    They are as if they had never spoken.
    """

    def __init__(
        self,
        store: Vintages,
        shadow: Collection[str] = (),
        alone: Mapping[tuple[str, Signal], Callable[[str], bool]] | None = None,
    ) -> None:
        self._store = store
        self._unheeded = OWN | set(shadow)
        self._alone = alone or {}

    def as_of(
        self,
        zone: str,
        signal: Signal,
        moment: datetime,
        start: datetime,
        end: datetime,
        *,
        sources: Collection[str] | None = None,
    ) -> tuple[ForecastSeries, ...]:
        """What was known at `moment` about `[start, end)`, as the store answers it."""
        asked = self._store.sources(zone, signal) if sources is None else sources
        is_heard = self._alone.get((zone, signal))
        heeded = [
            name for name in asked if name not in self._unheeded and (is_heard is None or is_heard(name))
        ]
        return self._store.as_of(zone, signal, moment, start, end, sources=heeded) if heeded else ()
