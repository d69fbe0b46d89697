"""Old forecasts are forgotten while meters write into the same file."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from forecasts.content import unpack
from forecasts.store import ForecastStore
from shifter.clock import ManualClock
from shifter.views import TelemetrySample
from tests.forecasts.build import series
from tests.service.world import T0, service


def test_a_measurement_that_comes_between_is_no_lost_store(
    sqlite_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite gives up at once on who has read, was overtaken by a writer, and then wants to write."""
    made = service(sqlite_url, clock)
    store = made.core.forecasts
    assert isinstance(store, ForecastStore)
    old = T0 - timedelta(days=made.core.config.forecasts_days + 30)
    store.append(series(np.ones(48), known_at=old, start=old))
    posters: list[threading.Thread] = []

    def meanwhile(*given: Any) -> Any:
        sample = TelemetrySample("fra", clock.now(), "h100", 5.0)
        posters.append(threading.Thread(target=made.telemetry, args=([sample], "meter")))
        posters[-1].start()
        time.sleep(0.3)
        return unpack(*given)

    monkeypatch.setattr("forecasts.store.unpack", meanwhile)
    assert made.prune()["forecast_values"] == 48
    for poster in posters:
        poster.join(20)
    assert made.core.state.measured["fra", "h100"].realtime_accelerators == 5.0
    assert made.core.state.faults == {}
