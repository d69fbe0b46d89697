"""A daemon that asks its meters by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forecasts.testing import ReplyServer, Said
from shifter.clock import ManualClock
from shifter.daemon import Daemon
from shifter.errors import InputError
from shifter.meters.typical import surge_at
from shifter.views import AdmissionState, EventKind
from tests.daemon.world import daemon, job, settings, until

LOAD = {"kind": "prometheus", "site": "fra", "pool": "h100", "accelerators_query": "in_use"}
ANSWER = b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "5"]}}'


def test_it_measures_faults_and_measures_again(tmp_path: Path) -> None:
    with ReplyServer(lambda asked: Said(ANSWER)) as server:
        meter = {**LOAD, "url": server.url, "every_s": 1, "timeout_s": 0.5}
        made = daemon(tmp_path, realtime={"profile": "typical", "meters": [meter]})
        made.start()
        try:
            core = made.service.core
            until(lambda: core.state.measured.get(("fra", "h100")))
            assert core.state.measured["fra", "h100"].realtime_accelerators == 5.0
            good = server.reply
            server.reply = lambda asked: Said(b"gone", 502)
            until(
                lambda: any("The meter prometheus fra/h100 fails" in f for f in made.service.health().faults)
            )
            server.reply = good
            until(lambda: not any("meter" in f for f in made.service.health().faults))
        finally:
            made.stop()


def test_a_meter_of_a_pool_that_there_is_not_keeps_it_from_starting(tmp_path: Path) -> None:
    meter = {**LOAD, "url": "http://127.0.0.1:1", "pool": "h200"}
    with pytest.raises(InputError, match=r"realtime\.meters\[0\]\.pool: fra has no pool h200"):
        daemon(tmp_path, realtime={"meters": [meter]})
    assert not (tmp_path / "shifter.db").exists()


def test_load_that_is_made_up_says_so_and_preemptible_work_yields_to_its_surge_and_returns(
    tmp_path: Path,
) -> None:
    meters = [{"kind": "typical", "every_s": 1}]
    given = settings(tmp_path, realtime={"profile": "typical", "meters": meters})
    clock = ManualClock(datetime(2026, 1, 10, tzinfo=UTC))
    made = Daemon(given, clock)
    while surge_at(made.fleet, clock.now() + timedelta(minutes=5)) is None:
        clock.advance(minutes=1)
    made.start()
    try:
        service = made.service
        until(lambda: service.health().plan_id)
        service.submit(
            [replace(job("j", made, hours=60, due_h=8), max_accelerators=10, preemptible=True)], "test"
        )
        until(lambda: service.admission("j").state is AdmissionState.RUN)
        until(lambda: service.capacity("fra", "h100").last_sample_at == clock.now())
        [view] = service.realtime()
        assert view.basis.startswith("typical (synthetic), measured by a typical meter (synthetic)")
        assert not service.newest_events(10, {EventKind.GUARD_YIELDED})

        clock.advance(minutes=6)
        [told] = until(lambda: service.newest_events(10, {EventKind.GUARD_YIELDED}))
        assert told.data["workloads"]["j"] > 0
        assert told.data["realtime_accelerators"] > service.slots("fra", "h100")[0].realtime_p50

        while surge_at(made.fleet, clock.now()) is not None:
            clock.advance(minutes=5)
        clock.advance(minutes=60)
        until(lambda: service.admission("j").accelerators == 10)
    finally:
        made.stop()
