"""From a measurement that is posted to a stop that is heard: over HTTP, as whoever runs work hears it."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import requests

from forecasts.slots import isoformat_z
from shifter.api.server import ApiServer
from shifter.domain.workload import Workload
from tests.daemon.test_daemon import running
from tests.daemon.world import daemon, until


def listen(url: str, heard: Queue[dict[str, Any]], ready: threading.Event) -> None:
    with requests.get(
        f"{url}/v1/events?kind=admission.changed&kind=guard.yielded", stream=True, timeout=30
    ) as stream:
        for line in stream.iter_lines():
            ready.set()
            if line.startswith(b"data: "):
                heard.put(json.loads(line[6:]))


def test_a_stop_is_on_the_stream_and_a_waiting_reader_wakes(tmp_path: Path) -> None:
    made = daemon(tmp_path, realtime={}, guard={"hold_s": 5})
    with running(made), ApiServer(made.app(), port=0) as server:
        until(made.service.ready)
        deadline = made.clock.now() + timedelta(hours=4)
        made.service.submit(  # more than can be done: it runs all the time
            [
                Workload(
                    "soft", accelerator_hours=80, max_accelerators=16, deadline=deadline, preemptible=True
                )
            ],
            "ann",
        )
        until(lambda: made.service.admission("soft").admit)
        made.service.tick()
        version = made.service.lease("soft").version
        heard: Queue[dict[str, Any]] = Queue()
        ready = threading.Event()
        threading.Thread(target=listen, args=(server.url, heard, ready), daemon=True).start()
        assert ready.wait(10)
        woken: Queue[dict[str, Any]] = Queue()
        path = f"{server.url}/v1/workloads/soft/allocations?wait=20&after_version={version}"
        waiter = threading.Thread(
            target=lambda: woken.put(requests.get(path, timeout=30).json()), daemon=True
        )
        waiter.start()
        sample = {
            "site": "fra",
            "pool": "h100",
            "at": isoformat_z(made.clock.now()),
            "realtime_accelerators": 16,
        }
        assert requests.post(f"{server.url}/v1/telemetry", json=sample, timeout=10).status_code == 202
        told = [heard.get(timeout=10) for _ in range(2)]
        assert told[0]["data"]["state"] == "stop"
        assert told[1]["kind"] == "guard.yielded"
        assert told[1]["data"]["workloads"] == {"soft": 16}
        lease = woken.get(timeout=10)
        assert lease["version"] > version
        asked = requests.get(f"{server.url}/v1/workloads/soft/admission", timeout=10).json()
        assert (asked["state"], asked["accelerators"]) == ("stop", 0)
