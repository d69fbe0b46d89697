"""The clock and the service of most tests here; a module that needs another service has its own `made`."""

from __future__ import annotations

import pytest

from shifter.clock import ManualClock
from shifter.service import Service
from tests.service.world import T0, service


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock)
