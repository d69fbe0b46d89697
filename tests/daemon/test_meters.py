"""A daemon that asks its meters by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecasts.testing import ReplyServer, Said
from shifter.errors import InputError
from tests.daemon.world import daemon, until

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
