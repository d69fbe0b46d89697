"""A candidate setting beside the live one: on record, scored and told of as that is, and nothing is planned by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasts.heeded import CANDIDATE, MODELS_ALONE, PLANNED_BY
from forecasts.learning import Learning
from forecasts.outlook import make_outlook
from forecasts.own import as_planned
from forecasts.series import PLANNED, ForecastSeries, Signal
from shifter.candidate import NOTHING_BESIDE, Candidate
from shifter.clock import ManualClock
from tests.daemon import grid
from tests.daemon.test_learning import MAKE, World, sources
from tests.daemon.world import daemon, until

T0 = datetime(2026, 1, 10, tzinfo=UTC)
T0_TEXT = "2026-01-10T00:00:00Z"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = "DE-LU"
TRIED = {"weigh_sources": False, "past_days": 30}
JOB = "learn-candidate"

Make = Callable[..., World]


@pytest.fixture(autouse=True)
def _without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shifter.learning.REST_RATIO", 0.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0 + timedelta(minutes=5))


@pytest.fixture
def make(tmp_path: Path, clock: ManualClock) -> Iterator[Make]:
    """Makes worlds that know the same: 40 days of what came, and of what a desk forecast."""
    made: list[World] = []

    def one(name: str = "a", **forecasts: Any) -> World:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            grid.both(folder, ZONE, T0 - 40 * DAY, T0)
        made.append(World(folder, clock, sources=sources(folder), **forecasts))
        return made[-1]

    yield one
    for world in made:
        world.database.close()


def said(world: World, source: str = CANDIDATE, signal: Signal = Signal.CARBON) -> ForecastSeries | None:
    return world.service.core.forecasts.latest(f"{source}:{ZONE}:{signal}", world.clock.now())


def same(mine: Any, theirs: Any) -> bool:
    """Values and quantiles."""
    return (
        np.array_equal(mine.values, theirs.values)
        and mine.quantiles.keys() == theirs.quantiles.keys()
        and all(np.array_equal(mine.quantiles[p], theirs.quantiles[p]) for p in mine.quantiles)
    )


class TestBeside:
    def test_what_would_have_been_planned_by_is_what_a_daemon_with_it_in_force_plans_by(
        self, make: Make
    ) -> None:
        """The strongest thing to say of a shadow: it is what would have been."""
        beside, live = make("a", candidate=TRIED), make("b", learning=TRIED)
        for world in (beside, live):
            world.poll()
            world.learn()
        beside.run(JOB)
        for signal in PLANNED:
            mine, theirs, present = (
                said(w, source, signal)
                for w, source in ((beside, CANDIDATE), (live, PLANNED_BY), (beside, PLANNED_BY))
            )
            assert mine is not None
            assert theirs is not None
            assert present is not None
            assert same(mine, theirs)
            assert not same(mine, present), "other rules lead to something else"
            assert (mine.issued_at, mine.known_at, mine.unit) == (T0, present.known_at, present.unit)
            assert np.array_equal(mine.start, present.start)
            assert mine.attribution == present.attribution
        assert not beside.service.core.state.faults

    def test_nothing_is_planned_by_it_nor_made_of_it(self, make: Make) -> None:
        beside, plain = make("a", candidate=TRIED), make("b")
        asked: list[str] = []
        beside.service.core.replan = asked.append
        for _ in range(2):
            for world in (beside, plain):
                world.poll()
                world.learn()
            beside.run(JOB)
            for signal in PLANNED:
                assert same(beside.signal(signal), plain.signal(signal))
                assert same(said(beside, PLANNED_BY, signal), said(plain, PLANNED_BY, signal))
                assert same(said(beside, MODELS_ALONE, signal), said(plain, MODELS_ALONE, signal))
            beside.clock.advance(days=1)
        assert asked.count("learnt") == 2, "once for the live one of each day"
        told = beside.service.forecasts(ZONE)["signals"]
        assert not any("shifter" in r["source"] for s in told for r in s["provenance"])

    def test_the_first_plan_is_made_before_its_first_turn(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It would take half of what that has. What is learnt meanwhile does not bring it forward, nor put it off."""
        now_s = [1000.0]
        monkeypatch.setattr("shifter.lessons.time.monotonic", lambda: now_s[0])
        world = make(candidate=TRIED)
        world.poll()
        world.learn()
        assert world.jobs[JOB][0] == 60
        now_s[0] += 45
        world.run("learn")
        assert world.jobs[JOB][0] == 15
        now_s[0] += 15
        world.run(JOB)
        assert said(world) is not None
        world.run("learn")
        assert world.jobs[JOB][0] == 0, "from then on it follows at once"

    def test_a_daemon_runs_it_by_itself(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = make()
        world.poll()
        world.database.close()
        monkeypatch.setattr("shifter.lessons.FIRST_TRIAL_WAIT_S", 0.5)
        folder = tmp_path / "a"
        made = daemon(folder, forecasts={"sources": sources(folder), "history_days": 0, "candidate": TRIED})
        made.start()
        try:
            store = made.service.core.forecasts
            until(lambda: len(store.vintages(source=CANDIDATE)) == len(PLANNED))
            assert len(store.vintages(source=PLANNED_BY)) == len(PLANNED)
            assert not made.service.core.state.faults
        finally:
            made.stop()

    def test_it_costs_nothing_where_it_is_not_set(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[Learning] = []

        def watched(*args: Any) -> Any:
            made.append(args[5])
            return make_outlook(*args)

        monkeypatch.setattr(MAKE, watched)
        world = make()
        world.poll()
        world.learn()
        assert JOB not in world.jobs
        assert made == [Learning()] * len(PLANNED)
        assert said(world) is None
        assert [v.name for v in world.service.learnt()] == [PLANNED_BY] * len(PLANNED)

    def test_with_learning_off_it_rests_too(self, make: Make) -> None:
        world = make(learn="off", candidate=TRIED)
        world.poll()
        world.lessons.begin()
        assert not world.jobs

    def test_beside_what_is_itself_in_shadow(self, make: Make) -> None:
        world = make(learn="shadow", candidate=TRIED)
        world.poll()
        before = world.signal()
        world.learn()
        world.run(JOB)
        assert same(world.signal(), before)
        assert said(world) is not None
        assert said(world, PLANNED_BY) is not None


class TestKnowsAsMuch:
    """It is made later than the live one, and may have learnt nothing meanwhile."""

    def test_what_came_in_between_is_not_in_it(self, make: Make, tmp_path: Path) -> None:
        late, prompt = make("a", candidate=TRIED), make("b", candidate=TRIED)
        for world in (late, prompt):
            world.poll()
            world.learn()
        prompt.run(JOB)
        before = late.signal()
        text = (tmp_path / "a" / "desk.csv").read_text().splitlines()
        rows = [row.replace(T0_TEXT, "2026-01-10T00:06:00Z", 1).split(",") for row in text[-35:]]
        higher = [",".join([*row[:5], f"{float(row[5]) + 20:.1f}", row[6]]) for row in rows]
        (tmp_path / "a" / "desk.csv").write_text("\n".join([*text, *higher]))
        late.clock.advance(minutes=5)
        late.poll()
        assert np.all(late.signal().values[1:] > before.values[1:] + 2), "what is planned by heeds it"
        late.run(JOB)
        mine, theirs = said(late), said(prompt)
        assert mine is not None
        assert theirs is not None
        assert same(mine, theirs)
        assert mine.known_at == late.clock.now()

    def test_it_waits_until_the_live_one_is_on_record(self, make: Make) -> None:
        world = make(candidate=TRIED)
        world.poll()
        with world.database.write() as db:
            db.exec_driver_sql(
                "CREATE TRIGGER full BEFORE INSERT ON forecast_vintage BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        world.learn()
        with world.database.write() as db:
            db.exec_driver_sql("DROP TRIGGER full")
        world.run(JOB)
        assert said(world) is None
        assert JOB not in world.jobs, "which is no failure of it"
        world.learn()
        world.run(JOB)
        mine, live = said(world), said(world, PLANNED_BY)
        assert mine is not None
        assert live is not None
        assert mine.known_at == live.known_at

    def test_where_all_is_known_already_it_says_that_there_is_nothing_to_be_held_against(
        self, make: Make, tmp_path: Path
    ) -> None:
        world = make(candidate=TRIED)
        desk = tmp_path / "a" / "desk.csv"
        last = f"{ZONE},{T0_TEXT},"  # what it says now, as an auction's result
        rows = desk.read_text().splitlines()
        desk.write_text(
            "\n".join(r.replace("forecast", "cleared") if r.startswith(last) else r for r in rows)
        )
        world.poll()
        world.learn()
        world.run(JOB)
        assert said(world) is said(world, PLANNED_BY) is None
        assert JOB not in world.jobs, "which is no failure of it"
        assert not world.service.core.state.faults
        views = world.service.learnt()
        assert {v.note for v in views if v.name == CANDIDATE} == {NOTHING_BESIDE}
        assert {v.note for v in views if v.name == PLANNED_BY} == {""}
        assert all(v.made_for == T0 for v in views), "it has learnt all the same"
        grid.meter(tmp_path / "a" / "meter.csv", ZONE, T0 - 40 * DAY, T0 + 2 * DAY)
        grid.desk(desk, ZONE, T0 - 40 * DAY, T0 + 2 * DAY, error=15)
        world.clock.advance(days=2)
        world.poll()
        world.learn()
        world.run(JOB)
        assert said(world) is not None
        assert all(not v.note for v in world.service.learnt()), "and no longer, once there is something"

    def test_once_an_anchor_also_over_a_restart(self, make: Make) -> None:
        for _ in range(2):
            again = make(candidate=TRIED)
            again.poll()
            for _ in range(2):
                again.learn()
                again.run(JOB)
            again.clock.advance(hours=1)
        world = make()
        assert len(world.service.core.forecasts.vintages(source=CANDIDATE)) == len(PLANNED)

    def test_an_archive_is_news_to_it_too(self, make: Make, tmp_path: Path) -> None:
        world = make(candidate=TRIED)
        world.learn()
        world.run(JOB)
        assert all(v.made_for is None for v in world.service.learnt()), "nothing is known yet"
        world.poll()
        world.learn()
        world.run(JOB)
        assert all(v.made_for == T0 for v in world.service.learnt())


class TestTold:
    @pytest.fixture
    def world(self, make: Make) -> World:
        world = make(candidate=TRIED)
        world.poll()
        world.learn()
        world.run(JOB)
        return world

    def test_what_it_learnt_stands_after_what_the_live_one_did(self, world: World) -> None:
        views = world.service.learnt(ZONE)
        assert [(v.signal, v.name, v.planned_by) for v in views] == [
            (signal, name, name == PLANNED_BY)
            for signal in ("carbon", "price")
            for name in (PLANNED_BY, CANDIDATE)
        ]
        live, tried = views[:2]
        assert {part.name for part in live.sources} == {"desk", "our models"}
        assert {part.name for part in tried.sources} == {"our models"}, (
            "a source speaks alone where it speaks"
        )
        assert (live.rounds, tried.rounds) == (39, 30)

    def test_it_is_scored_and_marked(self, world: World, tmp_path: Path) -> None:
        folder = tmp_path / "a"
        for day in range(1, 4):
            world.clock.advance(days=1)
            grid.both(folder, ZONE, T0 - 40 * DAY, T0 + day * DAY)
            world.poll()
            world.learn()
            world.run(JOB)
        scores = {s.source: s for s in world.service.forecast_scores(ZONE, Signal.CARBON, 10).sources}
        assert {name: s.shadow for name, s in scores.items()} == {
            "desk": False,
            PLANNED_BY: False,
            MODELS_ALONE: False,
            CANDIDATE: True,
        }
        assert scores[CANDIDATE].outcomes_of == scores[PLANNED_BY].outcomes_of == "meter"
        assert scores[CANDIDATE].overall.point.n == scores[PLANNED_BY].overall.point.n
        assert scores[CANDIDATE].overall.bands.bands, "with the coverage of its bands"


class TestFailures:
    """Nothing that goes wrong with it touches what is live."""

    @staticmethod
    def live_is_well(world: World) -> None:
        assert not world.service.core.state.faults
        assert world.service.health().status != "degraded"
        assert set(world.signal().source) == {"desk+our models"}
        assert said(world, PLANNED_BY) is not None
        assert all(not v.note for v in world.service.learnt() if v.name == PLANNED_BY)

    def test_an_outlook(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*args: Any) -> Any:
            if args[5] != Learning():
                raise ZeroDivisionError("a model with a bug")
            return make_outlook(*args)

        monkeypatch.setattr(MAKE, broken)
        world = make(candidate=TRIED)
        world.poll()
        world.learn()
        world.run(JOB)
        self.live_is_well(world)
        notes = [v.note for v in world.service.learnt() if v.name == CANDIDATE]
        assert len(notes) == len(PLANNED)
        assert all("ZeroDivisionError: a model with a bug" in note for note in notes)
        assert said(world) is None
        assert 0 < world.jobs[JOB][0] <= 600, "it is tried again"
        monkeypatch.undo()
        world.run(JOB)
        assert said(world) is not None
        assert JOB not in world.jobs
        assert all(not v.note for v in world.service.learnt())

    def test_its_record(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(planned: Any, outlook: Any, *rest: Any) -> Any:
            if outlook.signal is PLANNED[0]:
                raise ZeroDivisionError("a bug")
            return as_planned(planned, outlook, *rest)

        monkeypatch.setattr("shifter.candidate.as_planned", broken)
        world = make(candidate=TRIED)
        world.poll()
        world.learn()
        world.run(JOB)
        self.live_is_well(world)
        kept = world.service.core.forecasts.vintages(source=CANDIDATE)
        assert {v.signal for v in kept} == {*PLANNED[1:]}, "one holds up no other"
        [note] = [v.note for v in world.service.learnt() if v.note]
        assert f"{ZONE} {PLANNED[0]}: ZeroDivisionError: a bug" in note
        monkeypatch.undo()
        world.run(JOB)
        assert len(world.service.core.forecasts.vintages(source=CANDIDATE)) == len(PLANNED)

    def test_whatever_it_is(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any) -> Any:
            raise ZeroDivisionError("a bug where nobody looked")

        world = make(candidate=TRIED)
        world.poll()
        world.learn()
        monkeypatch.setattr(Candidate, "_record", broken)
        world.run(JOB)
        self.live_is_well(world)
        assert 0 < world.jobs[JOB][0] <= 600

    def test_a_stop_ends_it(self, make: Make) -> None:
        world = make(candidate=TRIED)
        world.poll()
        world.learn()
        world.lessons.stop()
        world.run(JOB)
        assert said(world) is None
        assert JOB not in world.jobs
