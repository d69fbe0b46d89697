"""Migration 0003: what a change-log of values said is what the packed vintages say, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sqlalchemy import inspect, text

from forecasts.series import ForecastSeries, Signal
from forecasts.store import ForecastStore
from shifter.store.db import Database
from shifter.store.migrate import config
from shifter.store.migrate import upgrade as upgrade_to
from tests.forecasts.build import T0, hours, series

US = 3_600_000_000
FIRST = int(T0.timestamp()) * 1_000_000


def downgrade(database: Database) -> None:
    from alembic import command

    with database.engine.begin() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0002")


@pytest.fixture
def old(database_url: str) -> Any:
    """A database of before, empty."""
    database = Database(database_url)
    database.upgrade()
    downgrade(database)
    yield database
    database.close()


def written(database: Database, table: str, rows: list[dict[str, Any]]) -> None:
    names = ", ".join(rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    with database.write() as db:
        db.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), rows)
        if not database.is_sqlite and "id" in rows[0]:  # there the next number does not follow from the rows
            db.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {len(rows)})"))


def vintage(id_: int, known_h: float, first_h: float, last_h: float, **more: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "series_id": 1,
        "known_at_us": FIRST + int(known_h * US),
        "status": "accepted",
        "kind": "forecast",
        "first_start_us": FIRST + int(first_h * US),
        "last_end_us": FIRST + int(last_h * US),
        "longest_us": US,
        "n_values": 2,
        "n_changed": 2,
        "sha256": f"{id_:064}",
        "licence": "CC BY 4.0",
        "attribution": "",
        "restricted": False,
        "reason": "",
        **more,
    }


def value(
    start_h: float, end_h: float, vintage_id: int, said: float | None, q_ppm: int = 0
) -> dict[str, Any]:
    start, end = (FIRST + int(h * US) for h in (start_h, end_h))
    return {
        "series_id": 1,
        "start_us": start,
        "end_us": end,
        "q_ppm": q_ppm,
        "vintage_id": vintage_id,
        "value": said,
    }


def test_a_change_log_becomes_vintages(old: Database) -> None:
    written(
        old,
        "forecast_series",
        [
            {
                "id": 1,
                "key": "test:DE-LU:price",
                "source": "test",
                "zone": "DE-LU",
                "signal": "price",
                "unit": "EUR/MWh",
            }
        ],
    )
    rejected = {
        "status": "rejected",
        "first_start_us": None,
        "last_end_us": None,
        "longest_us": None,
        "sha256": "",
    }
    written(
        old,
        "forecast_vintage",
        [
            vintage(1, 0, 0, 2),  # half-hours, with a quantile
            vintage(2, 1, 0, 2),  # hours in their place, without one
            vintage(3, 2, 1, 3),  # one value changed, one new
            vintage(4, 0.5, 0, 2),  # an archive imported later: half-hours again
            vintage(5, 9, 5, 6, **rejected),
            vintage(6, -9, -8, 1),  # its first hours were pruned
            vintage(7, -9, -8, -7.5),  # and all of this one
        ],
    )
    written(
        old,
        "forecast_fetch",
        [
            {"series_id": 1, "vintage_id": v, "fetched_at_us": FIRST + int(h * US)}
            for v, h in ((1, 0), (2, 1), (3, 2), (4, 0.5), (1, 0.25), (6, -9), (7, -9))
        ],
    )
    halves = [(h / 2, h / 2 + 0.5) for h in range(4)]
    written(
        old,
        "forecast_value",
        [
            *(value(a, b, 1, 10 + a) for a, b in halves),
            *(value(a, b, 1, 20 + a, 900_000) for a, b in halves),
            *(value(a, b, 2, None, 900_000) for a, b in halves),
            *(value(h + 0.5, h + 1, 2, None) for h in range(2)),
            *(value(h, h + 1, 2, 30.0 + h) for h in range(2)),
            *(value(h, h + 1, 3, 0.1 + h) for h in (1, 2)),
            *(value(a, b, 4, 40 + a) for a, b in halves),
            *(value(a, b, 6, 0.3 if a == 0 else None) for a, b in halves[:2]),
        ],
    )
    old.upgrade()
    assert "forecast_value" not in inspect(old.engine).get_table_names()
    store = ForecastStore(old.engine)
    said = {i: store.read(i) for i in range(1, 8)}
    assert {i: None if s is None else s.values.tolist() for i, s in said.items()} == {
        1: [10, 10.5, 11, 11.5],
        2: [30, 31],
        3: [1.1, 2.1],
        4: [40, 40.5, 41, 41.5],
        5: None,
        6: [0.3],
        7: None,
    }
    assert said[1] is not None
    assert said[1].quantiles[0.9].tolist() == [20, 20.5, 21, 21.5]
    assert said[2] is not None
    assert said[2].quantiles == {}
    assert [v.id for v in store.vintages()] == [5, 3, 2, 4, 1, 6]
    answered = store.as_of("DE-LU", Signal.PRICE, hours(0.3), hours(-9), hours(9))
    assert [(s.values.tolist(), s.known_at) for s in answered] == [([10, 10.5, 11, 11.5], hours(0.25))]
    newest = store.as_of("DE-LU", Signal.PRICE, hours(3), hours(-9), hours(9))
    assert [s.values.tolist() for s in newest] == [[30], [1.1, 2.1]]
    assert store.prune(hours(2)) == 4 + 2 + 1 + 4 + 1
    assert store.append(series([5.0], known_at=hours(4))).status == "new"


def test_a_series_of_which_only_a_refusal_was_left_goes_on(old: Database) -> None:
    row = {
        "id": 1,
        "key": "test:DE-LU:price",
        "source": "test",
        "zone": "DE-LU",
        "signal": "price",
        "unit": "EUR/MWh",
    }
    written(old, "forecast_series", [row])
    rejected = {
        "status": "rejected",
        "first_start_us": None,
        "last_end_us": None,
        "longest_us": None,
        "sha256": "",
    }
    written(old, "forecast_vintage", [vintage(1, 0, 0, 0, **rejected)])
    old.upgrade()
    store = ForecastStore(old.engine)
    assert store.append(series([5.0, 6.0])).status == "new"
    (told,) = store.as_of("DE-LU", Signal.PRICE, T0, T0, hours(9))
    assert told.values.tolist() == [5, 6]


def everything(store: ForecastStore) -> list[Any]:
    """All vintages and, of several moments, all answers, to the bit."""

    def told(s: ForecastSeries | None) -> Any:
        if s is None:
            return None
        bands = {p: band.tobytes() for p, band in s.quantiles.items()}
        return (s.known_at, s.kind, s.start.tolist(), s.end.tolist(), s.values.tobytes(), bands)

    window = (hours(-100), hours(100))
    return [
        *((v, told(store.read(v.id))) for v in store.vintages(limit=1000)),
        *([told(s) for s in store.as_of("DE-LU", Signal.PRICE, hours(k), *window)] for k in range(12)),
        *store.ages(hours(20)),
    ]


def test_there_and_back_says_the_same(database_url: str) -> None:
    database = Database(database_url)
    database.upgrade()
    store = ForecastStore(database.engine)
    rng = np.random.default_rng(3)
    for k in rng.permutation(12):
        step, n = int(rng.choice([15, 30, 60])), int(rng.integers(1, 8))
        values = rng.choice([1.0, 2.25, 1 / 3], n)
        store.append(
            series(
                values,
                start=hours(int(rng.integers(0, 8)) / 4),
                step_minutes=step,
                known_at=hours(int(k)),
                quantiles={0.9: values + 1} if k % 3 else {},
            )
        )
    store.append(series(np.arange(24.0), zone="FR", signal=Signal.CARBON))
    store.record_rejection(source="x", zone="GB", signal=Signal.PRICE, known_at=T0, reason="NaN")
    before = everything(store)
    assert len(before) > 20
    downgrade(database)
    columns = {c["name"] for c in inspect(database.engine).get_columns("forecast_vintage")}
    assert "longest_us" in columns
    assert "content" not in columns
    with database.read() as db:
        assert db.execute(text("SELECT count(*) FROM forecast_value")).scalar_one() > 24
    upgrade_to(database.engine)
    assert everything(ForecastStore(database.engine)) == before
    database.close()
