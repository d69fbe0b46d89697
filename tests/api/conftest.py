"""A real service on a real SQLite file, planning in this process, behind the real app."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from forecasts.frame import ForecastFrame
from forecasts.slots import SlotGrid
from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.client import Client
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet
from shifter.files import parse_fleet
from shifter.realtime.load import RealtimeLoad
from shifter.service import Service, ServiceConfig
from shifter.store.db import Database

START = datetime(2026, 1, 10, tzinfo=UTC)

FLEET: dict[str, Any] = {
    "currency": "EUR",
    "objective": {"carbon_price_per_tonne": 80},
    "sites": [
        {
            "name": "frankfurt",
            "zone": "DE-LU",
            "jurisdiction": "DE",
            "pue": 1.25,
            "power_limit_kw": 900,
            "pools": [
                {
                    "name": "h100",
                    "accelerator": "H100-SXM",
                    "count": 64,
                    "failure_domains": 8,
                    "idle_kw": 0.12,
                    "busy_kw": 0.75,
                }
            ],
            "resilience": {"quantile": 0.99, "lose_domains": 1},
        },
        {
            "name": "paris",
            "tier": "edge",
            "zone": "FR",
            "jurisdiction": "FR",
            "pools": [
                {"name": "rack/1", "accelerator": "L40S", "count": 16, "idle_kw": 0.05, "busy_kw": 0.35}
            ],
        },
    ],
    "models": [
        {
            "name": "llama-3.3-70b",
            "throughput_tokens_per_s": {"H100-SXM": 950, "L40S": 210},
            "accelerators_per_replica": {"H100-SXM": 4, "L40S": 8},
            "load_minutes": 4,
        }
    ],
}


def frame(grid: SlotGrid, as_of: datetime) -> ForecastFrame:
    """A cheap noon and a dear evening, the same every day, in both zones."""
    hour = np.array([(e.hour + e.minute / 60) for e in grid.edges[:-1]])
    price = 80 + 40 * np.cos((hour - 19) / 24 * 2 * np.pi)
    carbon = 300 + 90 * np.cos((hour - 20) / 24 * 2 * np.pi)
    zones = ("DE-LU", "FR")
    return ForecastFrame.from_arrays(
        grid, "EUR", dict.fromkeys(zones, price), dict.fromkeys(zones, carbon), as_of=as_of
    )


def realtime(grid: SlotGrid) -> RealtimeLoad:
    """A steady load: 16 accelerators of 64, 24 at its 99th percentile."""
    return RealtimeLoad(
        grid, {("frankfurt", "h100"): {0.5: np.full(grid.n_slots, 16.0), 0.99: np.full(grid.n_slots, 24.0)}}
    )


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return parse_fleet(FLEET)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded SQLite file, to be copied: migrating anew would be most of a test's time."""
    path = tmp_path_factory.mktemp("database") / "shifter.db"
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    database.close()
    return path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


def build(database: Path, fleet: Fleet, clock: ManualClock, config: ServiceConfig | None = None) -> Service:
    """A service on an upgraded database file."""
    return Service(
        config or ServiceConfig(horizon_hours=48, admission_wait_s=0),
        fleet,
        Database(f"sqlite:///{database}"),
        clock,
        frame=frame,
        realtime=realtime,
        version="9.9",
    )


@pytest.fixture
def make_service(
    empty_database: Path, tmp_path: Path, fleet: Fleet, clock: ManualClock
) -> Iterator[Callable[..., Service]]:
    """`make_service(config?)`: a service on a database of its own, without a plan."""
    made: list[Service] = []

    def make(config: ServiceConfig | None = None) -> Service:
        path = tmp_path / f"shifter-{len(made)}.db"
        shutil.copy(empty_database, path)
        made.append(build(path, fleet, clock, config))
        return made[-1]

    yield make
    for service in made:
        service.core.db.close()


@pytest.fixture(scope="module")
def still_api(
    empty_database: Path, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """One service for the tests of a module that change nothing."""
    path = tmp_path_factory.mktemp("still") / "shifter.db"
    shutil.copy(empty_database, path)
    service = build(path, fleet, ManualClock(START))
    yield requests_to(create_app(service))
    service.core.db.close()


@pytest.fixture
def unplanned(make_service: Callable[..., Service]) -> Service:
    """A service before its first cycle."""
    return make_service()


@pytest.fixture
def service(unplanned: Service) -> Service:
    """A service with a plan, and no daemon: a test calls `cycle` itself."""
    assert unplanned.cycle("test").outcome == "published"
    return unplanned


@pytest.fixture
def planning(make_service: Callable[..., Service]) -> Iterator[Service]:
    """A service that plans anew when something changes, as under a daemon."""
    made = make_service(ServiceConfig(horizon_hours=48, admission_wait_s=20))
    asked = threading.Semaphore(0)
    ended = threading.Event()

    def work() -> None:
        while asked.acquire() and not ended.is_set():
            made.cycle("change")

    made.core.replan = lambda _: asked.release()
    made.core.has_daemon = True
    made.cycle("test")
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield made
    ended.set()
    asked.release()
    worker.join(20)


@pytest.fixture
def app(unplanned: Service) -> FastAPI:
    return create_app(unplanned, metrics_registry=unplanned.core.metrics.registry)


@pytest.fixture
def api(app: FastAPI) -> TestClient:
    """Requests without a socket, to a service without a plan."""
    return requests_to(app)


@pytest.fixture
def planned_api(service: Service) -> TestClient:
    """Requests without a socket, to a service with a plan."""
    return requests_to(create_app(service, metrics_registry=service.core.metrics.registry))


def requests_to(app: FastAPI) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture
def serve() -> Iterator[Callable[[Service], ApiServer]]:
    """`serve(service)`: the app on a port of its own; stopped after the test."""
    servers: list[ApiServer] = []

    def start(service: Service) -> ApiServer:
        server = ApiServer(create_app(service, metrics_registry=CollectorRegistry()), port=0)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect(serve: Callable[[Service], ApiServer]) -> Iterator[Callable[[Service], Client]]:
    """`connect(service)`: a client of a server of its own."""
    clients: list[Client] = []

    def start(service: Service) -> Client:
        clients.append(Client(serve(service).url, actor="tests"))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
