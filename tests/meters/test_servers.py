"""Servers of vLLM and llama.cpp, scraped over real HTTP: what arrives, over restarts, silence and odd answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import SourceUnavailable
from forecasts.testing import ReplyServer, Said
from shifter.meters import Place
from shifter.meters.llama_cpp import LlamaCppMeter
from shifter.meters.servers import ScrapedServers
from shifter.meters.vllm import VllmMeter
from shifter.meters.window import Seen, Window
from shifter.views import ModelTraffic
from tests.meters.fake import FakeServer, Ticks, slow
from tests.service.world import T0

PLACE = Place("fra", "h100", "chat")


class World:
    """A fake server behind real HTTP, and a meter that scrapes it."""

    def __init__(self, kind: str, server: ReplyServer, **given: Any) -> None:
        self.fake, self.server, self.ticks = FakeServer(kind), server, Ticks()
        server.reply = self.fake.reply
        made: Any = VllmMeter if kind == "vllm" else LlamaCppMeter
        if kind != "vllm":
            given.setdefault("output_tokens", 100.0)
        urls = given.pop("urls", [f"{server.url}/metrics"])
        self.meter: ScrapedServers = made("it", PLACE, urls, clock=self.ticks, **given)

    def look(self, seconds: float = 10.0) -> ModelTraffic | None:
        """What it tells after so many seconds more; None where that is nothing."""
        self.ticks.at_s += seconds
        told = self.meter.read(T0)
        if not told:
            return None
        assert (told[0].sample.site, told[0].sample.pool, told[0].sample.at) == ("fra", "h100", T0)
        assert told[0].sample.traffic is not None
        return told[0].sample.traffic[0]


@pytest.fixture
def server() -> Iterator[ReplyServer]:
    with ReplyServer() as server:
        yield server


@pytest.fixture(params=["vllm", "llama_cpp"])
def world(request: pytest.FixtureRequest, server: ReplyServer) -> World:
    return World(request.param, server)


@pytest.fixture
def vllm(server: ReplyServer) -> World:
    return World("vllm", server)


class TestRates:
    def test_differences_between_two_looks_are_what_arrives(self, world: World) -> None:
        world.fake.serve(5000)  # before anybody looked: no rate is known of it
        assert world.look() is None
        world.fake.serve(40)
        assert world.look() == ModelTraffic("chat", 4.0, 500.0, 100.0)
        world.fake.serve(20, prompt=800, output=200)
        came = world.look()
        assert came is not None
        if world.fake.kind == "vllm":
            assert came == ModelTraffic("chat", 3.0, 600.0, 400 / 3)
        else:  # 8000 tokens are 80 requests of 100
            assert came == ModelTraffic("chat", 4.0, 450.0, 100.0)

    def test_an_idle_server_is_zero(self, world: World) -> None:
        world.look()
        assert world.look() == ModelTraffic("chat", 0.0, None, None)

    def test_what_comes_and_waits_has_arrived(self, vllm: World) -> None:
        vllm.look()
        vllm.fake.serve(40)
        vllm.fake.running, vllm.fake.waiting = 8, 12
        came = vllm.look()
        assert came is not None
        assert came.requests_per_s == 6.0, "40 ended and 20 more are there"

    def test_long_requests_are_load_though_none_comes(self, vllm: World) -> None:
        vllm.look()
        vllm.fake.serve(60)
        vllm.fake.running = 10
        vllm.look()
        came = None
        for _ in range(12):  # none comes, none ends, and 10 of them write on
            vllm.fake.output_tokens += 2000
            came = vllm.look()
        assert came is not None
        assert came.output_tokens == pytest.approx(30_000 / 60)
        assert came.requests_per_s == pytest.approx(200 / 500)

    def test_how_long_they_are_is_not_guessed(self, vllm: World) -> None:
        vllm.look()
        vllm.fake.running = 3
        vllm.fake.output_tokens = 50
        assert vllm.look() is None

    def test_rates_follow_within_a_window(self, world: World) -> None:
        world.look()
        for per_s in (2, 9):
            came = None
            for _ in range(6):
                world.fake.serve(10 * per_s)
                came = world.look()
            assert came is not None
            assert came.requests_per_s == pytest.approx(per_s)

    def test_servers_are_summed(self, server: ReplyServer) -> None:
        with ReplyServer() as other:
            world = World("vllm", server, urls=[f"{server.url}/metrics", f"{other.url}/metrics"])
            second = FakeServer("vllm")
            other.reply = second.reply
            world.look()
            world.fake.serve(40)
            second.serve(60, prompt=1000)
            assert world.look() == ModelTraffic("chat", 10.0, 800.0, 100.0)


class TestTraps:
    def test_a_restart_counts_from_zero(self, world: World) -> None:
        world.fake.serve(9000)
        world.fake.running = 30
        world.look()
        world.fake.serve(40)
        world.look()
        world.fake.restart()
        world.fake.serve(20)
        came = world.look()
        assert came is not None
        assert came.requests_per_s == pytest.approx(60 / 20)
        assert came.prompt_tokens == pytest.approx(500)

    def test_a_server_that_is_gone_is_not_zero(self, server: ReplyServer) -> None:
        with ReplyServer() as other:
            second = FakeServer("vllm")
            other.reply = second.reply
            world = World("vllm", server, urls=[f"{server.url}/metrics", f"{other.url}/metrics"])
            world.look()
            world.look()
        with pytest.raises(SourceUnavailable, match="did not answer"):
            world.look()

    def test_one_that_comes_back_goes_on_where_it_was(self, world: World) -> None:
        world.look()
        world.fake.serve(40)
        world.fake.status = 503
        with pytest.raises(SourceUnavailable, match="status 503"):
            world.look()
        world.fake.status = 200
        came = world.look()
        assert came is not None
        assert came.requests_per_s == 2.0, "over all of the time since it was seen last"

    def test_after_a_long_silence_it_begins_anew(self, world: World) -> None:
        world.look()
        world.fake.serve(40)
        world.look()
        world.fake.serve(40_000)
        assert world.look(seconds=3600.0) is None
        world.fake.serve(10)
        came = world.look()
        assert came is not None
        assert came.requests_per_s == 1.0

    def test_a_slow_one_is_given_up(self, server: ReplyServer) -> None:
        world = World("vllm", server, timeout_s=0.2)
        server.reply = slow(0.6)
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="did not answer"):
            world.look()
        assert time.monotonic() - began < 0.55

    @pytest.mark.parametrize("name", ["prompt_tokens_total", "requests_", "total"])
    def test_a_metric_that_is_missing_is_named(self, world: World, name: str) -> None:
        world.fake.without = {name}
        with pytest.raises(
            SourceUnavailable, match=r"/metrics shows no (vllm|llamacpp):.*It shows other metrics"
        ):
            world.look()

    @pytest.mark.parametrize("value", ["NaN", "-1", "+Inf"])
    def test_no_count_is_like_that(self, world: World, value: str) -> None:
        world.look()
        world.fake.output_tokens = float(value)
        with pytest.raises(SourceUnavailable, match=r"That is no amount of load"):
            world.look()

    @pytest.mark.parametrize(
        ("body", "status", "said"),
        [
            (b"", 200, "shows no metrics at all: an empty body"),
            (b"<html>log in</html>", 200, "shows no metrics at all: '<html>log in"),
            (b"x", 404, "answered 404"),
            (b"vllm:request_success_total{ 4\nllamacpp:prompt_tokens_total{ 4", 200, "cannot be read"),
            (b"\xff\xfe", 200, "shows no metrics at all"),
            (b"x" * (9 * 2**20), 200, "more than 8388608 bytes"),
        ],
    )
    def test_what_is_no_metrics_is_told_so(self, world: World, body: bytes, status: int, said: str) -> None:
        world.server.reply = lambda asked: Said(body, status)
        with pytest.raises(SourceUnavailable, match=said):
            world.look()

    def test_of_several_models_one_must_be_named(self, vllm: World) -> None:
        other = FakeServer("vllm", model="other")
        vllm.fake.more = "\n".join(line for line in other.vllm().splitlines() if not line.startswith("#"))
        with pytest.raises(
            SourceUnavailable, match=r"serves several models: chat-v1, other\. Set served_model"
        ):
            vllm.look()

    def test_the_one_that_is_named_counts(self, server: ReplyServer) -> None:
        world = World("vllm", server, served_model="chat-v1")
        other = FakeServer("vllm", model="other")
        other.serve(1000)
        world.look()
        world.fake.serve(40)
        world.fake.more = "\n".join(line for line in other.vllm().splitlines() if not line.startswith("#"))
        assert world.look() == ModelTraffic("chat", 4.0, 500.0, 100.0)

    def test_one_that_is_not_served_is_told(self, server: ReplyServer) -> None:
        world = World("vllm", server, served_model="chad")
        with pytest.raises(SourceUnavailable, match=r"serves chat-v1, and not chad\."):
            world.look()

    def test_several_servers_behind_one_address_are_told(self, server: ReplyServer) -> None:
        world = World("llama_cpp", server)
        world.fake.more = 'llamacpp:prompt_tokens_total{instance="2"} 9\n'
        with pytest.raises(SourceUnavailable, match="2 series of llamacpp:prompt_tokens_total"):
            world.look()

    def test_two_looks_in_one_moment_are_one(self, world: World) -> None:
        world.look()
        world.fake.serve(40)
        world.look()
        assert world.look(seconds=0.0) == ModelTraffic("chat", 4.0, 500.0, 100.0)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 50), st.booleans()), min_size=1, max_size=40))
def test_nothing_that_was_seen_to_come_is_lost_or_counted_twice(steps: list[tuple[int, int, bool]]) -> None:
    """Over any restarts, within the window: what came is what was counted from each look to the next."""
    window, at_s, count, came = Window(1e6), 0.0, 100.0, 0.0
    window.add(at_s, Seen(count, count, count, 0.0))
    for seconds, more, restarts in steps:
        at_s += seconds
        before, count = count, (more if restarts else count + more)
        came += count - before if count >= before else count
        window.add(at_s, Seen(count, count, count, 0.0))
    lately = window.lately()
    assert lately is not None
    assert lately.ended == lately.arrived == pytest.approx(came)
    assert lately.seconds == pytest.approx(at_s)
