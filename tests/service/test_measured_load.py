"""Real-time load from telemetry: kept as steps, learnt from, held in plans, and careful where little is known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import delete, select

from forecasts.slots import SlotGrid, isoformat_z
from shifter.clock import ManualClock
from shifter.cycle import plan_cycle
from shifter.domain.grid_event import most_kw
from shifter.errors import InputError
from shifter.files import read_known_realtime
from shifter.measuring import LOAD_FORECAST, MeasuredLoads, learn_load
from shifter.planner import InProcessPlanner
from shifter.realtime.announced import AnnouncedLoad
from shifter.realtime.calendar import Calendar
from shifter.realtime.measured import step_of
from shifter.service import Service
from shifter.store import loads
from shifter.store import tables as t
from shifter.store.db import Database
from shifter.views import TelemetrySample
from tests.service.world import FLEET, HOUR, POOL, T0, config, frame, job

NOW = T0 + timedelta(milliseconds=20)
MINUTE = timedelta(minutes=1)
BERLIN = {"fra": Calendar.of(ZoneInfo("Europe/Berlin"))}


class World:
    """A service whose real-time load is measured, on a clock that is moved by hand."""

    def __init__(self, url: str, **options: object) -> None:
        self.clock = ManualClock(NOW)
        database = Database(url)
        database.upgrade()
        self.measured = MeasuredLoads(FLEET, self.clock, database, BERLIN, **options)  # type: ignore[arg-type]
        self.service = Service(
            config(admission_wait_s=0),
            FLEET,
            database,
            self.clock,
            frame=frame,
            realtime=self.measured,
            planner=InProcessPlanner(),
        )
        self.service.heartbeat()

    def post(self, *samples: tuple[datetime, float]) -> None:
        self.service.telemetry([TelemetrySample("fra", at, "h100", load) for at, load in samples], "meter")

    def live(self, days: float, every: timedelta = 15 * MINUTE) -> None:
        """Samples of the last days: 3 accelerators at night, 6 by day, a little noise."""
        n = int(timedelta(days=days) / every)
        noise = np.random.default_rng(1).normal(0, 0.1, n)
        at = [self.clock.now() - (i + 1) * every for i in range(n)]
        self.post(
            *((m, 4.5 - 1.5 * np.cos((m.hour - 2) / 12 * np.pi) + e) for m, e in zip(at, noise, strict=True))
        )

    def held(self, hours: int = 24) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], str]:
        """The p99 by hour from now on, and its basis."""
        load = self.measured(SlotGrid.covering(self.clock.now(), hours * HOUR, 60))
        return load.at(POOL, 0.99), load.basis[POOL].words

    def steps(self) -> dict[int, float]:
        with self.service.core.db.read() as db:
            return dict(loads.steps(db, 0).get(POOL, {}))


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    made = World(sqlite_url)
    yield made
    made.service.core.db.close()


def test_nothing_measured_holds_the_whole_pool(world: World) -> None:
    held, basis = world.held()
    assert np.all(held == 16)
    assert basis == "nothing measured yet: the whole pool is held"
    world.service.cycle()
    assert {row.reserved for row in world.service.plan().slots} == {16.0}


def test_two_weeks_of_samples_hold_what_they_show_and_a_plan_can_be_made_again(world: World) -> None:
    world.service.core.config = config(admission_wait_s=0, telemetry_days=40)
    world.live(20)
    learn_load(world.service.core, world.measured)
    held, basis = world.held()
    assert basis == "forecast from 20.0 days measured"
    assert 5.5 < held.max() < 8
    assert held.min() < 4.5
    world.service.submit([job(hours=40, width=6)], "ann")
    world.service.cycle()
    plan = world.service.plan()
    assert max(row.realtime_q for row in plan.slots) == pytest.approx(held[:24].max(), abs=0.3)
    again = plan_cycle(world.service.plan_inputs(plan.plan_id))
    assert (again.slots, again.allocations, again.cost) == (plan.slots, plan.allocations, plan.cost)


def test_less_of_the_prior_is_held_as_days_come(world: World) -> None:
    world.live(5)
    held, basis = world.held()
    assert held == pytest.approx(np.maximum(held, 16 * 2 / 6))
    assert basis == "forecast from 5.0 days measured; no less than 33 % of the whole pool"


def test_late_duplicated_and_disordered_samples_make_the_same_steps(
    database_url: str, tmp_path: Path
) -> None:
    one, other = World(database_url), World(f"sqlite:///{tmp_path / 'other.db'}")
    given = [(NOW - i * 100 * timedelta(seconds=1), float(i % 7)) for i in range(1, 200)]
    one.post(*given)
    for part in (given[150:], given[:100][::-1], given[50:], given[:1]):
        other.post(*part)
    assert one.steps() == other.steps()
    assert len(one.steps()) == len({step_of(at) for at, _ in given})
    one.measured.learn()
    other.measured.learn()
    assert np.array_equal(one.held()[0], other.held()[0])
    for world in (one, other):
        world.service.core.db.close()


def test_a_sample_that_comes_days_late_raises_its_step(world: World) -> None:
    late = NOW - timedelta(days=6)
    world.post((NOW, 4.0), (late, 3.0))
    world.measured.learn()
    world.post((late, 5.0))
    world.post((late, 1.0))
    assert world.steps() == {step_of(NOW): 4.0, step_of(late): 5.0}
    world.measured.learn()
    assert world.held()[1].startswith("forecast from 0.1 days")


def test_what_is_absurd_is_refused_by_its_field_and_nothing_is_kept(world: World) -> None:
    with pytest.raises(InputError, match="161 is no load of 16 accelerators") as caught:
        world.post((NOW, 4.0), (NOW, 161.0))
    assert caught.value.field == "[1].realtime_accelerators"
    assert world.steps() == {}
    world.post((NOW, 0.0), (NOW - 5 * MINUTE, 160.0))
    assert world.steps() == {step_of(NOW): 0.0, step_of(NOW - 5 * MINUTE): 160.0}


def test_more_hardware_than_the_pool_has_is_refused_with_what_to_do_and_nothing_is_kept(world: World) -> None:
    made = world.service
    with pytest.raises(InputError, match="there cannot be 17 of 16 accelerators") as caught:
        made.telemetry(
            [
                TelemetrySample("fra", NOW, "h100", 4.0),
                TelemetrySample("fra", NOW, "h100", available_accelerators=17),
            ],
            "meter",
        )
    assert caught.value.field == "[1].available_accelerators"
    assert "raise its count in the fleet file" in caught.value.hint
    assert world.steps() == {}
    made.telemetry([TelemetrySample("fra", NOW, "h100", available_accelerators=16)], "meter")
    assert made.capacity("fra", "h100").available_accelerators == 16


def test_an_import_that_the_site_could_not_draw_is_refused_and_counts_for_no_peak(world: World) -> None:
    made, fleet = world.service, world.service.core.fleet
    most = most_kw(fleet.sites[0])
    with pytest.raises(InputError, match=r"is no import of a site that draws .* kW at the most") as caught:
        made.telemetry([TelemetrySample("fra", NOW, import_kw=1000 * most)], "meter")
    assert caught.value.field == "[0].import_kw"
    made.telemetry([TelemetrySample("fra", NOW, import_kw=2 * most)], "meter")  # what else is there


def test_silence_holds_the_last_forecast_and_widens_it(world: World) -> None:
    world.service.core.config = config(telemetry_days=40)
    world.live(20)
    world.measured.learn()
    before, _ = world.held(48)
    world.clock.advance(hours=12)
    world.measured.learn()
    after, basis = world.held(36)
    assert np.all(after >= before[12:] - 1e-9)
    assert after.mean() > before[12:].mean() + 0.1
    assert "silent since 2026-01-09T23:50:00Z: the last forecast is held, 51 % wider" in basis
    world.clock.advance(hours=24 * 3)
    world.measured.learn()
    assert np.all(world.held(24)[0] >= after[:24].min())


def test_the_level_of_the_last_hour_is_seen_without_learning_anew(world: World) -> None:
    world.service.core.config = config(telemetry_days=40)
    world.live(20)
    world.measured.learn()
    before, _ = world.held()
    world.clock.advance(hours=1)
    world.post(*((world.clock.now() - i * 5 * MINUTE, 8.0) for i in range(12)))
    after, _ = world.held(23)
    assert after[1] > before[2] + 1
    assert after[20] - before[21] < after[1] - before[2]


def test_a_clock_that_is_set_back_neither_doubles_nor_uses_what_is_still_to_come(world: World) -> None:
    world.service.core.config = config(telemetry_days=40)
    world.live(10)
    world.post((NOW, 12.0))
    steps = world.steps()
    world.clock.advance(hours=-2)
    world.measured.learn()
    held, _ = world.held()
    world.post((world.clock.now() - 15 * MINUTE, 3.0))
    assert len(world.steps()) == len(steps)
    world.measured.learn()
    assert np.isfinite(held).all()
    assert world.held()[0][:1].max() < 12.5


def test_a_clock_that_was_a_year_ahead_for_a_while_costs_no_history(world: World) -> None:
    world.service.core.config = config(telemetry_days=40)
    world.live(20)
    world.measured.learn()
    held, basis = world.held()
    world.clock.advance(hours=24 * 365)
    world.measured.learn()
    assert world.held()[1] == "nothing measured yet: the whole pool is held", "of 90 days nothing is left"
    world.clock.advance(hours=-24 * 365)
    world.measured.learn()
    assert world.held()[1] == basis
    assert np.array_equal(world.held()[0], held)


def test_what_was_measured_before_there_were_steps_is_made_into_steps(world: World) -> None:
    world.live(3)
    steps = world.steps()
    with world.service.core.db.write() as db:
        db.execute(delete(t.load_steps))
    learn_load(world.service.core, world.measured)
    assert world.steps() == steps
    assert len(steps) == 288


def test_what_is_forecast_is_put_down_every_three_hours(world: World) -> None:
    world.live(3)
    for _ in range(7):
        learn_load(world.service.core, world.measured)
        world.clock.advance(hours=1)
    with world.service.core.db.read() as db:
        said = loads.said_since(db, T0)
        assert loads.newest_said_at(db) == NOW + 6 * HOUR
    assert [one.made_at for one in said] == [NOW, NOW + 3 * HOUR, NOW + 6 * HOUR]
    assert (said[0].quantile, said[0].slot_steps, len(said[0].accelerators)) == (0.99, 6, 96)
    assert said[0].first_step == step_of(T0 + 30 * MINUTE)
    assert max(said[0].accelerators) <= 16


def test_steps_outlive_samples_and_are_forgotten_in_the_end(world: World) -> None:
    world.live(2)
    learn_load(world.service.core, world.measured)
    world.clock.advance(hours=24 * 30)
    world.service.prune()
    with world.service.core.db.read() as db:
        assert db.execute(select(t.telemetry)).first() is None
        assert len(loads.said_since(db, T0)) == 1
    assert len(world.steps()) == 192
    world.clock.advance(hours=24 * 400)
    assert world.service.prune()["load_steps"] == 192
    with world.service.core.db.read() as db:
        assert loads.said_since(db, T0) == []


def test_a_fault_of_learning_is_told_and_planning_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.live(2)
    learn_load(world.service.core, world.measured)
    with monkeypatch.context() as patch:
        patch.setattr(world.measured, "learn", lambda: 1 / 0)
        learn_load(world.service.core, world.measured)
    assert LOAD_FORECAST in world.service.core.state.faults
    world.service.cycle()
    assert world.service.plan().slots
    learn_load(world.service.core, world.measured)
    assert LOAD_FORECAST not in world.service.core.state.faults


def test_a_prior_of_a_file_holds_and_the_whole_pool_beyond_it(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "realtime.csv"
    rows = f"fra,h100,{isoformat_z(T0)},{isoformat_z(T0 + 6 * HOUR)},4,6\n"
    file.write_text(f"site,pool,start,end,accelerators_p50,accelerators_p99\n{rows}")
    clock = ManualClock(NOW)
    world = World(
        sqlite_url,
        prior=lambda grid: read_known_realtime(file, grid, FLEET, clock.now()),
        prior_name="realtime.csv",
    )
    world.clock = world.measured._clock = world.service.core.clock = clock
    held, basis = world.held()
    assert list(held) == [6.0] * 6 + [16.0] * 18
    assert basis == "nothing measured yet: realtime.csv is held"
    world.clock.advance(hours=7)
    held, basis = world.held()
    assert np.all(held == 16)
    assert basis.startswith("nothing measured yet: the whole pool (realtime.csv cannot be used: ")


def test_what_is_announced_is_held_and_holidays_are_known(sqlite_url: str) -> None:
    launch = AnnouncedLoad("launch", T0 + 4 * HOUR, T0 + 6 * HOUR, factor=1.5, site="fra")
    world = World(sqlite_url, announced=[launch])
    world.service.core.config = config(telemetry_days=40)
    world.live(20)
    held, basis = world.held()
    assert held[4] > 1.3 * held[3]
    assert basis.endswith("; announced: launch, x 1.5")
    assert Calendar.of(ZoneInfo("UTC"), [date(2026, 1, 10)]).holidays == {date(2026, 1, 10)}


def test_right_now_no_less_is_held_than_was_measured_and_it_counts_once(world: World) -> None:
    world.service.core.config = config(telemetry_days=40)
    world.live(20)
    world.post((NOW, 14.0))
    world.service.cycle()
    first = world.service.plan().slots[0]
    assert first.realtime_q == pytest.approx(14)
    assert world.service.plan().slots[1].realtime_q < 9, "one sample is no level"
