"""A candidate setting in shadow: outlooks by other rules beside the live ones, and what plans would have been made by.

It is on record as a source of its own, so that both are scored alike before one is put in the other's place. No plan is
made by it, and nothing that goes wrong with it touches what is live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from forecasts.frame import ForecastFrame
from forecasts.heeded import CANDIDATE, PLANNED_BY
from forecasts.outlooks import Outlooks
from forecasts.own import as_planned
from forecasts.series import Signal
from shifter.errors import NotReady
from shifter.learning import Learner
from shifter.service.core import Core, FrameMaker
from shifter.telemetry import get_logger
from shifter.views import LearntView

NOTHING_BESIDE = (
    "There is nothing on record to compare it with: all that is planned by is known already, or not yet kept."
)

log = get_logger("shifter.candidate")


class Candidate(Learner):
    """Learns after the live one, by the rules of `outlooks`. It is no fault where it fails: its view says why."""

    name = CANDIDATE

    def __init__(
        self, core: Core, outlooks: Outlooks, frame: FrameMaker, *, fx: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(core, outlooks, frame, planned_by=False, fx=fx)
        self._wrong = ""
        """What went wrong last time; a log that says it every ten minutes says no more."""

    def _tell(self, wrong: str, well: bool, took_s: float) -> None:
        if wrong and wrong != self._wrong:
            log.warning("the candidate failed", error=wrong)
        self._wrong = wrong

    @property
    def _views(self) -> dict[tuple[str, Signal], LearntView]:
        return self.core.state.candidate

    def _record(self) -> str:
        """Each once the live one of that moment is on record, and from what was known then: so nothing but the rules
        differs. Where none is, that is told; it is looked for again each time.
        """
        core, now, wrong = self.core, self.core.now(), ""
        grid, frames = self._grid(now), dict[datetime, ForecastFrame]()
        for key, outlook in list(self._owed.items()):
            try:
                if self._on_record(outlook, now, CANDIDATE) is None:
                    at = self._on_record(outlook, now, PLANNED_BY)
                    if at is None:
                        view = self._views[key]
                        self._say(replace(view, note=view.note or NOTHING_BESIDE))
                        continue
                    if at not in frames:
                        with core.db.errors():
                            frames[at] = self._frame(grid, at)
                    planned = frames[at].get(*key)
                    if planned is not None:
                        rate = self._rate(planned, outlook)
                        self._append(as_planned(planned, outlook, grid, now, rate, CANDIDATE))
                del self._owed[key]
            except NotReady:
                raise
            except Exception as error:
                text = self._failed(*key, error)
                wrong = wrong or text
        return wrong
