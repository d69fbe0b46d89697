"""Meters in the settings: what they are made into, and every mistake in them at its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from shifter.errors import InputError
from shifter.files import read_fleet
from shifter.files.places import all_of
from shifter.meter_wiring import meters_of
from shifter.meters import KINDS
from shifter.meters.csv import CsvMeter
from shifter.meters.llama_cpp import LlamaCppMeter
from shifter.meters.prometheus import PrometheusMeter
from shifter.meters.typical import TypicalMeter
from shifter.meters.vllm import VllmMeter
from shifter.settings import check_config, load_settings
from shifter.settings.reference import _METERS_EXAMPLE

FLEET = """\
currency: EUR
sites:
  - name: fra
    zone: DE-LU
    pools:
      - {name: h100, accelerator: H100, count: 16, idle_kw: 0.1, busy_kw: 0.7}
      - {name: l40s, accelerator: L40S, count: 16, idle_kw: 0.1, busy_kw: 0.3}
models:
  - name: chat
    throughput_tokens_per_s: {H100: 900, L40S: 200}
    serving: {H100: {profile: {prefill_tokens_per_s: 20000, base_ms: 10, ms_per_sequence: 0.4, max_sequences: 64}}}
    latency_slo: {ttft_ms: 1500}
  - {name: bare, throughput_tokens_per_s: {H100: 900}}
