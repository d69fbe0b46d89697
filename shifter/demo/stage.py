"""The demo while it runs: the daemon on bundled data, work that arrives, and an executor that does it."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from forecasts.slots import isoformat_z
from shifter.api.server import ApiServer
from shifter.clock import Clock, SimulatedClock, SystemClock
from shifter.daemon import Daemon
from shifter.demo import grid, scenario
from shifter.demo.executor import Executor
from shifter.domain.fleet import Fleet
from shifter.domain.plan import Plan
from shifter.errors import InputError, NotReady
from shifter.service import Service
from shifter.settings import Settings, SourceSettings
from shifter.telemetry import configure_logging

PORTS_TRIED = 20
TICK_S = 0.5
"""Real seconds between steps of the executor."""
SOURCES_WAIT_S = 6.0
"""Real seconds that the first work waits for the first answers of the sources."""
SAMPLE_EVERY = timedelta(hours=6)
"""Of the demo's clock: how often the sample file gets a deadline and an id of its own again."""
METER_REAL_S = 2.0
"""Real seconds between looks at the made-up meter on a fast clock; 10 s on the real one."""
METER_SEED = 26287
"""Of the made-up load: its first surge comes 100 s after the start. It, the next and that of the second morning find
preemptible work.
"""
LEASE_TTL_S = 4 * 3600.0
"""Of the demo's clock: two real minutes."""


@dataclass(frozen=True)
class Options:
    """What a person asked the demo for."""

    host: str = "127.0.0.1"
    port: int = 8321
    port_is_asked: bool = False
    """Whether this very port was asked for; else the next free one does as well."""
    database: str | None = None
    zones: tuple[str, ...] = ()
    """Live zones; none means the synthetic grid on an accelerated clock."""
    sources: tuple[SourceSettings, ...] = ()
    speed: float = scenario.SPEED

    @property
    def live(self) -> bool:
        """Whether the real grid is asked."""
        return bool(self.zones)


@dataclass
class Stage:
    """A running demo."""

    options: Options
    folder: Path
    clock: Clock
    fleet: Fleet
    service: Service
    url: str
    _executor: Executor
    _closed: threading.Event = field(default_factory=threading.Event)
    _sample_due: datetime | None = None

    @property
    def sample(self) -> Path:
        """A workload to submit by hand; its deadline always lies ahead."""
        return self.folder / "sample.jsonl"

    def open(self, wait_s: float = 60.0) -> Plan:
        """Hand in what is there at the start, and wait for the plan that holds it. Raises NotReady."""
        self.write_sample()
        threading.Thread(target=self._hand_in, name="demo-arrivals", daemon=True).start()
        until = time.monotonic() + wait_s
        while True:
            try:
                plan = self.service.plan()
                if plan.workloads or time.monotonic() > until:
                    return plan
            except NotReady:
                if time.monotonic() > until:
                    raise
            time.sleep(0.05)

    def tick(self) -> None:
        """Let the executor work, and keep the sample's deadline ahead."""
        try:
            self._executor.step()
            if self._sample_due is None or self.clock.now() >= self._sample_due:
                self.write_sample()
        except NotReady:
            return  # the store cannot be reached for the moment: the next tick tries again

    def write_sample(self) -> None:
        """The sample file, whole or not at all."""
        now = self.clock.now()
        partial = self.folder / ".sample.partial"
        text = json.dumps(scenario.sample(now, scenario.boundaries(self.fleet)["DE"]))
        partial.write_text(text + "\n", "utf-8")
        partial.replace(self.sample)
        self._sample_due = now + SAMPLE_EVERY

    def close(self) -> None:
        """No more work arrives."""
        self._closed.set()

    def _hand_in(self) -> None:
        """Submit what arrives, day after day; in a thread, because an answer waits for its plan."""
        self._wait_for_sources()
        start = scenario.START if self.clock.simulated else self.clock.now().replace(second=0, microsecond=0)
        for day in itertools.count():
            for arrival in scenario.arrivals(start, day, scenario.boundaries(self.fleet)):
                while not self._closed.is_set():
                    left_s = self.clock.real_s((arrival.at - self.clock.now()).total_seconds())
                    if left_s > 0:
                        self._closed.wait(left_s)
                    elif self._taken(arrival):
                        break
                if self._closed.is_set():
                    return

    def _wait_for_sources(self) -> None:
        """A plan without all prices would claim savings that are none: hear every source first."""
        until = time.monotonic() + SOURCES_WAIT_S
        wanted = {s.name for s in self.options.sources} or {"typical"}
        while time.monotonic() < until and not self._closed.is_set():
            if wanted <= {s.name for s in self.service.health().sources if s.last_attempt_at}:
                return
            self._closed.wait(0.02)

    def _taken(self, arrival: scenario.Arrival) -> bool:
        """Whether the service has taken it; where the store cannot be reached, it is tried again."""
        try:
            self.service.submit(arrival.workloads, "demo")
        except NotReady:
            self._closed.wait(TICK_S)
            return False
        return True


