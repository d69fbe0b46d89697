"""Meters that are asked by the daemon: what reaches the load of a pool, what is a fault, and what comes back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from forecasts.errors import SourceUnavailable
from forecasts.testing import ReplyServer
from shifter.clock import ManualClock
from shifter.errors import NotReady
from shifter.meters import Metering, Place, Told
from shifter.meters.csv import CsvMeter
from shifter.meters.vllm import VllmMeter
from shifter.service import Service
from shifter.store import inputs, loads
from shifter.views import ModelTraffic, TelemetrySample
from tests.meters.fake import FakeServer, Ticks
from tests.service.test_traffic import SERVED, replicas
from tests.service.world import HOUR, POOL, T0, service

MINUTE = timedelta(minutes=1)


class Scripted:
    """A meter that says what a test has it say."""

    def __init__(self, name: str, model: str = "chat", pool: tuple[str, str] | None = POOL) -> None:
        self.name, self.pool, self.every_s = name, pool, 10.0
        self.place = Place("fra", "h100", model)
        self.says: float | Exception | None = 1.0
        self.length = 500.0

    def read(self, now: datetime) -> Sequence[Told]:
        if isinstance(self.says, Exception):
            raise self.says
        return [] if self.says is None else self.place.told(now, self.says, self.length, 100.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(T0)


@pytest.fixture
def made(sqlite_url: str, clock: ManualClock) -> Service:
    made = service(sqlite_url, clock, fleet=SERVED, telemetry_max_age_s=60.0)
    made.cycle()
    return made


def load(made: Service) -> float | None:
    sample = made.core.state.measured.get(POOL)
    return None if sample is None else sample.realtime_accelerators


def kept(made: Service) -> list[tuple[float, float | None]]:
    """Every sample of the store: [min] after T0, and the load."""
    with made.core.reading() as db:
        samples = inputs.telemetry_since(db, T0 - 400 * 24 * HOUR, T0)
    return [((s.at - T0) / MINUTE, s.realtime_accelerators) for s in samples]


def _away() -> NoReturn:
    raise NotReady("the database is away.")


class TestLoad:
    def test_what_is_scraped_is_the_load_of_the_pool(self, made: Service, clock: ManualClock) -> None:
        fake, ticks = FakeServer("vllm"), Ticks()
        with ReplyServer(fake.reply) as server:
            meter = VllmMeter("vllm", Place("fra", "h100", "chat"), [f"{server.url}/metrics"], clock=ticks)
            metering = Metering(made, [meter], ticks)
            assert metering.poll(meter) == 0
            assert load(made) is None
            for per_s in (30.0, 8.0):
                clock.advance(seconds=60)
                ticks.at_s += 60
                fake.serve(60 * per_s)
                assert metering.poll(meter) == 1
                assert load(made) == 2 * replicas(per_s)
            assert made.health().faults == ()
        clock.advance(seconds=10)
        ticks.at_s += 10
        assert metering.poll(meter) == 0
        assert len(kept(made)) == 2, "nothing is told of a server that is gone"
        [fault] = made.health().faults
        assert fault.startswith("The meter vllm fails: ")
        assert fault.endswith("silence is no absence of load.")
        clock.advance(minutes=2)
        made.heartbeat()
        made.tick()
        assert any("fra/h100 has stopped reporting" in fault for fault in made.health().faults)
        assert made.capacity("fra", "h100").realtime_accelerators >= 2 * replicas(8.0)

    def test_models_of_a_pool_are_one_sample(self, made: Service) -> None:
        chat, embed = Scripted("chat"), Scripted("embed", "embed")
        metering = Metering(made, [chat, embed], ticks := Ticks())
        chat.says, embed.says = 30.0, 120.0
        assert metering.poll(chat) == 0, "what the other has is not known yet"
        assert metering.poll(embed) == 1
        assert load(made) == 2 * replicas(30.0) + 3
        embed.says = SourceUnavailable("it is gone.")
        assert metering.poll(embed) == 0
        assert metering.poll(chat) == 0, "a part would read as a load that has fallen"
        embed.says = 120.0
        assert metering.poll(embed) == 1
        ticks.at_s += 31.0
        assert metering.poll(chat) == 0, "what the other said is too old"

    def test_one_that_has_nothing_to_say_yet_is_no_zero(self, made: Service) -> None:
        meter = Scripted("it")
        meter.says = None
        assert Metering(made, [meter]).poll(meter) == 0
        assert (load(made), made.health().faults) == (None, ())


class TestFaults:
    @pytest.mark.parametrize(
        ("says", "said"),
        [
            (SourceUnavailable("it is gone."), "The meter it fails: it is gone."),
            (RuntimeError("broken"), "The meter it fails: RuntimeError: broken."),
            (1e6, "traffic[0].requests_per_s: 1e+06 requests per s would take"),
        ],
    )
    def test_a_fault_is_told_while_it_lasts(self, made: Service, says: float | Exception, said: str) -> None:
        meter = Scripted("it")
        metering = Metering(made, [meter])
        meter.says = says
        for _ in range(2):
            assert metering.poll(meter) == 0
            [fault] = made.health().faults
            assert said in fault
        assert made.health().status == "degraded"
        meter.says = 4.0
        assert metering.poll(meter) == 1
        assert made.health().faults == ()

    def test_without_the_store_the_meter_is_not_at_fault(self, made: Service) -> None:
        meter = Scripted("it")
        metering = Metering(made, [meter])
        made.telemetry = lambda *_: _away()  # type: ignore[method-assign]
        assert metering.poll(meter) == 0
        assert not [fault for fault in made.health().faults if "meter" in fault]

    def test_a_daemon_that_ends_asks_nobody(self, made: Service) -> None:
        meter = Scripted("it")
        made.core.stopping = True
        assert Metering(made, [meter]).poll(meter) == 0
        assert load(made) is None

    def test_each_is_counted(self, made: Service) -> None:
        meter = Scripted("it")
        metering = Metering(made, [meter])
        metering.poll(meter)
        meter.says = SourceUnavailable("it is gone.")
        metering.poll(meter)
        count = made.core.metrics.ingests
        assert [count.labels(source="meter it", outcome=o)._value.get() for o in ("ok", "failed")] == [1, 1]


class TestHistory:
    HEAD = "at,site,pool,realtime_accelerators\n"

    def poll(self, made: Service, file: Path) -> int:
        meter = CsvMeter("csv", str(file))
        return Metering(made, [meter]).poll(meter)

    def test_it_counts_by_its_own_times_and_once(self, made: Service, tmp_path: Path) -> None:
        file = tmp_path / "load.csv"
        file.write_text(
            self.HEAD + "2026-01-09T23:50:00Z,fra,h100,7\n2026-01-09T23:58:00Z,fra,h100,5\n"
            "2026-01-09T23:40:00Z,fra,h100,6\n"
        )
        assert self.poll(made, file) == 3
        assert load(made) == 5.0, "the newest, though it did not come last"
        assert self.poll(made, file) == 0, "after a restart, say"
        assert kept(made) == [(-20, 6), (-10, 7), (-2, 5)]

    def test_of_two_rows_of_a_moment_the_higher_counts_whenever_it_comes(
        self, made: Service, tmp_path: Path
    ) -> None:
        file = tmp_path / "load.csv"
        meter = CsvMeter("csv", str(file))
        metering, row = Metering(made, [meter]), "2026-01-09T23:58:00Z,fra,h100,"
        file.write_text(f"{self.HEAD}{row}2\n")
        assert metering.poll(meter) == 1
        with file.open("a") as more:
            more.write(f"{row}14\n")
        assert metering.poll(meter) == 1
        assert load(made) == 14.0
        with made.core.reading() as db:
            assert max(loads.steps(db, 0)[POOL].values()) == 14.0
        with file.open("a") as more:
            more.write(f"2026-01-09T23:59:00Z,fra,h100,3\n{row}5\n")
        assert metering.poll(meter) == 1, "a lower one is no news"
        assert self.poll(made, file) == 0, "after a restart, say"
        assert kept(made) == [(-2, 2), (-2, 14), (-1, 3)]

    def test_models_of_a_moment_add_up_however_many_looks_they_take(
        self, made: Service, tmp_path: Path
    ) -> None:
        file, head = tmp_path / "load.csv", "at,site,pool,model,requests_per_s,prompt_tokens,output_tokens\n"
        chat, other = (f"2026-01-09T23:58:00Z,fra,h100,{model},4,500,100\n" for model in ("chat", "embed"))
        meter = CsvMeter("csv", str(file))
        metering = Metering(made, [meter])
        file.write_text(head + chat)
        metering.poll(meter)
        part = load(made)
        with file.open("a") as more:
            more.write(other)
        assert metering.poll(meter) == 1
        whole = load(made)
        assert part is not None
        assert whole is not None
        assert whole > part
        assert self.poll(made, file) == 0, "after a restart, say"

    def test_rows_that_are_wrong_keep_no_other_out(
        self, made: Service, tmp_path: Path, clock: ManualClock
    ) -> None:
        file = tmp_path / "load.csv"
        file.write_text(
            "at,site,pool,model,requests_per_s,prompt_tokens,output_tokens\n"
            "2026-01-09T23:50:00Z,fra,h100,chat,4,500,100\n"
            "2026-01-09T23:51:00Z,rome,h100,chat,4,500,100\n"
            "2026-01-10T09:00:00Z,fra,h100,chat,4,500,100\n"
            "2026-01-09T23:52:00Z,fra,h100,chad,4,500,100\n"
        )
        meter = CsvMeter("csv", str(file))
        metering = Metering(made, [meter])
        assert metering.poll(meter) == 1
        [fault] = made.health().faults
        for said in (
            "load.csv:3.site: there is no site rome.",
            "load.csv:4.at: 2026-01-10T09:00:00Z has not come yet",
            "load.csv:5.traffic[0].model: ",
        ):
            assert said in fault
        assert "more." not in fault, "each is named"
        assert metering.poll(meter) == 0
        assert made.health().faults == (fault,), "it stays until rows come that are right"
        with file.open("a") as more:
            more.write("2026-01-09T23:53:00Z,fra,h100,chat,4,500,100\n")
        assert metering.poll(meter) == 1
        assert made.health().faults == ()

    def test_of_many_wrong_rows_a_handful_is_named_and_the_others_are_counted(
        self, made: Service, tmp_path: Path
    ) -> None:
        file = tmp_path / "load.csv"
        file.write_text(self.HEAD + "odd\n" * 12)
        self.poll(made, file)
        [fault] = made.health().faults
        assert [line for line in range(1, 15) if f"load.csv:{line}: " in fault] == [2, 3, 4, 5, 6]
        assert fault.endswith(" And 7 more.")

    def test_what_it_tells_while_the_store_is_away_is_kept_later(self, made: Service, tmp_path: Path) -> None:
        file = tmp_path / "load.csv"
        file.write_text(self.HEAD + "2026-01-09T23:50:00Z,fra,h100,7\nodd\n2026-01-09T23:51:00Z,fra,h100,8\n")
        meter = CsvMeter("csv", str(file))
        metering = Metering(made, [meter])
        keeps, made.core.db.read = made.core.db.read, _away  # type: ignore[method-assign]
        assert [metering.poll(meter) for _ in range(2)] == [0, 0]
        made.core.db.read = keeps  # type: ignore[method-assign]
        assert metering.poll(meter) == 2
        assert kept(made) == [(-10, 7), (-9, 8)]
        assert any("load.csv:3" in fault for fault in made.health().faults)

    def test_a_file_that_comes_later_is_well(self, made: Service, tmp_path: Path) -> None:
        meter = CsvMeter("csv", str(tmp_path / "load.csv"))
        metering = Metering(made, [meter])
        metering.poll(meter)
        assert "cannot be read" in made.health().faults[0]
        (tmp_path / "load.csv").write_text(self.HEAD)
        metering.poll(meter)
        assert made.health().faults == ()

    def test_a_long_history_comes_in_fast(self, made: Service, tmp_path: Path) -> None:
        file, n = tmp_path / "load.csv", 5_000
        rows = (
            f"{(T0 - i * MINUTE).isoformat()},fra,h100,chat,{i % 40},{480 + i % 20},{100 + i % 7}\n"
            for i in range(n, 0, -1)
        )
        head = "at,site,pool,model,requests_per_s,prompt_tokens,output_tokens\n"
        file.write_text(head + "".join(rows))
        began = time.monotonic()
        assert self.poll(made, file) == n
        assert time.monotonic() - began < 20, "a loaded machine's; it is under 1"


def test_both_are_traffic_of_one_model() -> None:
    """What a scripted meter says is what is expected of real ones."""
    [told] = Scripted("it").read(T0)
    assert told.sample == TelemetrySample(
        "fra", T0, "h100", traffic=(ModelTraffic("chat", 1.0, 500.0, 100.0),)
    )
