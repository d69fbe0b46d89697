"""The demo from end to end: a person starts it, does what it says, and stops it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.helpers import command, environment, shifter

Call = Callable[..., int]
Ask = Callable[..., Any]
START_S = 60


@dataclass
class Running:
    """A demo in a process of its own; its output is read as it comes."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def wait_for(self, text: str, timeout_s: float = START_S) -> str:
        """The first line that holds `text`."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in list(self.lines):
                if text in line:
                    return line
            assert self.process.poll() is None, "".join(self.words)
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not in {self.lines}, {self.words}")

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.wait_for("Dashboard").split()[-1]

    @property
    def typed(self) -> list[str]:
        """The commands that it prints for a person to try, as they are to be typed."""
        self.wait_for("shifter slots")
        found = [re.match(r" {4}(\S*shifter .+?) {3}", line) for line in self.lines]
        return [match[1] for match in found if match is not None]

    @property
    def commands(self) -> list[list[str]]:
        """The same, without the program."""
        return [shlex.split(line)[1:] for line in self.typed]


BARE_PATH = "/usr/bin:/bin"
"""No shifter is on it, whatever whoever runs the tests has on theirs."""


def start(*args: str) -> Running:
    """`shifter demo ARGS`."""
    process = subprocess.Popen(
        command("demo", *args),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONUNBUFFERED="1", PATH=BARE_PATH),
    )
    running = Running(process)
    for stream, kept in ((process.stdout, running.lines), (process.stderr, running.words)):
        threading.Thread(target=_collect, args=(stream, kept), daemon=True).start()
    return running


def _collect(stream: Any, kept: list[str]) -> None:
    with stream:
        kept.extend(iter(stream.readline, ""))


def stop(running: Running, number: signal.Signals = signal.SIGINT) -> None:
    """Stop it as a person does, and see that nothing is left."""
    running.process.send_signal(number)
    code = running.process.wait(timeout=30)
    assert code == 0, "".join(running.words)
    assert "Traceback" not in "".join(running.words)
    assert "Nothing is left behind" in "".join(running.words)


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    running = start("--port", "0")
    folder = Path(running.commands[0][1]).parent
    yield running
    stop(running)
    assert not folder.exists()


def test_what_it_says_at_the_start(demo: Running) -> None:
    told = "".join(demo.lines)
    assert "SIMULATED" in told
    assert "120 times as fast" in told
    assert re.search(
        r"saves [\d.,]+ EUR \([\d.]+ % of what deferrable work costs\) and (causes )?[\d.,]+ kg CO2e", told
    )
    health = requests.get(f"{demo.url}/healthz", timeout=10).json()
    assert health["simulated_clock"]
    assert health["synthetic"]
    page = requests.get(demo.url, timeout=10)
    assert page.status_code == 200
    assert "text/html" in page.headers["Content-Type"]


def test_the_three_commands_work_as_printed(demo: Running) -> None:
    assert [c[0] for c in demo.commands] == ["submit", "explain", "slots"]
    for line in demo.typed:
        done = subprocess.run(
            ["/bin/sh", "-c", line], capture_output=True, env=environment(PATH=BARE_PATH), check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_a_person_hands_in_work_and_follows_it(
    demo: Running, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    at = ("--url", demo.url)
    work = json.loads(Path(demo.commands[0][1]).read_text()) | {"id": "mine-1"}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(work))

    quote = ask("quote", str(file), *at)
    assert all(o["feasible"] for o in quote["options"])
    [view] = ask("submit", str(file), *at)
    assert view["class"] == "deferrable"
    assert view["planned_finish"] <= work["deadline"]
    assert ask("submit", str(file), *at)[0]["id"] == "mine-1", "the same again is the same"
    assert ask("workloads", "mine-1", *at)["id"] == "mine-1"
    assert "mine-1" in {v["id"] for v in ask("workloads", "--tenant", "you", *at)}
    told = ask("explain", "mine-1", *at)
    assert told["sentences"]
    assert told["lease"]["allocations"]
    assert ask("admission", "mine-1", *at)["state"] in {"wait", "run"}
    assert ask("override", "mine-1", "--class", "real_time", "--reason", "a test", *at)
    assert ask("workloads", "mine-1", *at)["class"] == "real_time"
    assert ask("override", "mine-1", "--lift", "--reason", "a test", *at)
    capsys.readouterr()
    assert call("submit", str(file), *at) == 0
    again = capsys.readouterr()
    assert "Already there, unchanged: 1 workload." in again.err
    assert f"shifter explain mine-1 --url {demo.url}" in again.err, "a hint works as typed"
    assert "\nwindow " in again.out, "one workload is a block, not a table"
    assert ask("cancel", "mine-1", *at)["state"] == "cancelled"
    assert call("workloads", "mine-1", *at) == 0
    gone = capsys.readouterr().out
    assert "\nplanned" not in gone, "what was cancelled is not planned"
    assert "–" not in gone

    assert call("submit", str(file), *at) == 0
    told = capsys.readouterr().err
    assert "mine-1 was cancelled, and stays so: the same again changes nothing." in told
    assert "give it a new id" in told
    work["tokens"] = 1e6
    file.write_text(json.dumps(work))
    assert call("submit", str(file), *at) == 1, "the same id with other content is a conflict"
    told = capsys.readouterr().err
    assert f"{file}:1: id: mine-1 is already a workload" in told
    assert "hint: mine-1 was cancelled, and stays so. Give this work an id of its own." in told
    assert "Nothing was taken" not in told, "it was one alone"
    file.write_text(json.dumps([work | {"id": "mine-2"}, work]))
    assert call("submit", str(file), *at) == 1
    assert "Nothing was taken: all of a file is, or none of it." in capsys.readouterr().err
    assert call("workloads", "mine-2", *at) == 1


def test_errors_are_in_the_words_of_the_command_line(
    demo: Running, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--url", demo.url)
    good = json.loads(Path(demo.commands[0][1]).read_text()) | {"id": "not-there"}
    file = tmp_path / "w.jsonl"
    bad = [good, good | {"id": "b", "tokens": "120M"}, good | {"id": "c", "sites": ["franfurt"], "tokns": 1}]
    file.write_text("\n".join(json.dumps(w) for w in bad))
    cases: list[tuple[int, list[str], tuple[str, ...]]] = [
        (
            2,
            ["submit", str(file)],
            (
                *(f"{file}:2: tokens: ", "120e6", f"{file}:3: tokns: ", "Did you mean `tokens`?"),
                "\nNothing was taken: all of a file is, or none of it.\n",
            ),
        ),
        (
            1,
            ["explain", "moderation-backfill"],
            ("Did you mean moderation-backfill-0413?", "shifter workloads"),
        ),
        (1, ["cancel", "nobody"], ("there is no workload nobody.", f"shifter workloads --url {demo.url}`")),
        (2, ["admission", "a b"], ("'a b' is no name",)),
        (1, ["slots", "--site", "paris"], ("--site: there is no site paris.", "Sites are frankfurt")),
        (2, ["override", "not-there", "--class", "real_time", "--reason", ""], ("--reason: ",)),
        (2, ["workloads", "--state", "nope"], ("'nope' is not one of 'accepted'",)),
    ]
    file_one = tmp_path / "one.json"
    file_one.write_text(json.dumps([good | {"deadline": 3}], indent=1))
    cases.append((2, ["quote", str(file_one)], (f"{file_one}:2: deadline: ",)))
    broken = tmp_path / "broken.jsonl"
    broken.write_text(json.dumps(good) + "\n{\n")
    cases.append((2, ["submit", str(broken)], (f"{broken}:2: this is not JSON", "Nothing was taken")))
    for code, args, told in cases:
        assert call(*args, *at) == code, args
        said = capsys.readouterr().err
        assert all(t in said for t in told), said
        assert not re.search(r"GET|/v1/|\bbody\b|\bpath\.|\bquery\.|Value error", said), said


def test_work_that_cannot_be_done_in_time_is_told_so(
    demo: Running, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.fromisoformat(requests.get(f"{demo.url}/healthz", timeout=10).json()["now"])
    work = {
        "id": "too-much",
        "accelerator_hours": 40,
        "accelerators": ["H100-SXM"],
        "max_accelerators": 2,
        "deadline": (now + timedelta(hours=5)).isoformat(),
    }
    file = tmp_path / "late.json"
    file.write_text(json.dumps(work))
    assert call("submit", str(file), "--url", demo.url) == 0
    shown = capsys.readouterr()
    assert "It CANNOT BE DONE IN TIME" in shown.err
    assert "too-much: 30" in shown.err
    assert "At 2 accelerators it needs 20.0 h" in shown.err
    assert re.search(r"A deadline of .* would work", shown.err)
    assert re.search(r"latest start +too late", shown.out), "not a time that is past"
    assert "max_accelerators was not given" not in shown.err
    del work["max_accelerators"]
    file.write_text(json.dumps([work | {"id": "too-much-2"}, work | {"id": "fine", "accelerator_hours": 1}]))
    assert call("submit", str(file), "--url", demo.url) == 0
    shown = capsys.readouterr()
    told = shown.err
    assert shown.out.count(" !") == 1
    assert "!: cannot be done in time; what fits before the deadline is planned." in told
    assert "1 of them CANNOT BE DONE IN TIME" in told
    assert "max_accelerators was not given, and the default is 1" in told
    for name in ("too-much", "too-much-2", "fine"):
        assert call("cancel", name, "--url", demo.url) == 0


def test_real_time_work_has_no_quote(
    demo: Running, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chat.json"
    file.write_text(json.dumps({"id": "chat", "accelerator_hours": 1, "mode": "interactive"}))
    assert call("quote", str(file), "--url", demo.url) == 0
    shown = capsys.readouterr()
    assert "chat is real-time work: it runs when it arrives, and there is nothing to move." in shown.err
    assert shown.out == ""


def test_programs_get_all_of_the_list_and_people_the_newest(
    demo: Running, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    at, many = ("--tenant", "crowd", "--url", demo.url), [f"crowd-{i}" for i in range(130)]
    file = tmp_path / "many.jsonl"
    lines = [{"id": i, "tenant": "crowd", "accelerator_hours": 1} for i in many]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    assert call("submit", str(file), "--url", demo.url) == 0
    assert {v["id"] for v in ask("workloads", *at)} == set(many)
    assert len(ask("workloads", "--limit", "120", *at)) == 120
    capsys.readouterr()
    assert call("workloads", *at) == 0
    shown = capsys.readouterr()
    assert shown.out.count("crowd-") == 100
    assert "These are the newest 100; --limit shows more." in shown.err


def test_what_the_pools_hold(demo: Running, ask: Ask) -> None:
    at = ("--url", demo.url)
    slots = ask("slots", "--site", "frankfurt", "--for", "3h", *at)
    assert {s["site"] for s in slots} == {"frankfurt"}
    assert 6 <= len(slots) <= 7
    assert all(s["free"] >= 0 for s in slots)
    every = ask("capacity", *at)
    assert {(c["site"], c["pool"]) for c in every} >= {("london", "l40s"), ("munich", "l40s")}
    one = ask("capacity", "munich/l40s", *at)
    assert 0 <= one["dispatch_budget"] <= 1
    assert not one["stale"]


def test_its_load_is_measured_and_said_to_be_made_up(
    demo: Running, call: Call, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    at, until = ("--url", demo.url), time.monotonic() + START_S
    while not all(c["last_sample_at"] for c in ask("capacity", *at)):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert not any(c["stale"] for c in ask("capacity", *at))
    made_up = "typical (synthetic), measured by a typical meter (synthetic)"
    assert all(v["basis"].startswith(made_up) for v in ask("realtime", *at))
    capsys.readouterr()
    assert call("capacity", *at) == 0
    assert "Real-time load is synthetic: made up for a demonstration." in capsys.readouterr().err


def test_what_it_believes_of_the_grid(demo: Running, ask: Ask) -> None:
    frame = ask("forecasts", "show", "--zone", "GB", "--for", "6h", "--url", demo.url)
    assert frame["signals"]
    assert {run["kind"] for s in frame["signals"] for run in s["provenance"]} == {"synthetic"}


def test_status_says_it_in_one_glance(
    demo: Running, call: Call, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    assert call("status", "--url", demo.url) == 0
    told = capsys.readouterr()
    for word in ("simulated clock, 120 times", "synthetic", "at once", "frankfurt", "EUR/MWh", "gCO2e/kWh"):
        assert word in told.out
    assert "source typical" in told.err
    whole = ask("status", "--url", demo.url)
    assert set(whole) == {"health", "plan", "running", "planned", "late"}


@pytest.mark.parametrize("width", ["60", "100", "160"])
def test_tables_fit_the_terminal(demo: Running, width: str) -> None:
    for args in (("status",), ("workloads",), ("slots", "--for", "2h"), ("capacity",), demo.commands[1]):
        done = shifter(*args, SHIFTER_URL=demo.url, COLUMNS=width)
        assert done.returncode == 0, done.stderr
        tables = [line for line in done.stdout.splitlines() if "─" in line]
        assert all(len(line) <= int(width) for line in tables), args
        assert "…" not in done.stdout, "nothing is cut"
        assert "left out: ." not in done.stderr


def test_events_are_followed(demo: Running) -> None:
    past = shifter("events", "--json", "--last", "3", "--url", demo.url)
    assert [set(json.loads(line)) for line in past.stdout.splitlines()] == [{"id", "at", "kind", "data"}] * 3
    follower = subprocess.Popen(
        command("events", "--follow", "--json", "--last", "0", "--url", demo.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert follower.stdout is not None
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(follower.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    reader.join(45)  # a plan is made every 15 s at the demo's speed
    follower.send_signal(signal.SIGINT)
    follower.communicate(timeout=20)
    assert json.loads(heard[0])["kind"]
    assert follower.returncode == 130


def test_once_is_a_summary_without_a_server(ask: Ask) -> None:
    done = shifter("demo", "--once")
    assert done.returncode == 0, done.stderr
    for word in (
        "deferrable work (EUR)",
        "run at once",
        "real-time, never moved",
        "cannot be done in time",
        "saves",
    ):
        assert word in done.stdout
    plan = ask("demo", "--once")
    assert plan["synthetic"]
    assert plan["cost"]["total"] < plan["baseline"]["total"]
    assert {a["site"] for a in plan["allocations"]} == {"frankfurt", "london", "munich"}
    assert [u["workload_id"] for u in plan["unplaced"]] == ["board-pack-by-noon-0413"]
    assert plan["unplaced"][0]["earliest_feasible_deadline"]
    assert ask("demo", "--once")["plan_id"] == plan["plan_id"], "it is the same demo every time"
    page = Path("docs/concepts/demo.md").read_text(encoding="utf-8")
    emits_more = plan["carbon_kg"] > plan["baseline"]["carbon_kg"]
    assert ("The first plan is one of them" in page) is emits_more


def test_the_next_free_port_is_taken_unless_one_is_asked_for() -> None:
    from shifter.demo.stage import Options, staged

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told: list[str] = []
        with staged(Options(port=port), told.append) as stage:
            assert not stage.url.endswith(f":{port}")
            counted = requests.get(f"{stage.url}/metrics", timeout=10).text
        assert told == [f"Port {port} is taken; this demo is on {stage.url.rpartition(':')[2]}."]
        assert "shifter_http_requests_open 1.0" in counted
        done = shifter("demo", "--port", str(port))
    assert done.returncode == 2
    assert "--port: cannot listen" in done.stderr
    assert done.stdout == ""


# Live: against a server of our own that answers as NESO does.


class FakeNeso(BaseHTTPRequestHandler):
    """48 h of half-hours from the one that holds now."""

    broken = False

    def do_GET(self) -> None:
        now = datetime.now(UTC)
        slot = now.replace(minute=now.minute // 30 * 30, second=0, microsecond=0)
        rows = [
            {
                "from": (slot + timedelta(minutes=30 * i)).strftime("%Y-%m-%dT%H:%MZ"),
                "to": (slot + timedelta(minutes=30 * (i + 1))).strftime("%Y-%m-%dT%H:%MZ"),
                "intensity": {"forecast": 100 + i, "actual": None, "index": "moderate"},
            }
            for i in range(96)
        ]
        body = json.dumps({"data": rows}).encode()
        self.send_response(404 if self.broken else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(params=[False, True], ids=["well", "broken"])
def neso(request: pytest.FixtureRequest) -> Iterator[tuple[str, bool]]:
    handler = type("Handler", (FakeNeso,), {"broken": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"neso=http://127.0.0.1:{server.server_port}", request.param
    server.shutdown()
    server.server_close()


def test_live_once(neso: tuple[str, bool]) -> None:
    url, broken = neso
    done = shifter("demo", "--once", "--live", "GB", "--source-url", url, "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    carbon = [p["carbon_g_per_kwh"] for p in plan["power"]]
    assert (carbon[:3] == [100.0, 101.0, 102.0]) is not broken
    assert ("A source failed" in done.stderr) is broken
    assert plan["synthetic"], "the price of GB has no source without a key: it is made up, and says so"
    assert any("GB price: the values are synthetic" in w for w in plan["warnings"])


def test_live_run(neso: tuple[str, bool]) -> None:
    url, broken = neso
    running = start("--live", "gb", "--port", "0", "--source-url", url)
    try:
        assert "LIVE" in running.wait_for("LIVE")
        health = requests.get(f"{running.url}/healthz", timeout=10).json()
        assert not health["simulated_clock"]
        up = {s["name"]: s["up"] for s in health["sources"]}
        assert up == {"neso": not broken, "typical": True}
        assert ("neso failed" in "".join(running.words)) is broken
    finally:
        stop(running, signal.SIGTERM)


def test_a_database_that_was_asked_for_stays(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    running = start("--port", "0", "--database", f"sqlite:///{file}")
    assert running.url
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=30) == 0
    assert file.exists()
