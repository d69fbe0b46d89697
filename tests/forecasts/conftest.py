from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from forecasts.sources.http import HttpClient
from forecasts.store import ForecastStore
from forecasts.testing import FakeTime, ReplyServer


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
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
