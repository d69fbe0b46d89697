"""How models serve, in fleet.yaml: read, written as it was, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from shifter.domain.fleet import Fleet
from shifter.domain.serving import LatencySlo, MeasuredRate, Serving, ServingProfile
from shifter.errors import InputError
from shifter.files import fleet_warnings, parse_fleet, read_fleet
from shifter.files.document import parse_document
from shifter.store.snapshots import adapter, plain
from tests.files.good import FLEET, mistakes

PROFILE = "{prefill_tokens_per_s: 9700, base_ms: 29.5, ms_per_sequence: 0.31, max_sequences: 64}"
MEASURED = "[{replicas: 1, requests_per_s: 2}, {replicas: 4, requests_per_s: 9.5}]"
LLAMA = f"""\
    accelerators_per_replica: {{H100-SXM: 4, L40S: 8}}
    serving:
      H100-SXM: {{profile: {PROFILE}, min_replicas: 1}}
      L40S: {{measured: {MEASURED}}}
    latency_slo: {{ttft_ms: 1500, latency_ms: 40000, quantile: 0.95}}
"""
SERVES = FLEET.replace("    accelerators_per_replica: {H100-SXM: 4, L40S: 8}\n", LLAMA, 1)


def test_it_is_read_and_is_the_same_in_a_snapshot() -> None:
    fleet = parse_fleet(parse_document(SERVES, "f").data)
    llama = fleet.by_model["llama"]
    assert llama.serving["H100-SXM"] == Serving(ServingProfile(9700, 29.5, 0.31, 64), min_replicas=1)
    assert llama.serving["L40S"] == Serving(measured=(MeasuredRate(1, 2), MeasuredRate(4, 9.5)))
    assert llama.latency_slo == LatencySlo(1500, 40000, 0.95)
    assert llama.replica("L40S") == 8
    assert adapter(Fleet).validate_python(plain(fleet)) == fleet


def test_a_fleet_that_says_nothing_of_it_is_written_as_it_was() -> None:
    models = plain(parse_fleet(parse_document(FLEET, "f").data))["models"]
    before = {"name", "throughput_tokens_per_s", "accelerators_per_replica", "load_minutes"}
    assert all(model.keys() == before for model in models)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("L40S: {measured", "L40: {measured", "serving.L40: the model `llama` has no throughput on `L40`"),
        (f"measured: {MEASURED}", "min_replicas: 1", "serving.L40S: nothing says how it serves"),
        ("replicas: 4,", "replicas: 1,", "measured[1].replicas: 1 is no more than the 1 of the row before."),
        ("requests_per_s: 9.5", "requests_per_s: 2", "measured[1].requests_per_s: 2 is no more than the 2"),
        ("ttft_ms: 1500, latency_ms: 40000, ", "", "latency_slo: the objective allows any latency."),
        (
            "ttft_ms: 1500",
            "ttft_ms: 50000",
            "the first token may take 50000 ms, and the whole answer 40000 ms.",
        ),
        ("quantile: 0.95}", "quantile: 95}", "`quantile` must be at most 0.9999, not 95"),
        ("base_ms: 29.5, ", "", "`base_ms` is missing"),
        ("base_ms: 29.5", "base_ms: 0", "`base_ms` must be at least 1e-06, not 0"),
        ("max_sequences: 64", "max_sequences: 64.5", "`max_sequences` must be a whole number"),
        ("max_sequences: 64", "max_sequences: 64, kv_cache: 9", "the key `kv_cache` is not known"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SERVES
    file = tmp_path / "fleet.yaml"
    file.write_text(SERVES.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_fleet(file)
    [said] = mistakes(caught)
    assert expected in said
    assert said.startswith(f"{file}:")


def test_a_profile_that_nothing_is_sized_by_is_probably_not_meant() -> None:
    fleet = parse_fleet(parse_document(SERVES.replace("    latency_slo", "    # latency_slo"), "f").data)
    told = {loc: detail for loc, detail, _ in fleet_warnings(fleet)}
    assert "nothing can be sized by it" in told["models", 0, "serving", "H100-SXM", "profile"]
    assert not [w for w in fleet_warnings(parse_fleet(parse_document(SERVES, "f").data)) if "serving" in w[0]]
