"""A Prometheus: its answers over real HTTP, odd ones among them; and a real one, where there is one."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forecasts.errors import ShifterError
from forecasts.sources.keys import KeyOptions
from forecasts.testing import Asked, ReplyServer, Said
from shifter.meters import Place
from shifter.meters.prometheus import PrometheusMeter
from shifter.views import ModelTraffic
from tests.meters.fake import FakeServer, slow
from tests.service.world import T0

PLACE = Place("fra", "h100", "chat", prompt_scv=2.0)
RATES = {"requests_query": "requests", "prompt_tokens_query": "prompt", "output_tokens_query": "output"}
LOAD = {"accelerators_query": "sum(in_use)"}


def vector(*values: Any) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [{"metric": {"i": str(i)}, "value": [1.7e9, str(v)]} for i, v in enumerate(values)],
        },
    }


class FakePrometheus:
    """Answers each query with what it has for it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.status = 200

    def reply(self, asked: Asked) -> Said:
        assert asked.path == "/prom/api/v1/query"
        return Said(json.dumps(self.answers[asked.query["query"]]).encode(), self.status)


@pytest.fixture
def fake() -> FakePrometheus:
    return FakePrometheus()


@pytest.fixture
def server(fake: FakePrometheus) -> Iterator[ReplyServer]:
    with ReplyServer(fake.reply) as server:
        yield server


def meter(server: ReplyServer, queries: dict[str, str] = RATES, **given: Any) -> PrometheusMeter:
    return PrometheusMeter("prometheus fra/h100/chat", PLACE, f"{server.url}/prom", queries, **given)


def tells(fake: FakePrometheus, requests: Any, prompt: Any, output: Any) -> None:
    fake.answers = {"requests": vector(requests), "prompt": vector(prompt), "output": vector(output)}


def traffic(made: PrometheusMeter) -> ModelTraffic:
    [told] = made.read(T0)
    assert told.sample.traffic is not None
    assert (told.sample.site, told.sample.pool, told.sample.at) == ("fra", "h100", T0)
    return told.sample.traffic[0]


def test_three_rates_are_requests_and_mean_lengths(fake: FakePrometheus, server: ReplyServer) -> None:
    tells(fake, 4, 2000, 400)
    assert traffic(meter(server)) == ModelTraffic("chat", 4.0, 500.0, 100.0, prompt_scv=2.0)


def test_where_nothing_arrives_lengths_are_nobody_s(fake: FakePrometheus, server: ReplyServer) -> None:
    tells(fake, 0, 0, 0)
    assert traffic(meter(server)).requests_per_s == 0.0


def test_tokens_without_requests_are_of_requests_before(fake: FakePrometheus, server: ReplyServer) -> None:
    made = meter(server)
    tells(fake, 0, 0, 50)
    with pytest.raises(ShifterError, match="a longer range"):
        made.read(T0)
    tells(fake, 4, 2000, 400)
    made.read(T0)
    tells(fake, 0, 0, 50)
    assert traffic(made).requests_per_s == 0.5


@pytest.mark.parametrize(
    "answer",
    [vector(12.5), {"status": "success", "data": {"resultType": "scalar", "result": [1.7e9, "12.5"]}}],
)
def test_accelerators_at_once(fake: FakePrometheus, server: ReplyServer, answer: Any) -> None:
    fake.answers = {"sum(in_use)": answer}
    [told] = meter(server, LOAD).read(T0)
    assert (told.sample.realtime_accelerators, told.sample.traffic) == (12.5, None)


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (vector(), 200, "accelerators_query gives nothing. No series is like `sum"),
        (
            vector(1, 2),
            200,
            "accelerators_query: it gives 2 series, and one value is wanted. Sum over them: sum(",
        ),
        (vector("NaN"), 200, "what accelerators_query gives is nan"),
        (vector("+Inf"), 200, "what accelerators_query gives is inf"),
        (vector(-1), 200, "what accelerators_query gives is -1"),
        (vector("much"), 200, "in another form"),
        ({"status": "success", "data": {"resultType": "vector"}}, 200, "in another form"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, 200, "it gives a matrix"),
        (
            {"status": "error", "errorType": "bad_data", "error": "parse error"},
            400,
            "refuses it: parse error",
        ),
        ({"status": "error", "error": "timeout"}, 503, "did not answer: status 503"),
        ({}, 200, "something that no Prometheus says"),
        ([], 200, "something that no Prometheus says"),
        ({}, 401, "answered 401. It wants another bearer token"),
        ({}, 302, "answered 302 with something"),
    ],
)
def test_what_is_no_one_number_is_a_fault(
    fake: FakePrometheus, server: ReplyServer, answer: Any, status: int, said: str
) -> None:
    fake.answers, fake.status = {"sum(in_use)": answer}, status
    with pytest.raises(ShifterError) as refused:
        meter(server, LOAD).read(T0)
    assert said in str(refused.value)


def test_html_is_no_answer(server: ReplyServer) -> None:
    server.reply = lambda asked: Said(b"<html>proxy</html>")
    with pytest.raises(ShifterError, match="no Prometheus says"):
        meter(server).read(T0)


def test_a_slow_one_is_given_up(server: ReplyServer) -> None:
    server.reply = slow(0.5)
    began = time.monotonic()
    with pytest.raises(ShifterError, match="did not answer"):
        meter(server, timeout_s=0.15).read(T0)
    assert time.monotonic() - began < 0.45


def test_a_bearer_token_is_read_anew_and_never_told(
    fake: FakePrometheus, server: ReplyServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    made = meter(server, LOAD, key=KeyOptions(api_key_file=file))
    fake.answers = {"sum(in_use)": vector(1)}
    for secret in ("first-secret", "second-secret"):
        file.write_text(f"{secret}\n")
        made.read(T0)
        assert server.asked[-1].headers["authorization"] == f"Bearer {secret}"
    fake.answers = {"sum(in_use)": {"status": "error", "error": "not for second-secret"}}
    with pytest.raises(ShifterError, match=r"not for \*\*\*"):
        made.read(T0)
    file.write_text("")
    with pytest.raises(ShifterError, match="holds none"):
        made.read(T0)


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="there is no Prometheus server here")
def test_a_real_prometheus(tmp_path: Path) -> None:
    fake = FakeServer("vllm", requests=100, prompt_tokens=50_000, output_tokens=10_000)

    def counting(asked: Asked) -> Said:
        fake.serve(10)
        return fake.reply(asked)

    with ReplyServer(counting) as exporter, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        (tmp_path / "p.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: vllm, static_configs: "
            f"[{{targets: ['{exporter.url.removeprefix('http://')}']}}]}}]\n"
        )
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={tmp_path}/p.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            queries = {
                "requests_query": "sum(rate(vllm:request_success_total[4s]))",
                "prompt_tokens_query": "sum(rate(vllm:prompt_tokens_total[4s]))",
                "output_tokens_query": "sum(rate(vllm:generation_tokens_total[4s]))",
            }
            made = PrometheusMeter("real", PLACE, f"http://127.0.0.1:{port}", queries)
            found, last, ends = None, "", time.monotonic() + 12
            while time.monotonic() < ends and (found is None or found.requests_per_s < 5):
                time.sleep(0.3)
                try:
                    found = traffic(made)
                except ShifterError as error:
                    last = str(error)
            assert found is not None, last
            assert found.requests_per_s == pytest.approx(10.0, rel=0.5)
            assert found.prompt_tokens == pytest.approx(500, rel=0.2)
            assert found.output_tokens == pytest.approx(100, rel=0.2)
        finally:
            process.terminate()
            process.wait(10)
