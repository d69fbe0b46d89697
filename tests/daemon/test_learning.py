"""What vintages teach in a daemon: history comes, plans are made by what was learnt, and nothing of it feeds back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasts.assemble import frame_from_store
from forecasts.heeded import MODELS_ALONE, OWN, PLANNED_BY, Heeded
from forecasts.outlook import make_outlook
from forecasts.outlooks import Outlooks
from forecasts.own import as_planned
from forecasts.series import PLANNED, Kind, Signal
from forecasts.slots import SlotGrid
from forecasts.testing import ReplyServer
from shifter.clock import ManualClock
from shifter.daemon import Daemon
from shifter.ingest import Poller
from shifter.learning import LEARNING, Learner
from shifter.lessons import lessons_of
from shifter.planner import InProcessPlanner
from shifter.service import Service
from shifter.service.health import gauges
from shifter.settings import Settings
from shifter.store.db import Database
from shifter.views import EventKind
from shifter.wiring import frame_maker, outlooks_of, polled_sources, service_config
from tests.daemon import grid
from tests.daemon.world import daemon, settings, until

T0 = datetime(2026, 1, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MAKE = "forecasts.outlooks.make_outlook"
ZONE = "DE-LU"


class World:
    """A service, and what a daemon would call of it, by hand: on a clock that stands still until it is moved."""

    def __init__(self, folder: Path, clock: ManualClock, **forecasts: Any) -> None:
        from shifter.files import read_fleet

        self.settings: Settings = settings(folder, forecasts=forecasts)
        assert self.settings.fleet is not None
        fleet = read_fleet(self.settings.fleet)
        self.clock = clock
        self.database = Database(self.settings.database)
        self.database.upgrade()
        polled = polled_sources(self.settings, fleet)
        self.jobs: dict[str, tuple[float, Any, tuple[Any, ...]]] = {}
        self.service = Service(
            service_config(self.settings, clock, 1.0), fleet, self.database, clock, planner=InProcessPlanner()
        )
        store = self.service.core.forecasts
        outlooks = outlooks_of(self.settings, fleet, store, polled)
        self.frame = frame_maker(
            self.settings, fleet, store, polled, outlooks if self.settings.forecasts.learn == "on" else None
        )
        self.service.core.frame = self.frame
        self.pollers = [Poller(self.service.core, p) for p in polled]
        self.lessons = lessons_of(
            self.service.core,
            self.settings,
            polled,
            outlooks,
            lambda made: frame_maker(self.settings, fleet, store, polled, made),
            lambda wait_s, name, job, *args: self.jobs.update({name: (wait_s, job, args)}),
        )

    def poll(self) -> None:
        """Each source once, and its past."""
        for poller in self.pollers:
            assert not poller.poll().errors
            self.lessons.polled(poller.polled.name)
        for name in [name for name in self.jobs if name.startswith("history-")]:
            self.run(name)

    def learn(self) -> Learner:
        """What is due to be learnt, now."""
        self.lessons.begin()
        learner: Learner = self.jobs["learn"][2][0]
        self.run("learn")
        return learner

    def run(self, name: str) -> None:
        _, job, args = self.jobs.pop(name)
        job(*args)

    def signal(self, signal: Signal = Signal.CARBON, hours: int = 24) -> Any:
        """What is planned by."""
        slots = SlotGrid.covering(self.clock.now().replace(minute=0), hours * HOUR, 60)
        found = self.frame(slots, self.clock.now()).get(ZONE, signal)
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def _without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.learning.REST_RATIO", 0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0 + timedelta(minutes=5))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """40 days of what came, and of what a desk forecast."""
    grid.both(tmp_path, ZONE, T0 - 40 * DAY, T0)
    return tmp_path


def sources(folder: Path, *more: dict[str, Any]) -> list[dict[str, Any]]:
    meter = grid.csv_source("meter", folder / "meter.csv", kind="actual")
    return [grid.csv_source("desk", folder / "desk.csv"), meter, *more]


@pytest.fixture
def world(files: Path, clock: ManualClock) -> Iterator[World]:
    made = World(files, clock, sources=sources(files))
    yield made
    made.database.close()


@contextmanager
def running(made: Daemon) -> Iterator[Daemon]:
    made.start()
    try:
        yield made
    finally:
        made.stop()


class TestDaemon:
    def test_history_comes_and_plans_are_made_by_what_it_teaches(self, tmp_path: Path) -> None:
        """A source that keeps its past, asked as if it were somebody else's: nothing was known before this start."""
        with ReplyServer() as server:
            source = {"name": "energy_charts", "signals": ["carbon"], "options": {"base_url": server.url}}
            made = daemon(tmp_path, speed=900, forecasts={"sources": [source]})
            server.reply = grid.energy_charts(made.clock.now)
            with running(made):
                until(made.service.ready)
                [told_first, *_] = [e for e in made.service.events() if e.kind is EventKind.PLAN_PUBLISHED]
                inputs = made.service.plan_inputs(told_first.data["plan_id"])
                first = inputs.frame.get(ZONE, Signal.CARBON)
                assert first is not None
                assert not first.quantiles, "the first plan waits for nothing"

                def learnt() -> Any:
                    return [v for v in made.service.learnt(ZONE) if v.signal == "carbon" and v.made_for]

                [view] = until(learnt)

                def on_record() -> Any:
                    found = made.service.core.forecasts.vintages(source=PLANNED_BY, zone=ZONE)
                    return [info.issued_at for info in found]

                first_at = min(until(on_record))  # where this machine is busy, the next is made by now, too
                assert T0 < first_at <= T0 + 3 * HOUR, "a whole hour after it came, not six"
                assert view.rounds > 40
                assert view.planned_by

                def planned() -> Any:
                    frame = made.service.plan_inputs(made.service.plan().plan_id).frame
                    found = frame.get(ZONE, Signal.CARBON)
                    return found if found is not None and found.quantiles else None

                frame = until(planned)
                assert "our models" in frame.source[-1]
                assert frame.kind[-1] is Kind.MODEL
                low, high = frame.quantiles[0.05], frame.quantiles[0.95]
                assert np.all((low < frame.values) & (frame.values < high))
                actual = grid.truth(T0 + DAY, 24)[1]
                told = made.service.forecasts(ZONE, T0 + DAY, T0 + 2 * DAY)["signals"][1]["values"]
                assert np.abs(np.array(told) - actual).mean() < 40, "of a carbon that spreads over 300"
            days = sorted(
                {
                    (T0 - datetime.fromisoformat(a.query["start"]).replace(tzinfo=UTC)).days
                    for a in server.asked
                }
            )
            days = [
                (T0 - datetime.fromisoformat(a.query["start"]).replace(tzinfo=UTC)).days for a in server.asked
            ]
            assert days[0] <= 2, "first as always"
            assert [d for d in days if d > 2] in ([60], [61]), "and then once two months"

    def test_after_a_restart_the_first_plan_is_made_by_what_was_known(
        self, world: World, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And does not change some seconds later for what was there all along."""
        monkeypatch.setattr("shifter.daemon.FIRST_LEARN_WAIT_S", 60.0)  # this machine may be busy
        world.poll()
        world.database.close()
        made = daemon(files, forecasts={"sources": sources(files), "history_days": 0})
        with running(made):
            until(made.service.ready)
            [first, *_] = [e for e in made.service.events() if e.kind is EventKind.PLAN_PUBLISHED]
            frame = made.service.plan_inputs(first.data["plan_id"]).frame
            for signal in PLANNED:
                planned = frame.get(ZONE, signal)
                assert planned is not None
                assert set(planned.source) == {"desk+our models"}
                assert planned.quantiles

    def test_the_first_plan_waits_no_longer_than_it_may(
        self, world: World, files: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ends = threading.Event()

        def hangs(*args: Any) -> Any:
            ends.wait(60)
            return make_outlook(*args)

        monkeypatch.setattr(MAKE, hangs)
        monkeypatch.setattr("shifter.daemon.FIRST_LEARN_WAIT_S", 0.1)
        world.poll()
        world.database.close()
        made = daemon(files, forecasts={"sources": sources(files), "history_days": 0})
        try:
            with running(made):
                until(made.service.ready)
                assert not made.service.learnt()
        finally:
            ends.set()

    def test_off_it_is_as_it_was(self, files: Path) -> None:
        made = daemon(files, forecasts={"sources": sources(files), "learn": "off", "history_days": 0})
        with running(made):
            until(made.service.ready)
            assert made.service.learnt() == []
            store = made.service.core.forecasts
            assert {v.source for v in store.vintages(limit=1000)} == {"desk", "meter"}
            assert len(store.vintages(limit=1000)) < 20, "two days back, as always"
            told = made.service.forecasts(ZONE)["signals"]
            assert {r["source"] for s in told for r in s["provenance"]} == {"desk"}
            assert all(not s["quantiles"] for s in told)


class TestLearning:
    def test_sources_are_weighed_by_their_record(self, world: World) -> None:
        world.poll()
        plain = world.signal()
        assert set(plain.source) == {"desk"}
        world.learn()
        [carbon, price] = world.service.learnt()
        assert (carbon.signal, carbon.made_for, carbon.note) == ("carbon", T0, "")
        assert [part.name for part in carbon.sources] == ["desk", "our models"]
        for view in (carbon, price):
            for k in range(3):
                assert sum(part.ratio[k] or 0.0 for part in view.sources) == pytest.approx(1, abs=1e-3)
        believed = carbon.sources[0].ratio[1] or 0.0
        assert 0.3 < believed < 1
        mixed = world.signal()
        assert set(mixed.source) == {"desk+our models"}
        assert set(mixed.kind) == {Kind.MODEL}
        assert not np.allclose(mixed.values, plain.values)
        assert set(mixed.quantiles) == {0.05, 0.1, 0.25, 0.75, 0.9, 0.95}
        assert world.service.learnt(ZONE) == world.service.learnt()

    def test_what_was_planned_by_is_on_record_and_scored(self, world: World, files: Path) -> None:
        world.poll()
        for day in range(1, 6):  # days go by, with a forecast and outcomes each
            world.learn()
            world.clock.advance(days=1)
            grid.both(files, ZONE, T0 - 40 * DAY, T0 + day * DAY)
            world.poll()
        store = world.service.core.forecasts
        infos = store.vintages(source=PLANNED_BY, zone=ZONE, signal=Signal.CARBON)
        assert len(infos) == 5
        last = store.latest(f"{PLANNED_BY}:{ZONE}:carbon", world.clock.now())
        assert last is not None
        assert (last.kind, last.issued_at, last.unit) == (Kind.MODEL, T0 + 4 * DAY, "gCO2e/kWh")
        assert set(last.quantiles) == {0.05, 0.1, 0.25, 0.75, 0.9, 0.95}
        assert last.attribution == "the operator's own file"
        assert not last.restricted
        alone = store.latest(f"{MODELS_ALONE}:{ZONE}:carbon", world.clock.now())
        assert alone is not None
        assert len(alone) > 24 * 7
        assert not np.allclose(alone.values[:24], last.values)
        scores = world.service.forecast_scores(ZONE, Signal.CARBON, 10)
        found = {s.source: s for s in scores.sources}
        assert set(found) >= {"desk", PLANNED_BY, MODELS_ALONE}
        assert {s.outcomes_of for s in found.values()} == {"meter"}
        assert found[PLANNED_BY].overall.bands.bands, "with the coverage of its bands"

    def test_once_an_anchor_also_over_a_restart(self, world: World, files: Path, clock: ManualClock) -> None:
        world.poll()
        world.learn()
        world.learn()
        again = World(files, clock, sources=sources(files))
        clock.advance(hours=1)
        again.learn()
        assert again.service.learnt()[0].made_for == T0
        kept = again.service.core.forecasts.vintages(source=PLANNED_BY)
        assert len(kept) == len(PLANNED)
        again.database.close()

    def test_a_new_plan_is_asked_for_when_there_is_something_new(self, world: World) -> None:
        asked: list[str] = []
        world.service.core.replan = asked.append
        world.poll()
        world.learn()
        world.learn()
        assert asked.count("learnt") == 1
        world.clock.advance(hours=6)
        world.learn()
        assert asked.count("learnt") == 2

    def test_in_shadow_it_learns_and_nothing_is_planned_by_it(self, files: Path, clock: ManualClock) -> None:
        world = World(files, clock, sources=sources(files), learn="shadow")
        asked: list[str] = []
        world.service.core.replan = asked.append
        world.poll()
        before = world.signal()
        world.learn()
        after = world.signal()
        assert np.array_equal(before.values, after.values)
        assert (set(after.source), dict(after.quantiles)) == ({"desk"}, {})
        assert "learnt" not in asked
        view, _ = world.service.learnt()
        assert (view.planned_by, view.made_for) == (False, T0)
        last = world.service.core.forecasts.latest(f"{PLANNED_BY}:{ZONE}:carbon", clock.now())
        assert last is not None
        assert not np.allclose(last.values[:24], before.values), "what would be planned by is on record"
        world.database.close()

    def test_prices_of_another_currency_are_on_record_in_it(self, files: Path, clock: ManualClock) -> None:
        pounds = [{**s, "options": {**s["options"], "currency": "GBP"}} for s in sources(files)]
        world = World(files, clock, sources=pounds, fx={"GBP": 2.0})
        world.poll()
        world.learn()
        assert world.service.core.state.faults == {}
        planned = world.signal(Signal.PRICE)
        last = world.service.core.forecasts.latest(f"{PLANNED_BY}:{ZONE}:price", clock.now())
        assert last is not None
        assert last.unit == "GBP/MWh"
        assert np.allclose(last.values * 2, planned.values, atol=0.011)
        world.database.close()

    def test_its_terms_are_those_of_all_that_it_was_learnt_from(
        self, files: Path, clock: ManualClock
    ) -> None:
        """Also of the source whose forecasts are in none of the values, and only said what came."""
        desk, meter = sources(files)
        closed = {**meter, "options": {**meter["options"], "restricted": True}}
        world = World(files, clock, sources=[desk, closed], candidate={"past_days": 30})
        world.poll()
        world.learn()
        world.run("learn-candidate")
        for name in sorted(OWN):
            last = world.service.core.forecasts.latest(f"{name}:{ZONE}:carbon", clock.now())
            assert last is not None
            assert last.restricted
        assert all(v is None for s in world.service.forecasts(ZONE)["signals"] for v in s["values"]), (
            "withheld"
        )
        world.database.close()

    def test_made_up_values_teach_nothing(self, tmp_path: Path, clock: ManualClock) -> None:
        world = World(tmp_path, clock, sources=[{"name": "typical"}])
        world.poll()
        world.learn()
        assert {v.note for v in world.service.learnt()} == {
            "Too little to learn from: less than a week of outcomes, or all of it made up."
        }
        assert not world.service.core.forecasts.vintages(source=PLANNED_BY)
        world.database.close()


class TestNothingFeedsBack:
    """What we said ourselves is as if nobody had said it, whatever it claims to be."""

    @pytest.fixture
    def poisoned(self, world: World) -> World:
        world.poll()
        store, now = world.service.core.forecasts, world.clock.now()
        for source in sorted(OWN):
            for signal in PLANNED:
                for kind, start in ((Kind.MODEL, T0), (Kind.ACTUAL, T0 - 5 * DAY)):
                    base = store.latest(f"desk:{ZONE}:{signal}", now)
                    assert base is not None
                    shift = np.datetime64(start.replace(tzinfo=None), "us") - base.start[0]
                    wild = replace(
                        base,
                        source=source,
                        kind=kind,
                        known_at=now,
                        start=base.start + shift,
                        end=base.end + shift,
                    )
                    store.append(replace(wild, values=np.full(len(wild), 999.0)))
        return world

    def test_frames(self, poisoned: World) -> None:
        told = poisoned.signal()
        assert set(told.source) == {"desk"}
        assert told.values.max() < 600
        given = poisoned.service.forecasts(ZONE)
        assert not any("shifter" in r["source"] for s in given["signals"] for r in s["provenance"])

    def test_outlooks_and_outcomes(self, poisoned: World, files: Path) -> None:
        store = poisoned.service.core.forecasts
        (files / "clean").mkdir()
        clean = World(files / "clean", poisoned.clock, sources=sources(files))
        clean.poll()
        for signal in PLANNED:
            anchor, first = T0 + 6 * HOUR, {(ZONE, signal): sorted(OWN)}
            heeded = Outlooks(Heeded(store), first).make(ZONE, signal, anchor)
            without = Outlooks(clean.service.core.forecasts, first).make(ZONE, signal, anchor)
            blind = Outlooks(store, first).make(ZONE, signal, anchor)
            assert heeded is not None
            assert without is not None
            assert np.array_equal(heeded.ours, without.ours, equal_nan=True)
            assert heeded.weights.keys() == without.weights.keys() == {"desk", "our models"}
            assert blind is not None
            assert not np.array_equal(blind.ours, heeded.ours, equal_nan=True), "heeded, it would matter"
        clean.database.close()

    def test_a_service_without_a_daemon_heeds_them_neither(self, poisoned: World, clock: ManualClock) -> None:
        bare = Service(poisoned.service.core.config, poisoned.service.fleet, poisoned.database, clock)
        told = bare.forecasts(ZONE)
        assert not any("shifter" in r["source"] for s in told["signals"] for r in s["provenance"])


class TestShadow:
    def test_a_source_on_trial_is_kept_and_scored_and_never_used(
        self, files: Path, clock: ManualClock
    ) -> None:
        grid.desk(files / "wild.csv", ZONE, T0 - 40 * DAY, T0, error=300, seed=8)
        trial = {**grid.csv_source("wild", files / "wild.csv"), "shadow": True}
        world = World(files, clock, sources=[trial, *sources(files)])
        asked: list[str] = []
        world.service.core.replan = asked.append
        world.pollers[0].poll()
        assert asked == [], "no plan is made for it"
        world.poll()
        world.learn()
        (files / "clean").mkdir()
        clean = World(files / "clean", clock, sources=sources(files))
        clean.poll()
        clean.learn()
        for signal in PLANNED:
            mine, theirs = world.signal(signal), clean.signal(signal)
            assert np.array_equal(mine.values, theirs.values)
            assert mine.source == theirs.source
            for p, band in mine.quantiles.items():
                assert np.array_equal(band, theirs.quantiles[p])
        assert all("wild" not in part.name for v in world.service.learnt() for part in v.sources)
        assert {v.name: v.shadow for v in world.service.health().sources}["wild"]
        scores = world.service.forecast_scores(ZONE, Signal.CARBON, 31)
        mae = {s.source: s.overall.point.mae or 0.0 for s in scores.sources}
        assert mae["wild"] > 5 * mae["desk"]
        world.database.close()
        clean.database.close()

    def test_one_that_fails_is_no_fault(self, files: Path, clock: ManualClock) -> None:
        trial = {**grid.csv_source("wild", files / "none.csv"), "shadow": True}
        world = World(files, clock, sources=[*sources(files), trial])
        world.service.heartbeat()
        assert world.pollers[-1].poll().errors
        assert not any("wild" in fault for fault in world.service.health().faults)
        assert [s.up for s in world.service.health().sources if s.shadow] == [False]
        for poller in world.pollers[:-1]:
            poller.poll()
        told = {labels["source"] for name, _, labels, _ in gauges(world.service.core) if "_source_" in name}
        assert told == {"desk", "meter"}, "an alert on a source that is down does not ring for it"
        world.database.close()


class TestFailures:
    def test_it_degrades_to_what_was_before_and_says_so(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.poll()
        world.learn()
        good, before = world.service.learnt(), world.signal()

        def broken(knowledge: Any, zone: str, signal: Signal, *rest: Any) -> Any:
            if signal is Signal.CARBON:
                raise ZeroDivisionError("a model with a bug")
            return make_outlook(knowledge, zone, signal, *rest)

        monkeypatch.setattr(MAKE, broken)
        world.clock.advance(hours=6)
        learner = world.learn()
        [fault] = [f for s, f in world.service.core.state.faults.items() if s == LEARNING]
        assert "DE-LU carbon: ZeroDivisionError: a model with a bug" in fault
        assert world.service.health().status == "degraded"
        carbon, price = world.service.learnt()
        assert (carbon.made_for, price.made_for) == (good[0].made_for, T0 + 6 * HOUR), "the others go on"
        assert "a model with a bug" in carbon.note
        assert set(world.signal().source) == set(before.source), "the last good outlook is in use"
        assert learner.next_at(failed=True) == world.clock.now() + timedelta(minutes=10)
        assert self.observed(world, "failed") == 1
        monkeypatch.undo()
        world.learn()
        assert LEARNING not in world.service.core.state.faults
        assert world.service.learnt()[0].made_for == T0 + 6 * HOUR
        assert self.observed(world, "ok") == 2

    def test_with_none_before_plans_are_as_sources_say(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> Any:
            raise MemoryError("no room")

        monkeypatch.setattr(MAKE, broken)
        world.poll()
        world.learn()
        assert set(world.signal().source) == {"desk"}
        assert world.service.cycle().outcome == "published"
        assert all(v.made_for is None and "no room" in v.note for v in world.service.learnt())

    def test_what_cannot_be_put_on_record_is_used_all_the_same(self, world: World) -> None:
        world.poll()
        with world.database.write() as db:
            db.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON forecast_vintage BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        world.learn()
        assert "disk full" in world.service.core.state.faults[LEARNING]
        assert set(world.signal().source) == {"desk+our models"}
        world.learn()
        assert "disk full" in world.service.core.state.faults[LEARNING], "it is owed still"
        with world.database.write() as db:
            db.exec_driver_sql("DROP TRIGGER full")
        world.learn()
        assert LEARNING not in world.service.core.state.faults
        assert len(world.service.core.forecasts.vintages(source=PLANNED_BY)) == len(PLANNED)

    def test_one_that_cannot_be_put_on_record_holds_up_no_other(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(planned: Any, outlook: Any, *rest: Any) -> Any:
            if outlook.signal is PLANNED[0]:
                raise ZeroDivisionError("a bug")
            return as_planned(planned, outlook, *rest)

        monkeypatch.setattr("shifter.learning.as_planned", broken)
        world.poll()
        world.learn()
        kept = world.service.core.forecasts.vintages(source=PLANNED_BY)
        assert {v.signal for v in kept} == {*PLANNED[1:]}
        fault = world.service.core.state.faults[LEARNING]
        assert f"what {ZONE} {PLANNED[0]} was planned by is not on record: ZeroDivisionError: a bug" in fault
        monkeypatch.undo()
        world.learn()
        assert LEARNING not in world.service.core.state.faults
        assert len(world.service.core.forecasts.vintages(source=PLANNED_BY)) == len(PLANNED)

    def test_a_rate_that_is_missing_is_named(self, files: Path, clock: ManualClock) -> None:
        pounds = [{**s, "options": {**s["options"], "currency": "GBP"}} for s in sources(files)]
        world = World(files, clock, sources=pounds, fx={"GBP": 2.0})
        world.poll()
        world.lessons.begin()
        world.jobs["learn"][2][0]._fx = {}
        world.run("learn")
        fault = world.service.core.state.faults[LEARNING]
        assert "forecasts.fx: no rate says what GBP are worth." in fault
        world.database.close()

    @pytest.mark.parametrize("where", ["_outlooks.at", "core.replan"])
    def test_whatever_breaks_it_is_told_and_tried_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        def broken(*_: Any) -> Any:
            raise ZeroDivisionError("a bug where nobody looked")

        world.poll()
        world.lessons.begin()
        learner, (part, name) = world.jobs["learn"][2][0], where.split(".")
        monkeypatch.setattr(getattr(learner, part), name, broken)
        world.run("learn")
        assert "a bug where nobody looked" in world.service.core.state.faults[LEARNING]
        assert 0 < world.jobs["learn"][0] <= 600, "and the next comes sooner than the next anchor"
        monkeypatch.undo()
        world.run("learn")
        assert LEARNING not in world.service.core.state.faults
        assert "learn" in world.jobs

    def test_a_store_that_is_gone_stops_nothing(self, world: World, files: Path) -> None:
        world.poll()
        world.learn()
        for file in files.glob("shifter.db*"):
            file.unlink()
        before = world.service.learnt()
        world.clock.advance(hours=6)
        world.learn()
        assert set(world.service.core.state.faults) == {"database"}, (
            "which is told once, and over when it is back"
        )
        assert world.service.learnt() == before
        assert self.observed(world, "failed") == 1

    def test_a_stop_ends_it(self, world: World) -> None:
        world.poll()
        world.lessons.stop()
        world.learn()
        assert not world.service.core.forecasts.vintages(source=PLANNED_BY)

    @staticmethod
    def observed(world: World, outcome: str) -> float:
        registry = world.service.core.metrics.registry
        return registry.get_sample_value("shifter_learning_duration_seconds_count", {"outcome": outcome}) or 0


def test_it_rests_as_long_as_it_took(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that was: it never takes more than half of the time. But for the first time, for which the first
    plan waits.
    """
    now_s = [0.0]
    rests: list[float] = []

    def slow(*args: Any) -> Any:
        now_s[0] += 30.0
        return make_outlook(*args)

    monkeypatch.setattr(MAKE, slow)
    monkeypatch.setattr("shifter.learning.REST_RATIO", 1.0)
    monkeypatch.setattr("shifter.learning.time.monotonic", lambda: now_s[0])
    world.poll()
    world.lessons.begin()
    monkeypatch.setattr(world.jobs["learn"][2][0]._stopped, "wait", rests.append)
    world.run("learn")
    assert rests == []
    world.clock.advance(hours=6)
    world.run("learn")
    assert rests == [30.0] * len(PLANNED)


def test_what_no_plan_waits_for_rests_from_the_first_time_on(
    files: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    world = World(files, clock, sources=sources(files), learn="shadow", candidate={"past_days": 30})
    world.poll()
    world.lessons.begin()
    for job in ("learn", "learn-candidate"):
        monkeypatch.setattr(world.jobs[job][2][0]._stopped, "wait", rests.append)
        world.run(job)
    assert len(rests) == 2 * len(PLANNED)
    world.database.close()


def test_one_that_broke_was_the_first_time_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first plan waits for it once."""
    rests: list[float] = []
    world.poll()
    world.lessons.begin()
    learner = world.jobs["learn"][2][0]
    monkeypatch.setattr(learner._stopped, "wait", rests.append)
    with monkeypatch.context() as broken:
        broken.setattr(learner, "_make_all", lambda *_: 1 / 0)
        world.run("learn")
    world.run("learn")
    assert len(rests) == len(PLANNED)


def test_how_old_an_outlook_is_can_be_watched(world: World) -> None:
    world.poll()
    world.learn()
    world.clock.advance(hours=2)
    ages = {labels["signal"]: v for name, _, labels, v in gauges(world.service.core) if "outlook_age" in name}
    assert ages == {"price": 7500.0, "carbon": 7500.0}


def test_history_is_told_of_once(world: World) -> None:
    world.poll()
    told = [
        e for e in world.service.events() if e.kind is EventKind.FORECAST_INGESTED and "history" in e.data
    ]
    assert sorted((e.data["source"], *e.data["series"]) for e in told) == [
        (name, f"{name}:{ZONE}:{signal}") for name in ("desk", "meter") for signal in ("carbon", "price")
    ]
    assert all(e.data["history"] > 30 for e in told)
    world.clock.advance(minutes=5)
    world.poll()
    assert len([e for e in world.service.events() if "history" in e.data]) == len(told)


def test_the_frame_of_the_store_alone_knows_nothing_of_it(world: World) -> None:
    """What `learn` adds is added by it alone: the same store, read without, is as the sources say."""
    world.poll()
    world.learn()
    slots = SlotGrid.covering(T0, 24 * HOUR, 60)
    plain = frame_from_store(
        Heeded(world.service.core.forecasts), slots, as_of=world.clock.now(), zones=[ZONE], currency="EUR"
    )
    carbon = plain.get(ZONE, Signal.CARBON)
    assert carbon is not None
    assert set(carbon.source) == {"desk"}
