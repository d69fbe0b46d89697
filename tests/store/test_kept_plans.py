"""A plan that is kept is reproduced byte for byte, whatever became of the forecasts that it was made from."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecasts.series import Signal
from forecasts.store import ForecastStore
from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.errors import NotFound
from shifter.service import Service
from shifter.store.db import Database
from tests.forecasts.build import series
from tests.service.world import FLEET, HOUR, T0, config, job


def test_a_plan_that_is_kept_outlives_its_forecasts(database_url: str) -> None:
    database = Database(database_url)
    database.upgrade()
    store, clock = ForecastStore(database.engine), ManualClock(T0)
    day = np.arange(48)
    for signal, level in ((Signal.PRICE, 80.0), (Signal.CARBON, 300.0)):
        for k in range(3):  # vintages of which each changes a little, with figures that no few digits hold
            values = level + 40 * np.sin(day / 24 * 2 * np.pi) + k / 3
            store.append(series(values, start=T0, signal=signal, known_at=T0 - (3 - k) * HOUR))

    days = {"forecasts_days": 1.0, "plans_days": 30.0}
    made = Service(config(**days), FLEET, database, clock)
    made.heartbeat()
    made.submit([job("w1"), job("w2", interruptible=False, width=2)], "ann")
    made.cycle()
    plan = made.plan()
    text = plan.to_json()
    made.cancel("w1", "ann")
    clock.advance(days=10)
    made.heartbeat()
    made.cycle()  # the plan kept is not the newest
    assert made.plan().plan_id != plan.plan_id
    assert made.prune()["forecast_values"] > 0
    assert store.vintages() == []

    again = Service(config(**days), FLEET, database, clock)  # from the database alone
    assert again.plan_by_id(plan.plan_id).to_json() == text
    anew = plan_cycle(again.plan_inputs(plan.plan_id))
    assert replace(anew, inputs_id=plan.inputs_id).to_json() == text

    clock.advance(days=25)
    again.heartbeat()
    assert again.prune()["plans"] == 1
    with pytest.raises(NotFound):
        again.plan_inputs(plan.plan_id)
    database.close()


def test_values_are_gone_from_the_database_and_not_only_from_its_answers(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.upgrade()
    store = ForecastStore(database.engine)
    for k in range(50):
        store.append(series(np.random.default_rng(k).uniform(size=192), known_at=T0 + k * HOUR))

    def used() -> int:
        with database.engine.connect() as db:
            pages, free = (
                int(db.exec_driver_sql(f"PRAGMA {p}").scalar_one()) for p in ("page_count", "freelist_count")
            )
        return pages - free

    full = used()
    assert store.prune(T0 + timedelta(days=30)) == 50 * 192
    assert used() < full - 15
    database.close()