@contextmanager
def staged(options: Options, tell: Callable[[str], None]) -> Iterator[Stage]:
    """A demo whose daemon serves, and of which nothing is left behind but a database that was asked for."""
    folder = Path(tempfile.mkdtemp(prefix="shifter-demo-"))
    try:
        fleet = scenario.bundled_fleet(options.zones)
        fleet_file = folder / "fleet.json"  # JSON is YAML
        fleet_file.write_text(json.dumps(scenario.fleet_document(options.zones), indent=2), "utf-8")
        clock: Clock = SystemClock() if options.live else SimulatedClock(scenario.START, options.speed)
        settings = _settings(options, folder, fleet_file, fleet.zones)
        configure_logging(settings.log.level, settings.log.format)
        daemon = Daemon(settings, clock)
        server = _server(daemon, options, tell)
        try:
            daemon.start()
            executor = Executor(daemon.service, fleet, clock)
            with server:
                stage = Stage(options, folder, clock, fleet, daemon.service, server.url, executor)
                try:
                    yield stage
                finally:
                    stage.close()
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(options: Options, folder: Path, fleet_file: Path, zones: Sequence[str]) -> Settings:
    sources = options.sources or (grid.synthetic_source(zones),)
    speed = 1.0 if options.live else options.speed
    every_s = min(3600.0, max(10.0, METER_REAL_S * speed))
    return Settings.model_validate(
        {
            "host": options.host,
            "port": options.port,
            "database": options.database or f"sqlite:///{folder / 'demo.db'}",
            "fleet": str(fleet_file),
            "realtime": {
                "profile": "typical",
                "meters": [{"kind": "typical", "every_s": every_s, "seed": METER_SEED}],
            },
            # Of the demo's clock, which passes both between two looks where it is fast.
            "guard": {"hold_s": max(300.0, 2.5 * every_s)},
            "telemetry": {"max_age_s": max(300.0, 15 * every_s)},
            "forecasts": {"sources": [s.model_dump() for s in sources]},
            "planning": {"slot_minutes": scenario.SLOT_MINUTES, "debounce_s": 0.5},
            "leases": {"ttl_s": LEASE_TTL_S},
            "log": {"level": "error"},
            "clock": None if options.live else f"{isoformat_z(scenario.START)}x{options.speed:g}",
        }
    )


def _server(daemon: Daemon, options: Options, tell: Callable[[str], None]) -> ApiServer:
    """The API and the dashboard on the port or, where that is taken and not insisted on, the next."""
    ports = [options.port] if options.port_is_asked else [*range(options.port, options.port + PORTS_TRIED), 0]
    app = daemon.app()  # one for all: it registers its metrics with the daemon's
    for port in ports:
        server = ApiServer(app, options.host, port)
        try:
            server.bind()
        except InputError:
            if port == ports[-1]:
                raise
            continue
        if port != options.port:
            tell(f"Port {options.port} is taken; this demo is on {server.port}.")
        return server
    raise AssertionError("a list of ports is never empty")
