from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from forecasts.sources.http import HttpClient
from forecasts.store import ForecastStore, metadata
from forecasts.testing import FakeTime, ReplyServer

POSTGRES = "SHIFTER_TEST_POSTGRES_URL"
"""An empty PostgreSQL database that the tests may fill and clear, as a SQLAlchemy URL."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'forecasts.db'}"
    if request.param == "postgresql":
        if POSTGRES not in os.environ:
            pytest.skip(f"{POSTGRES} names no database")
        url = os.environ[POSTGRES]
    engine = create_engine(url)
    metadata.drop_all(engine)
    yield engine
    metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> ForecastStore:
    store = ForecastStore(engine)
    store.create_tables()
    return store


@pytest.fixture
def server() -> Iterator[ReplyServer]:
    with ReplyServer() as running:
        yield running


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def http(fake_time: FakeTime) -> Iterator[HttpClient]:
    client = HttpClient(clock=fake_time.clock, sleep=fake_time.sleep, wall=fake_time.wall, jitter=lambda: 1.0)
    yield client
    client.close()
