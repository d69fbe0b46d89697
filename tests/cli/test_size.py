"""`shifter size`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shifter.cli.main import main
from tests.cli.helpers import answer as answer_of_a_process

FLEET = """\
currency: EUR
sites:
  - {name: a, zone: DE-LU, pools: [{name: h100, accelerator: H100, count: 256}, {name: l, accelerator: L40S, count: 8}]}
models:
  - name: llama
    throughput_tokens_per_s: {H100: 160, L40S: 30}
    accelerators_per_replica: {H100: 8}
    serving:
      H100: {profile: {prefill_tokens_per_s: 9700, base_ms: 29.5, ms_per_sequence: 0.31, max_sequences: 64}}
    latency_slo: {ttft_ms: 2000, latency_ms: 45000, quantile: 0.99}
  - name: embed
    throughput_tokens_per_s: {H100: 9000, L40S: 4000}
    serving:
      H100: {measured: [{replicas: 1, requests_per_s: 40}, {replicas: 4, requests_per_s: 180}]}
      L40S: {measured: [{replicas: 1, requests_per_s: 15}], min_replicas: 2}
  - name: any
    throughput_tokens_per_s: {H100: 160}
    serving: &serving
      H100: {profile: {prefill_tokens_per_s: 9700, base_ms: 29.5, ms_per_sequence: 0.31, max_sequences: 64}}
  - name: slow
    throughput_tokens_per_s: {H100: 160}
    serving: *serving
    latency_slo: {latency_ms: 9, quantile: 0.99}