"""
VLLM = "{kind: vllm, site: fra, pool: h100, model: chat, urls: ['http://a:1/metrics']}"
RATES = "requests_query: r, prompt_tokens_query: p, output_tokens_query: o"
PROMETHEUS = "{kind: prometheus, site: fra, pool: h100, model: chat, url: 'http://p:9090', " + RATES + "}"
LOAD = "{kind: prometheus, site: fra, pool: h100, url: 'http://p:9090', accelerators_query: a}"
LLAMA = (
    "{kind: llama_cpp, site: fra, pool: h100, model: chat, urls: ['http://a:1/metrics'], output_tokens: 90}"
)


def write(folder: Path, *meters: str) -> Path:
    (folder / "fleet.yaml").write_text(FLEET)
    lines = "".join(f"    - {meter}\n" for meter in meters)
    file = folder / "shifter.yaml"
    file.write_text(f"fleet: fleet.yaml\nrealtime:\n  profile: typical\n  meters:\n{lines}")
    return file


def problems(folder: Path, *meters: str) -> list[str]:
    found = check_config(write(folder, *meters))
    return [f"{p.line}:{p.column} {p.path}: {p.detail} {p.hint}" for p in found if p.severity == "error"]


def test_every_kind_is_made(tmp_path: Path) -> None:
    csv = "{kind: csv, path: load.csv, every_s: 60}"
    secret = PROMETHEUS.replace("chat", "chat, api_key_file: keys/prom, prompt_scv: 3").replace(
        "h100", "h100"
    )
    for meters in ([VLLM, csv], [secret], [LLAMA], [LOAD]):
        settings = load_settings(write(tmp_path, *meters), {}, {})
        made = meters_of(settings, read_fleet(tmp_path / "fleet.yaml"))
        for one in made:
            assert isinstance(one, VllmMeter | CsvMeter | PrometheusMeter | LlamaCppMeter)
            assert one.pool == (None if isinstance(one, CsvMeter) else ("fra", "h100"))
            assert one.every_s == (60 if isinstance(one, CsvMeter) else 10)
            if isinstance(one, CsvMeter):
                assert one._path == tmp_path / "load.csv"
            if isinstance(one, PrometheusMeter) and meters == [secret]:
                assert one._key is not None
                assert one._key.api_key_file == tmp_path / "keys/prom"
                assert one.place.prompt_scv == 3.0
                assert "keys/prom" not in repr(settings)
        assert len({one.name for one in made}) == len(meters)
    assert set(KINDS) == {"vllm", "csv", "prometheus", "llama_cpp", "typical"}


def test_the_example_of_the_reference_is_right(tmp_path: Path) -> None:
    shown = [line.removeprefix("# ") for line in _METERS_EXAMPLE.splitlines()]
    (tmp_path / "shifter.yaml").write_text("\n".join(shown))
    meters = load_settings(tmp_path / "shifter.yaml", {}, {}).realtime.meters
    assert [one.kind for one in meters] == ["vllm", "prometheus", "csv"]


def test_a_right_file_has_no_mistakes(tmp_path: Path) -> None:
    assert not problems(tmp_path, VLLM, "{kind: csv, path: load.csv}")


@pytest.mark.parametrize(
    ("meter", "said"),
    [
        (
            VLLM.replace("fra", "fru"),
            "5:26 realtime.meters[0].site: there is no site fru. Did you mean `fra`?",
        ),
        (VLLM.replace("h100", "h200"), "realtime.meters[0].pool: fra has no pool h200. Did you mean `h100`?"),
        (
            VLLM.replace("chat", "chad"),
            "realtime.meters[0].model: there is no model chad. Did you mean `chat`?",
        ),
        (VLLM.replace("h100", "l40s"), "give models[chat].serving.L40S a profile or a measured table"),
        (VLLM.replace("chat", "bare"), "nothing says how bare serves requests on H100"),
        (
            VLLM.replace("vllm", "vlm"),
            "kind must be one of prometheus, vllm, llama_cpp, csv, typical. Did you mean vllm?",
        ),
        ("{path: load.csv}", "realtime.meters[0]: kind is missing."),
        (
            VLLM.replace("urls", "url"),
            "realtime.meters[0].url: the key `url` is not known. Did you mean `urls`?",
        ),
        (
            VLLM.replace("http://a", "ftp://a"),
            "realtime.meters[0].urls[0]: each entry is not written as it must be",
        ),
        (VLLM.replace("['http://a:1/metrics']", "[]"), "must not be empty"),
        (VLLM.replace("['http://a:1/metrics']", "['http://a', 'http://a']"), "urls[1] comes twice"),
        (VLLM.replace("}", ", every_s: 0.1}"), "every_s"),
        (VLLM.replace("}", ", timeout_s: .nan}"), "timeout_s"),
        (LLAMA.replace(", output_tokens: 90", ""), "output_tokens"),
        (PROMETHEUS.replace("model: chat, ", ""), "needs model, requests_query"),
        (PROMETHEUS.replace("requests_query: r, ", ""), "needs model, requests_query"),
        (LOAD.replace("}", ", model: chat}"), "tells all: leave out model"),
        (LOAD.replace("}", ", api_key_file: a, api_key_env: B}"), "keep one"),
        (LOAD.replace("http://p:9090", "http:///p"), "no address"),
        ("{kind: csv}", "path"),
        ("{kind: typical, every_s: 0}", "every_s"),
        ("{kind: typical, site: fra}", "realtime.meters[0].site: the key `site` is not known."),
        ("7", "realtime.meters[0]: each entry must be a mapping of keys to values, not 7."),
        ("null", "realtime.meters[0]: each entry must be a mapping of keys to values"),
    ],
)
def test_a_mistake_is_named_at_its_place(tmp_path: Path, meter: str, said: str) -> None:
    found = problems(tmp_path, meter)
    assert len(found) == 1, found
    assert said in found[0]
    assert found[0].startswith("5:")


@pytest.mark.parametrize(
    ("meters", "said"),
    [
        ((VLLM, PROMETHEUS), "realtime.meters[1].model: chat at fra/h100 is told by another meter already."),
        ((VLLM, LOAD), "realtime.meters[1]: fra/h100 has another meter already"),
        ((LOAD, VLLM), "realtime.meters[1]: fra/h100 has another meter already"),
        (("{kind: csv, path: a.csv}", "{kind: csv, path: a.csv}"), "realtime.meters[1].path"),
    ],
)
def test_nothing_is_counted_twice(tmp_path: Path, meters: tuple[str, ...], said: str) -> None:
    [found] = problems(tmp_path, *meters)
    assert said in found
    assert found.startswith("6:")


def test_a_meter_that_makes_load_up_is_of_the_whole_fleet(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "{kind: typical, seed: 3}"), {}, {})
    [made] = meters_of(settings, read_fleet(tmp_path / "fleet.yaml"))
    assert isinstance(made, TypicalMeter)
    assert (made.name, made.pool) == ("typical", None)
    told = {(one.sample.site, one.sample.pool) for one in made.read(datetime(2026, 1, 10, tzinfo=UTC))}
    assert told == {("fra", "h100"), ("fra", "l40s")}


@pytest.mark.parametrize(
    ("profile", "meters", "said"),
    [
        ("measured", ("{kind: typical}",), "whose load is made up, without profile: typical"),
        ("null", ("{kind: typical}",), "whose load is made up, without profile: typical"),
        ("typical", ("{kind: typical}", VLLM), "which makes up all pools, and another one"),
        ("typical", ("{kind: typical}", "{kind: typical}"), "which makes up all pools, and another one"),
    ],
)
def test_load_that_is_made_up_is_not_learnt_from_nor_mixed_with_what_is_measured(
    tmp_path: Path, profile: str, meters: tuple[str, ...], said: str
) -> None:
    file = write(tmp_path, *meters)
    file.write_text(file.read_text().replace("profile: typical", f"profile: {profile}"))
    [found] = [p for p in check_config(file) if p.severity == "error"]
    assert said in found.detail
    assert found.path == "realtime"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    settings = load_settings(
        write(tmp_path, VLLM.replace("fra", "fru"), VLLM.replace("chat", "chad")), {}, {}
    )
    with pytest.raises(InputError) as refused:
        meters_of(settings, read_fleet(tmp_path / "fleet.yaml"))
    assert [e.field for e in all_of(refused.value)] == ["realtime.meters[0].site", "realtime.meters[1].model"]
