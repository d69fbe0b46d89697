"""Orders reach the file at once, whole, and again when something changes; a failing dispatcher stops nobody."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from shifter.clock import ManualClock
from shifter.daemon import Daemon
from shifter.dispatch.base import DispatcherOptions, Orders, make_dispatcher
from shifter.dispatch.runner import DispatchRunner
from shifter.errors import InputError
from shifter.planner import InProcessPlanner
from shifter.service import Service
from shifter.settings import check_config, load_settings
from tests.service import world


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = world.service(f"sqlite:///{tmp_path}/s.db", ManualClock(world.T0))
    yield made
    made.core.db.close()


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def until(true: Any, seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_the_file_says_what_each_workload_may_do_and_what_it_holds(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    service.submit([world.job("w1"), world.job("chat", deadline=None, latency_slo_ms=300.0)], "test")
    service.cycle()
    DispatchRunner(service, [make_dispatcher("file", {"path": str(path)})], 60).turn()
    said = read(path)
    assert said["plan_id"] == service.plan().plan_id
    assert [w["workload_id"] for w in said["workloads"]] == ["w1"]
    (order,) = said["workloads"]
    assert order["admission"]["state"] in {"run", "wait"}
    assert order["lease"]["allocations"]
    assert order["lease"]["valid_until"]
    assert order["lease"]["latest_start"]


def test_a_change_reaches_the_file_by_itself_and_what_was_cancelled_is_gone(
    service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "orders.json"
    runner = DispatchRunner(service, [make_dispatcher("file", {"path": str(path)})], 60)
    runner.start()
    until(path.exists)
    service.submit([world.job("w1"), world.job("w2")], "test")
    service.cycle()
    until(lambda: [w["workload_id"] for w in read(path)["workloads"]] == ["w1", "w2"])
    service.cancel("w1", "test")
    until(lambda: [w["workload_id"] for w in read(path)["workloads"]] == ["w2"])
    runner.stop()


def test_one_that_fails_does_not_hold_up_the_others(service: Service, tmp_path: Path) -> None:
    class Broken:
        name: ClassVar[str] = "broken"
        Options: ClassVar[type[DispatcherOptions]] = DispatcherOptions

        def dispatch(self, orders: Orders) -> None:
            raise RuntimeError("no")

    path = tmp_path / "orders.json"
    DispatchRunner(service, [Broken(), make_dispatcher("file", {"path": str(path)})], 60).turn()
    assert read(path)["workloads"] == []


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("fil", {}, "Did you mean 'file'"),
        ("file", {}, "dispatchers.file.path"),
        ("file", {"path": "x.json", "mode": 1}, "dispatchers.file.mode"),
        ("file", {"path": "/nowhere/at/all/x.json"}, "does not exist"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        make_dispatcher(name, options)
    assert said in str(caught.value)


def test_the_daemon_dispatches_from_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    text = Path("config/examples/shifter.yaml").read_text()
    for name in ("fleet.yaml", "realtime.csv"):
        (tmp_path / name).write_text((Path("config/examples") / name).read_text())
    (tmp_path / "shifter.yaml").write_text(
        f"{text}\ndispatchers: [{{name: file, options: {{path: orders.json}}}}]\n"
    )
    settings = load_settings(tmp_path / "shifter.yaml", {"database": f"sqlite:///{tmp_path}/d.db"}, {})
    daemon = Daemon(settings, ManualClock(world.T0), planner=InProcessPlanner())
    daemon.start()
    try:
        daemon.service.submit([world.job("w1", accelerators=None)], "test")
        until(lambda: path.exists() and [w["workload_id"] for w in read(path)["workloads"]] == ["w1"], 30)
    finally:
        daemon.stop()


def test_config_check_names_a_dispatcher_s_mistakes(tmp_path: Path) -> None:
    (tmp_path / "shifter.yaml").write_text("dispatchers:\n  - name: file\n    options: {pth: 3}\n")
    said = [f"{p.file}:{p.line} {p.path} {p.detail}" for p in check_config(tmp_path / "shifter.yaml")]
    assert any(":3 dispatchers[0].options.pth" in line for line in said)
