"""What arrives at a pool is sized into accelerators, and counts as they do from there on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shifter.clock import ManualClock
from shifter.domain.fleet import Fleet, Model
from shifter.domain.serving import LatencySlo, MeasuredRate, Serving, ServingProfile
from shifter.errors import InputError
from shifter.realtime import sizing
from shifter.realtime.ladder import _rungs, most_each_about
from shifter.realtime.sizing import most_each_per_s, replicas_for
from shifter.realtime.traffic import Traffic
from shifter.service import Service
from shifter.service.sized import sized
from shifter.store import inputs
from shifter.views import ModelTraffic, TelemetrySample
from tests.service.world import FLEET, HOUR, POOL, T0, job, service

PROFILE = ServingProfile(20_000, 10.0, 0.4, 16)
SLO = LatencySlo(ttft_ms=1500, latency_ms=30_000, quantile=0.95)
CHAT = Model(
    "chat", {"H100": 900.0}, {"H100": 2}, serving={"H100": Serving(profile=PROFILE)}, latency_slo=SLO
)
TABLE = Model(
    "embed",
    {"H100": 900.0},
    serving={"H100": Serving(measured=(MeasuredRate(1, 40.0), MeasuredRate(4, 200.0)))},
)
ELSEWHERE = replace(CHAT, name="elsewhere", throughput_tokens_per_s={"L40S": 200.0}, serving={})
HASTELESS = replace(CHAT, name="hasteless", latency_slo=None)
SERVED = replace(FLEET, models=(*FLEET.models, CHAT, TABLE, ELSEWHERE, HASTELESS))


def traffic(
    model: str = "chat", requests_per_s: float = 4.0, prompt: Any = 500.0, output: Any = 100.0
) -> ModelTraffic:
    return ModelTraffic(model, requests_per_s, prompt, output)


def sample(*arriving: ModelTraffic, **given: Any) -> TelemetrySample:
    return TelemetrySample("fra", T0, "h100", traffic=arriving, **given)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    return service(sqlite_url, clock, fleet=SERVED)


def replicas(requests_per_s: float, prompt: float = 500.0, output: float = 100.0) -> int:
    return int(replicas_for(CHAT.serving["H100"], Traffic(prompt, output), SLO, requests_per_s))


def test_traffic_counts_as_the_accelerators_that_it_needs(made: Service) -> None:
    assert (
        made.telemetry([sample(traffic(requests_per_s=30.0), traffic("embed", 100.0, 30.0, 1.0))], "meter")
        == 1
    )
    needed = 2 * replicas(30.0) + 3  # two an accelerator, and a row between 1 and 4 replicas
    assert made.core.state.measured[POOL].realtime_accelerators == needed
    assert made.core.state.levels[POOL].peaks[-1][1] == needed
    with made.core.reading() as db:
        [kept] = inputs.telemetry_since(db, T0 - HOUR, T0 - HOUR)
    assert kept == made.core.state.measured[POOL], "the same after a restart"


def test_the_guard_acts_on_it(made: Service, clock: ManualClock) -> None:
    made.submit([job("soft", 48, 16, due_h=6.2, preemptible=True)], "ann")
    assert made.cycle().outcome == "published"
    made.tick()
    clock.advance(minutes=5)
    made.heartbeat()
    before = made.admission("soft").accelerators
    made.telemetry([replace(sample(traffic(requests_per_s=60.0)), at=clock.now())], "meter")
    assert before is not None
    left = made.admission("soft").accelerators or 0
    assert left == max(0, min(before, 16 - 2 * replicas(60.0))) < before


def test_no_requests_need_none_and_no_lengths(made: Service) -> None:
    made.telemetry([sample(traffic(requests_per_s=0.0, prompt=None, output=None))], "meter")
    assert made.core.state.measured[POOL].realtime_accelerators == 0.0


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        (sample(traffic("chad")), "traffic[0].model", "there is no model chad. Did you mean `chat`?"),
        (sample(traffic(), traffic("elsewhere")), "traffic[1].model", "models[elsewhere].serving.H100"),
        (sample(traffic("m")), "traffic[0].model", "give models[m].serving.H100 a profile"),
        (sample(traffic("hasteless")), "traffic[0].model", "models[hasteless].latency_slo"),
        (sample(traffic(), traffic()), "traffic[1].model", "comes twice"),
        (sample(traffic(prompt=None)), "traffic[0].prompt_tokens", "how long their prompts are"),
        (sample(traffic(output=None)), "traffic[0].output_tokens", "how long their outputs are"),
        (sample(traffic(requests_per_s=1e6)), "traffic[0].requests_per_s", "taken for a mistake"),
        (sample(traffic(requests_per_s=1e9)), "traffic[0].requests_per_s", "Is it meant per s?"),
        (sample(traffic(output=90_000.0)), "traffic[0].model", "latency_slo.latency_ms in fleet.yaml"),
        (sample(traffic(), realtime_accelerators=3.0), "traffic", "two ways to say the same"),
        (replace(sample(traffic()), pool=None), "traffic", "belong together"),
    ],
)
def test_what_cannot_be_sized_is_refused_whole(
    made: Service, given: TelemetrySample, field: str, said: str
) -> None:
    good = TelemetrySample("fra", T0, "h100", 1.0)
    with pytest.raises(InputError) as refused:
        made.telemetry([good, given], "meter")
    assert refused.value.field == f"[1].{field}"
    assert said in str(refused.value)
    assert not made.core.state.measured


def test_what_is_no_traffic_is_left_alone() -> None:
    plain = TelemetrySample("fra", T0, "h100", 3.0)
    assert sized(Fleet("EUR", FLEET.sites), plain) is plain


def _served(output: float) -> bool:
    try:
        sizing._refuse_too_slow(PROFILE, Traffic(100.0, output), SLO, "chat")
    except InputError:
        return False
    return True


class TestLadder:
    @pytest.mark.parametrize(
        ("prompt", "output", "scv"),
        [(0.0, 1.0, 1.0), (640.0, 75.0, 1.0), (1500.0, 130.0, 2.0)],
    )
    def test_it_is_close_and_on_the_safe_side(self, prompt: float, output: float, scv: float) -> None:
        arriving = Traffic(prompt, output, output_scv=scv)
        exact, about = (table(PROFILE, arriving, SLO) for table in (most_each_per_s, most_each_about))
        assert (about <= exact * 1.005).all()
        assert (about >= exact * 0.95).all()
        assert (about[1:] >= about[:-1]).all()

    def test_close_to_the_objective_it_is_of_the_very_lengths(self) -> None:
        limit = next(o for o in range(200, 2000, 10) if not _served(float(o))) - 10.0
        arriving = Traffic(100.0, limit)
        assert most_each_about(PROFILE, arriving, SLO) == pytest.approx(
            most_each_per_s(PROFILE, arriving, SLO)
        )

    @given(st.floats(0, 1e6), st.sampled_from([1.0, 16.0]))
    def test_a_length_is_between_its_rungs(self, length: float, shortest: float) -> None:
        (below, its), (above, others) = _rungs(length, shortest)
        assert its + others == pytest.approx(1.0)
        assert min(its, others) >= 0
        assert its * below + others * above == pytest.approx(max(length, 1.0 if shortest == 1 else 0.0))

    def test_lengths_like_those_of_before_cost_nothing(self) -> None:
        misses = []
        for prompt in (700.0, 701.0, 720.0, 690.0):
            most_each_about(PROFILE, Traffic(prompt, 150.0), SLO)
            misses.append(sizing._most_each.cache_info().misses)
        assert len(set(misses)) == 1
