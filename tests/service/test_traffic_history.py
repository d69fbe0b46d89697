"""What arrived is kept by model, and the history is in today's accelerators when the fleet sizes it otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from forecasts.slots import SlotGrid
from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet, Model
from shifter.domain.serving import LatencySlo, MeasuredRate, Serving
from shifter.measuring import MeasuredLoads, learn_load
from shifter.realtime.calendar import Calendar
from shifter.realtime.measured import step_of
from shifter.service import Service
from shifter.service.anew import Anew, sized_anew, sizings
from shifter.service.sized import arrived, sized, sizing_of
from shifter.store import loads, traffic
from shifter.store.db import Database
from shifter.store.traffic import SizedTraffic
from shifter.views import ModelTraffic, TelemetrySample
from tests.service.test_traffic import CHAT, PROFILE, SERVED, TABLE
from tests.service.world import FLEET, HOUR, POOL, T0, config, frame, service

MINUTE = timedelta(minutes=1)
BERLIN = {"fra": Calendar.of(ZoneInfo("Europe/Berlin"))}
SLOWER = replace(CHAT, serving={"H100": Serving(replace(PROFILE, base_ms=25.0, ms_per_sequence=1.2))})


def fleet(*models: Model) -> Fleet:
    return replace(FLEET, sites=(replace(FLEET.sites[0], pools=(BIG,)),), models=(*FLEET.models, *models))


BIG = replace(FLEET.sites[0].pools[0], count=400)
THEN, NOW = fleet(CHAT, TABLE), fleet(SLOWER, TABLE)


def chat(rate: float, prompt: float = 500.0, output: float = 100.0) -> ModelTraffic:
    return ModelTraffic("chat", rate, prompt, output)


def embed(rate: float) -> ModelTraffic:
    return ModelTraffic("embed", rate, 30.0, 1.0)


def sample(at: datetime, *models: ModelTraffic, **given_: Any) -> TelemetrySample:
    return TelemetrySample("fra", at, "h100", traffic=models, **given_)


def days(n: float) -> list[TelemetrySample]:
    """A wave of two models, every quarter of an hour before T0; lengths differ each time."""
    noise = np.random.default_rng(1)
    at = [T0 - (i + 1) * 15 * MINUTE for i in range(int(n * 96))]
    return [
        sample(m, chat(30 - 20 * float(np.cos(m.hour / 12 * np.pi)), 490 + 20 * noise.random()), embed(50.0))
        for m in at
    ]


def forecast(measured: MeasuredLoads) -> np.ndarray[Any, Any]:
    load = measured(SlotGrid.covering(T0, 24 * HOUR, 60))
    return np.stack([load.at(POOL, p) for p in (0.5, 0.99)])


class World:
    def __init__(self, url: str, of: Fleet) -> None:
        self.clock = ManualClock(T0)
        self.database = Database(url)
        self.database.upgrade()
        self.measured = MeasuredLoads(of, self.clock, self.database, BERLIN)
        self.service = Service(
            config(telemetry_days=40), of, self.database, self.clock, frame=frame, realtime=self.measured
        )
        self.service.heartbeat()

    def post(self, samples: Sequence[TelemetrySample]) -> None:
        self.service.telemetry(samples, "meter")

    def peaks(self) -> dict[int, float]:
        with self.database.read() as db:
            return dict(loads.steps(db, 0).get(POOL, {}))

    def arrived(self) -> dict[int, tuple[SizedTraffic, ...]]:
        with self.database.read() as db:
            return {step: models for (_, _, step), models in traffic.steps(db, 0, 2**31 - 1).items()}


@pytest.fixture
def then(sqlite_url: str) -> Iterator[World]:
    made = World(sqlite_url, THEN)
    yield made
    made.database.close()


def test_it_is_kept_beside_the_accelerators_and_adds_up_to_them(database_url: str) -> None:
    made = World(database_url, THEN)
    made.post(
        [
            sample(T0, chat(4.0)),
            sample(T0 - MINUTE, chat(20.0), embed(100.0)),
            sample(T0 - 2 * MINUTE, embed(1.0)),
        ]
    )
    made.post([sample(T0 - 4 * MINUTE, chat(90.0))])
    kept, peaks = made.arrived(), made.peaks()
    assert {step: traffic.accelerators(models) for step, models in kept.items()} == peaks
    assert [m.traffic for m in kept[step_of(T0 - MINUTE)]] == [chat(90.0)]
    assert {m.sizing for m in kept[step_of(T0)]} <= sizings(THEN)
    made.database.close()


def test_of_drills_and_of_accelerators_that_were_told_nothing_is_kept(then: World) -> None:
    seen: list[str] = []
    event.listen(then.database.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
    then.post([TelemetrySample("fra", T0, "h100", 3.0), TelemetrySample("fra", T0, import_kw=9.0)])
    then.post([sample(T0, chat(4.0), drill=True)])
    assert any("load_steps" in statement for statement in seen)
    assert not [statement for statement in seen if "load_traffic" in statement], (
        "nor is anything asked for it"
    )
    assert then.arrived() == {}


def test_one_that_is_refused_leaves_nothing_of_the_others(then: World) -> None:
    with pytest.raises(Exception, match="chad"):
        then.post([sample(T0, chat(4.0)), sample(T0, replace(chat(4.0), model="chad"))])
    assert then.arrived() == {}


def test_a_forecast_follows_a_profile_as_if_it_had_always_been_so(then: World, tmp_path: Path) -> None:
    then.post(days(10))
    before = forecast(then.measured)
    changed = MeasuredLoads(NOW, then.clock, then.database, BERLIN)
    always = World(f"sqlite:///{tmp_path / 'always.db'}", NOW)
    always.post(days(10))
    assert always.peaks() != then.peaks()
    assert np.array_equal(forecast(changed), forecast(always.measured))
    assert forecast(changed).mean() > 1.3 * before.mean()
    # What comes after the learning, too, which is read anew with each forecast.
    then.post([sample(T0, chat(70.0))])  # by the old fleet, a moment before the restart
    always.post([sample(T0, chat(70.0))])
    assert np.array_equal(forecast(changed), forecast(always.measured))
    changed.learn()
    always.measured.learn()
    assert np.array_equal(forecast(changed), forecast(always.measured))
    always.database.close()


def test_steps_without_traffic_and_models_that_are_gone_stand(then: World) -> None:
    then.post([sample(T0, chat(30.0), embed(100.0)), TelemetrySample("fra", T0 - HOUR, "h100", 7.0)])
    peaks = then.peaks()
    for of, expected in ((fleet(TABLE), Anew(0, 1)), (fleet(), Anew(0, 1)), (THEN, Anew())):
        with then.database.read() as db:
            stale = traffic.sized_otherwise(db, 0, sizings(of))
            found, anew = sized_anew(of, loads.steps(db, 0), stale)
        assert (dict(found[POOL]), anew) == (peaks, expected)


def test_what_an_objective_no_longer_allows_stands(then: World) -> None:
    then.post([sample(T0, chat(30.0)), sample(T0 - HOUR, chat(30.0, output=10.0))])
    strict = fleet(replace(CHAT, latency_slo=LatencySlo(latency_ms=500, quantile=0.95)), TABLE)
    with then.database.read() as db:
        found, anew = sized_anew(strict, loads.steps(db, 0), traffic.sized_otherwise(db, 0, sizings(strict)))
    assert anew == Anew(1, 1), "an answer of ten tokens can be in time, one of a hundred cannot"
    assert found[POOL][step_of(T0)] == then.peaks()[step_of(T0)]


def test_a_step_falls_no_lower_than_what_was_told_in_accelerators(then: World) -> None:
    faster = fleet(
        replace(CHAT, serving={"H100": Serving(replace(PROFILE, base_ms=1.0, ms_per_sequence=0.1))})
    )
    then.post([sample(T0, chat(60.0)), TelemetrySample("fra", T0, "h100", then_needs(60.0) + 1.0)])
    then.post([sample(T0 - HOUR, chat(60.0))])
    with then.database.read() as db:
        found, _ = sized_anew(faster, loads.steps(db, 0), traffic.sized_otherwise(db, 0, sizings(faster)))
    assert found[POOL][step_of(T0)] == then_needs(60.0) + 1.0
    assert found[POOL][step_of(T0 - HOUR)] < then_needs(60.0)


def then_needs(rate: float) -> float:
    needed = sized(THEN, sample(T0, chat(rate))).realtime_accelerators
    assert needed is not None
    return needed


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.builds(chat, st.floats(0, 200), st.floats(400, 700), st.floats(80, 120)), min_size=1, max_size=6
    )
)
def test_sized_again_it_is_what_it_is_at_the_door(arriving: list[ModelTraffic]) -> None:
    samples = [sample(T0 + i * 5 * MINUTE, a, embed(50.0)) for i, a in enumerate(arriving)]
    at_door = {step_of(s.at): sized(THEN, s).realtime_accelerators or 0.0 for s in samples}
    stale = {}
    for s in samples:
        kept = arrived(THEN, s, s.at)
        assert kept is not None
        stale[(*POOL, step_of(s.at))] = tuple(
            replace(m, sizing="of before", accelerators=1.0) for m in kept.models
        )
    found, anew = sized_anew(THEN, {POOL: dict.fromkeys(at_door, 2.0)}, stale)
    assert (found[POOL], anew) == (at_door, Anew(len(samples), 0))


def test_a_fingerprint_is_of_what_sizes_and_of_nothing_else() -> None:
    def of(model: Model, site: str = "fra") -> str:
        return sizing_of(site, BIG, model)

    assert of(CHAT) == of(replace(CHAT, throughput_tokens_per_s={"H100": 1.0}, load_minutes=9))
    others = (
        SLOWER,
        replace(CHAT, name="other"),
        replace(CHAT, latency_slo=None),
        replace(CHAT, accelerators_per_replica={}),
        replace(CHAT, serving={"H100": Serving(PROFILE, min_replicas=1)}),
        replace(CHAT, serving={"H100": Serving(PROFILE, (MeasuredRate(1, 3.0),))}),
    )
    assert len({of(CHAT), of(CHAT, "par"), *map(of, others)}) == len(others) + 2
    assert of(TABLE) == of(replace(TABLE, latency_slo=CHAT.latency_slo)), "a table stands over an objective"


def test_what_arrived_last_is_shown_by_model_as_it_is_sized_now(sqlite_url: str, clock: ManualClock) -> None:
    made = service(sqlite_url, clock, fleet=SERVED)
    [view] = made.realtime()
    assert (view.by_model, view.by_model_at) == ((), None)
    made.telemetry([sample(T0, chat(30.0), embed(100.0)), sample(T0 - 20 * MINUTE, chat(90.0))], "meter")
    [view] = made.realtime()
    assert [(m.model, m.requests_per_s, m.prompt_tokens, m.output_tokens) for m in view.by_model] == [
        ("chat", 30.0, 500.0, 100.0),
        ("embed", 100.0, 30.0, 1.0),
    ]
    assert sum(m.accelerators for m in view.by_model) == made.core.state.measured[POOL].realtime_accelerators
    assert view.by_model_at == T0
    now = service(sqlite_url, clock, fleet=replace(SERVED, models=(SLOWER, TABLE)))
    [anew] = now.realtime()
    assert anew.by_model[0].accelerators > view.by_model[0].accelerators
    assert anew.by_model[1] == view.by_model[1]
    clock.advance(minutes=1)
    made.telemetry([sample(clock.now(), chat(15.0)), sample(T0, chat(40.0))], "meter")
    [view] = made.realtime()
    assert [(m.model, m.requests_per_s) for m in view.by_model] == [("chat", 15.0)], (
        "the last, not the highest"
    )
    assert view.by_model_at == clock.now()
    clock.advance(hours=1, minutes=6)
    assert made.realtime()[0].by_model == (), "no longer lately"


def test_that_it_is_sized_anew_is_said_once(then: World, caplog: pytest.LogCaptureFixture) -> None:
    then.post(days(1))
    changed = MeasuredLoads(NOW, then.clock, then.database, BERLIN)
    said: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "shifter.measuring.log.info", lambda text, **facts: said.append({"text": text, **facts})
        )
        learn_load(then.service.core, changed)
        learn_load(then.service.core, changed)
    assert said == [{"text": "measured load was sized otherwise", "sized_anew": 96, "stands_as_it_was": 0}]
