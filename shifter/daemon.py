"""The daemon: it lets forecasts in, plans anew when something changed, and keeps leases alive.

Nothing here decides anything: `Service` does, and this calls it at the right times. Times of the settings are
seconds of the daemon's clock; a simulated clock shortens the real time between two of them.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from random import Random
from typing import TYPE_CHECKING, Any

from forecasts.sources.publication import FIRST_RETRY
from forecasts.store import ForecastStore
from shifter.clock import Clock
from shifter.dispatch.base import make_dispatcher
from shifter.dispatch.runner import DispatchRunner
from shifter.domain.fleet import Fleet
from shifter.errors import Conflict, InputError, NotReady, SolverFailed
from shifter.files import read_fleet
from shifter.grid_file import Feed, leave, listen
from shifter.ingest import Poller
from shifter.lessons import lessons_of
from shifter.load_wiring import realtime_maker
from shifter.measuring import LEARN_EVERY, MeasuredLoads, learn_load
from shifter.meter_wiring import meters_of
from shifter.meters import Metering
from shifter.planner import Planner, WorkerPlanner
from shifter.replanner import Replanner
from shifter.service import Service
from shifter.service.health import database_answers
from shifter.store.db import Database
from shifter.store.lock import StoreLock
from shifter.telemetry import BEAT_JOB, Metrics, get_logger
from shifter.wiring import (
    frame_maker,
    grid_feeds,
    outlooks_of,
    polled_sources,
    service_config,
)

if TYPE_CHECKING:
    from fastapi import FastAPI

    from shifter.classify.policy import Policy
    from shifter.dispatch.base import Dispatcher
    from shifter.service.core import RealtimeMaker
    from shifter.settings import Settings

FIRST_INGEST_WAIT_S = 5.0
"""Real seconds that the first plan waits for the sources; one that is dead does not hold it up for longer."""
FIRST_LEARN_WAIT_S = 5.0
"""And after them for what the store teaches: it would else change as soon as that is there."""
SHORTEST_BEAT_S = 0.2
LONGEST_BEAT_S = 5.0
SHORTEST_POLL_S = 1.0
SHORTEST_REMOTE_POLL_S = 300.0
"""Real seconds between two polls of somebody else's server, however fast a simulated clock runs."""
DATABASE_CHECK_S = 5.0
PREDECESSOR_WAIT_S = 5.0
"""Real seconds that a daemon waits for another on its store to end, as when it is restarted."""
PRUNE_EVERY = timedelta(hours=6)
STOP_WAIT_S = 10.0
HEARTBEAT = "heartbeat"
"""The fault's name while the regular look at what time brings breaks."""
STORE_LOCK = "store lock"
"""The fault's name while another daemon has the store, taken while it was away."""

log = get_logger("shifter.daemon")