"""
CHAT = ("--rate", "8", "--prompt-tokens", "1155", "--output-tokens", "211")


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def shifter(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command in this process: what is slow is to start one."""
    for name in [n for n in os.environ if n.startswith("SHIFTER_") or n in {"COLUMNS", "NO_COLOR"}]:
        monkeypatch.delenv(name)

    def run(*args: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(args)
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def answer(shifter: Any) -> Any:
    """What it says with `--json`."""

    def run(*args: str) -> Any:
        done = shifter(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def fleet(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    return "--fleet", str(tmp_path / "fleet.yaml")


def test_one_model_with_what_one_replica_more_or_fewer_would_come_to(
    fleet: tuple[str, str], answer: Any, shifter: Any
) -> None:
    found = answer_of_a_process("size", *fleet, "--model", "llama", *CHAT, "--simulate")
    assert (found["replicas"], found["accelerators"], found["by"]) == (5, 40, "profile")
    assert [e["in_time"] for e in found["around"]] == [False, True, True]
    assert [e["replicas"] for e in found["around"]] == [4, 5, 6]
    assert found["around"][1]["latency_ms"] <= 45_000
    assert found["simulated"]["latency_attained"] >= 0.985
    done = shifter("size", *fleet, "--model", "llama", *CHAT)
    assert "too few" in done.stdout
    assert "llama on H100, 8 requests per s: 5 replicas (40 accelerators)" in done.stderr


def test_a_table_and_what_is_kept_warm(fleet: tuple[str, str], answer: Any, shifter: Any) -> None:
    asked = ("size", *fleet, "--model", "embed", "--prompt-tokens", "300", "--output-tokens", "1")
    found = answer(*asked, "--accelerator", "H100", "--rate", "100")
    assert (found["replicas"], found["by"], found["around"]) == (3, "measured", [])
    assert answer(*asked, "--accelerator", "L40S", "--rate", "0")["replicas"] == 2
    assert "By the measured table." in shifter(*asked, "--accelerator", "H100", "--rate", "100").stderr
    bare = ("size", *fleet, "--model", "embed", "--accelerator", "H100", "--rate", "100")
    assert answer(*bare)["replicas"] == 3, "a table is right for the lengths that it was measured at"


def test_a_profile_asks_how_long_requests_are(fleet: tuple[str, str], shifter: Any) -> None:
    done = shifter("size", *fleet, "--model", "llama", "--rate", "8", "--output-tokens", "211")
    assert done.returncode == 2
    assert "--prompt-tokens: a profile sizes by how long requests are." in done.stderr


def test_what_is_kept_warm_is_told_where_nothing_comes(fleet: tuple[str, str], answer: Any) -> None:
    file = Path(fleet[1])
    file.write_text(
        file.read_text("utf-8").replace("max_sequences: 64}}", "max_sequences: 64}, min_replicas: 1}"),
        "utf-8",
    )
    found = answer("size", *fleet, "--model", "llama", "--rate", "0", *CHAT[2:], "--simulate")
    assert found["accelerators"] == 8
    assert found["around"][0]["utilisation"] == 0
    assert found["simulated"] is None


def test_a_chain_is_the_sum_of_its_steps(fleet: tuple[str, str], answer: Any, shifter: Any) -> None:
    asked = ("size", *fleet, "--model", "llama", *CHAT, "--then", "llama:2500:250", "--latency-ms", "90000")
    found = answer(*asked)
    assert found["accelerators"] == sum(step["accelerators"] for step in found["steps"])
    assert sum(step["latency_ms"] for step in found["steps"]) == pytest.approx(90_000)
    assert [step["model"] for step in found["steps"]] == ["llama", "llama"]
    done = shifter(*asked)
    assert f"{found['accelerators']} accelerators" in done.stderr


def test_no_requests_need_nothing(fleet: tuple[str, str], answer: Any) -> None:
    asked = (
        "size",
        *fleet,
        "--model",
        "llama",
        "--prompt-tokens",
        "1",
        "--output-tokens",
        "9",
        "--rate",
        "0",
    )
    assert answer(*asked)["accelerators"] == 0
    assert answer(*asked, "--then", "llama:9:9")["accelerators"] == 0


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("--model", "llama", *CHAT, "--latency-ms", "20000"), 1, "more than the 20,000 ms allowed"),
        (("--model", "lama", *CHAT), 2, "Did you mean `llama`?"),
        (("--model", "llama", *CHAT, "--accelerator", "L40S"), 2, "how llama serves requests on L40S"),
        (
            ("--model", "embed", *CHAT),
            2,
            "--accelerator: embed serves on H100, L40S. Say which with --accelerator.",
        ),
        (("--model", "llama", *CHAT, "--then", "llama:9"), 2, "--then: 'llama:9' is no step"),
        (("--model", "llama", *CHAT[:-1], "0"), 2, "--output-tokens: 0 is not between 1 and"),
        (
            ("--model", "llama", "--rate", "-1", *CHAT[2:]),
            2,
            "'--rate': Input should be greater than or equal to 0",
        ),
        (
            ("--model", "llama", "--rate", "inf", *CHAT[2:]),
            2,
            "--rate: a rate of requests is negative or not a number",
        ),
        (
            ("--model", "llama", "--rate", "1e12", *CHAT[2:]),
            2,
            "--rate: 1e+12 requests per s would take more",
        ),
        (("--model", "llama", *CHAT, "--latency-ms", "9"), 1, "--latency-ms: no number of replicas"),
        (("--model", "llama", *CHAT, "--ttft-ms", "9"), 1, "--ttft-ms: no number of replicas"),
        (("--model", "slow", *CHAT), 1, "latency_slo.latency_ms: no number of replicas"),
        (("--model", "any", *CHAT), 2, "models[any].latency_slo: nothing says how fast"),
        (("--model", "any", *CHAT), 2, "Give --ttft-ms, --latency-ms or both."),
        (("--model", "llama", *CHAT, "--accelerator", "L40S"), 2, "--accelerator: nothing says how llama"),
        (("--model", "llama", *CHAT, "--then", "llama:-4:9"), 2, "--then: -4 is not between 0 and"),
        (("--model", "llama", *CHAT, "--then", "llama:nan:9"), 2, "--then: nan is not between 0 and"),
        (("--model", "llama", *CHAT, "--then", "lama:4:9"), 2, "--then: the fleet has no model `lama`"),
        (("--model", "llama", *CHAT, "--then", "embed:4:9"), 2, "--then: embed serves on H100, L40S."),
        (
            ("--model", "llama", *CHAT, "--then", "llama:9:9", "--latency-ms", "9"),
            1,
            "--latency-ms: no number of replicas makes",
        ),
        (
            ("--model", "embed", "--accelerator", "H100", *CHAT, "--then", "llama:9:9"),
            2,
            "--latency-ms: a chain",
        ),
    ],
)
def test_what_is_wrong_is_told(
    fleet: tuple[str, str], args: tuple[str, ...], code: int, told: str, shifter: Any
) -> None:
    done = shifter("size", *fleet, *args)
    assert done.returncode == code, done.stderr
    assert told in " ".join(done.stderr.replace("hint: ", "").split())
    assert done.stdout == ""