class Daemon:
    """One process that plans. Made, it has read its files and opened its store; started, it acts.

    Raises InputError for files and settings that are wrong, NotReady where the store cannot be opened, Conflict where
    another daemon has it.
    """

    def __init__(self, settings: Settings, clock: Clock, *, planner: Planner | None = None) -> None:
        if settings.fleet is None:
            raise InputError(
                "no fleet is named.", field="fleet", hint="Set fleet to the path of a fleet.yaml."
            )
        self.settings = settings
        self.clock = clock
        self.fleet: Fleet = read_fleet(settings.fleet)
        self._polled = polled_sources(settings, self.fleet)
        self._feeds = grid_feeds(settings, self.fleet)
        self._meters = meters_of(settings, self.fleet)
        policy = settings.classification_policy()
        dispatchers = [make_dispatcher(d.name, d.options) for d in settings.dispatchers]
        self.database = Database(settings.database)
        realtime = realtime_maker(settings, self.fleet, clock, self.database)
        self._measured = realtime if isinstance(realtime, MeasuredLoads) else None
        self._lock = StoreLock(self.database)
        self._lock.take(PREDECESSOR_WAIT_S)  # before anything is written
        try:
            self._open(planner, policy, realtime, dispatchers)
        except BaseException:
            self._lock.release()
            raise

    def _open(
        self,
        planner: Planner | None,
        policy: Policy,
        realtime: RealtimeMaker,
        dispatchers: Sequence[Dispatcher],
    ) -> None:
        """Everything that stands on the store."""
        from shifter.background import Timetable

        settings, clock = self.settings, self.clock
        self.database.upgrade()
        limit_gib = settings.planning.memory_limit_gib
        self._planner = planner or WorkerPlanner(memory_limit_gib=limit_gib)
        self._quote_planner = planner or WorkerPlanner(memory_limit_gib=limit_gib)
        self.metrics = Metrics()
        self._beat_s = min(LONGEST_BEAT_S, max(SHORTEST_BEAT_S, clock.real_s(settings.leases.ttl_s) / 5))
        store, learn = ForecastStore(self.database.engine), settings.forecasts.learn
        outlooks = outlooks_of(settings, self.fleet, store, self._polled)
        by_them = partial(frame_maker, settings, self.fleet, store, self._polled)
        self.service = Service(
            service_config(settings, clock, self._beat_s),
            self.fleet,
            self.database,
            clock,
            policy=policy,
            frame=by_them(outlooks if learn == "on" else None),
            realtime=realtime,
            planner=self._planner,
            quote_planner=self._quote_planner,
            metrics=self.metrics,
            version=_version(),
        )
        self._metering = Metering(self.service, self._meters)
        refresh_s = max(1.0, clock.real_s(self.service.core.config.lease_ttl_s) / 3)
        self._pollers = tuple(
            Poller(self.service.core, polled, jitter_of(polled.name) if polled.remote else lambda: 0.0)
            for polled in self._polled
        )
        self._lessons = lessons_of(self.service.core, settings, self._polled, outlooks, by_them, self._once)
        self._dispatch = DispatchRunner(self.service, dispatchers, refresh_s)
        self._replanner = Replanner(self.service.cycle, max(0.05, clock.real_s(settings.planning.debounce_s)))
        self._timetable = Timetable()
        self._stopped = threading.Event()
        self._asked_to_stop = threading.Event()
        self._warm_up()

    def app(self) -> FastAPI:
        """The HTTP interface and the dashboard over this daemon's service."""
        from shifter.api.app import create_app
        from shifter.web.router import create_router

        return create_app(
            self.service,
            web_router=create_router(self.service),
            metrics_registry=self.metrics.registry,
            allowed_hosts=self.settings.allowed_hosts,
        )

    # Life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: leases of the last plan are renewed at once; the first plan follows the first forecasts."""
        core = self.service.core
        core.replan, core.has_daemon = self._replanner.request, True
        core.next_replan_at = self._next_replan_at
        self.service.heartbeat()
        self._quietly(partial(leave, core, self._feeds))
        self._schedule()
        self._timetable.start()
        # After it: who has been asked is put down there to be asked again.
        threading.Thread(target=self._first_plan, name="shifter-start", daemon=True).start()
        self._dispatch.start()
        log.info("started", clock=str(self.clock), database=str(self.database), sources=len(self._polled))

    def stop(self) -> None:
        """End: running writes are finished, a running cycle is given up, and nothing accepted is lost."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._asked_to_stop.set()
        self._dispatch.stop()
        self._lessons.stop()
        core = self.service.core
        core.has_daemon, core.stopping = False, True
        self._timetable.end()
        self._planner.close()
        self._quote_planner.close()
        ended = self._replanner.stop(STOP_WAIT_S)
        with core.writing:
            self.database.close()
        self._lock.release()
        log.info("stopped", cleanly=ended)

    def run(self) -> None:
        """Without an HTTP server: start, wait for SIGINT, SIGTERM or `stop`, and stop. In the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._asked_to_stop.set())
        self.start()
        self._asked_to_stop.wait()
        self.stop()

    def _first_plan(self) -> None:
        first = [threading.Thread(target=self._ingest, args=(p,), daemon=True) for p in self._pollers]
        waited = [t for t, p in zip(first, self._pollers, strict=True) if not p.polled.shadow]
        listeners = [threading.Thread(target=self._listen, args=(f,), daemon=True) for f in self._feeds]
        ends = time.monotonic() + FIRST_INGEST_WAIT_S
        for thread in (*first, *listeners):
            thread.start()
        for thread in (*waited, *listeners):
            thread.join(max(0.0, ends - time.monotonic()))
        self._lessons.begin()
        if self.settings.forecasts.learn == "on":
            self._lessons.wait(FIRST_LEARN_WAIT_S)
        self._learn_load()
        # Not before: a plan made while half of the prices are missing would be wrong, and look splendid.
        if not self._stopped.is_set():
            self._replanner.request("start")
            self._replanner.start()

    def _warm_up(self) -> None:
        """Importing the solver takes seconds: let it happen beside everything else."""
        warm = getattr(self._planner, "warm_up", None)
        if warm is not None:
            threading.Thread(target=self._quietly, args=(warm,), name="shifter-warm-up", daemon=True).start()

    # What it does, and when ------------------------------------------------------------------------------

    def _schedule(self) -> None:
        every = self._timetable.every
        planning = self.settings.planning
        real = self.clock.real_s
        every(self._beat_s, BEAT_JOB, self._beat)
        every(DATABASE_CHECK_S, "database", self._keep_store)
        every(real(planning.replan_minutes * 60), "replan", self._replanner.request, "interval")
        every(max(60.0, real(PRUNE_EVERY.total_seconds())), "prune", self._quietly, self.service.prune)
        if self._measured is not None:
            every(max(LONGEST_BEAT_S, real(LEARN_EVERY.total_seconds())), "load", self._learn_load)
        least_s = SHORTEST_REMOTE_POLL_S if self.clock.simulated else SHORTEST_POLL_S
        for feed in self._feeds:
            every(max(least_s, real(feed.every.total_seconds())), f"grid-{feed.name}", self._listen, feed)
        for meter in self._meters:
            every(
                max(SHORTEST_POLL_S, real(meter.every_s)), f"meter-{meter.name}", self._metering.poll, meter
            )

    def _next_replan_at(self) -> datetime | None:
        """By the daemon's clock: what is asked for already, or else the next of the interval."""
        if self._stopped.is_set():
            return None
        due = (self._timetable.due_in_s("replan"), self._replanner.due_in_s())
        left = [seconds for seconds in due if seconds is not None]
        return self.clock.now() + timedelta(seconds=min(left) * self.clock.speed) if left else None

    def _ingest(self, poller: Poller) -> None:
        """Ask a source for what is due, and put down when to ask it again, whatever becomes of it."""
        if self._stopped.is_set():
            return
        try:
            next_at = poller.poll().next_at
        except Exception as error:  # the next poll must come, and somebody must hear of it
            log.exception("a poll broke", source=poller.polled.name, error=str(error))
            next_at = self.clock.now() + FIRST_RETRY
        simulated = poller.polled.remote and self.clock.simulated
        least_s = SHORTEST_REMOTE_POLL_S if simulated else SHORTEST_POLL_S
        wait_s = max(least_s, self.clock.real_s((next_at - self.clock.now()).total_seconds()))
        self._once(wait_s, f"ingest-{poller.polled.name}", self._ingest, poller)
        self._lessons.polled(poller.polled.name)

    def _once(self, wait_s: float, name: str, job: Callable[..., Any], *args: Any) -> None:
        """`Timetable.once`, but for a daemon that was stopped."""
        if not self._stopped.is_set():
            self._timetable.once(wait_s, name, job, *args)

    def _learn_load(self) -> None:
        if self._measured is not None and not self._stopped.is_set():
            learn_load(self.service.core, self._measured)

    def _listen(self, feed: Feed) -> None:
        if not self._stopped.is_set():
            listen(self.service.core, feed)

    def _beat(self) -> None:
        """Renew leases, whatever else is wrong; then do what time brings."""
        try:
            self.service.heartbeat()
            self.service.tick()
        except NotReady as error:
            log.warning("the store cannot be reached", error=str(error))
        except Exception as error:  # the next beat must come, and somebody must hear of it
            log.exception("a heartbeat broke")
            self.service.core.set_fault(HEARTBEAT, f"{type(error).__name__}: {error}")
        else:
            self.service.core.set_fault(HEARTBEAT, None)

    def _keep_store(self) -> None:
        """See whether the store answers and is still ours; a lock that was lost with it is taken again."""
        core = self.service.core
        database_answers(core)
        try:
            self._lock.take()
        except NotReady:
            return  # that has been told
        except Conflict as error:
            if core.set_fault(STORE_LOCK, str(error)):
                log.error("another daemon has the store", error=str(error))
        else:
            core.set_fault(STORE_LOCK, None)

    def _quietly(self, job: Callable[[], Any]) -> None:
        """What may fail and will be tried again."""
        try:
            job()
        except (NotReady, SolverFailed) as error:
            log.warning("not now", job=getattr(job, "__name__", ""), error=str(error))


def jitter_of(source: str, process: str = "") -> Callable[[], float]:
    """Numbers in 0..1 by which this process puts off its polls of a source: a fleet of daemons that waits for one
    market must not ask in the same second. The same ones for the same process.
    """
    return Random(f"{process or f'{socket.gethostname()}/{os.getpid()}'}/{source}").random


def _version() -> str:
    try:
        return version("inference-shifter")
    except PackageNotFoundError:
        return "unreleased"
