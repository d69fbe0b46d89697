"""`shifter config check FILE`: what a file is, and every problem in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shifter.errors import InputError
from shifter.settings import check_config, load_settings
from tests.files.good import EXAMPLES, FLEET


def check(tmp_path: Path, name: str, text: str) -> list[str]:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return [str(p).replace(f"{tmp_path}/", "") for p in check_config(file)]


def mistakes(found: list[str]) -> list[str]:
    return [p for p in found if ": error: " in p]


CHECKED = sorted(f for f in EXAMPLES.iterdir() if f.name != "forecasts.csv")
"""What sources say is no configuration: it is checked whenever it is read."""


@pytest.mark.parametrize("file", CHECKED, ids=lambda f: f.name)
def test_every_example_is_right(file: Path) -> None:
    assert check_config(file, now=datetime(2026, 1, 10, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("header", "now", "clock", "expected"),
    [
        ("p50,accelerators_p99", "2026-01-11T23:59:59", "", []),
        ("p50,accelerators_p90", "2026-01-10T00:00:00", "", []),
        (
            "p50",
            "2026-01-10T00:00:00",
            "",
            ["only the median (p50) is given, and a site reserves for its resilience.quantile"],
        ),
        ("p50,accelerators_p99", "2026-01-13T00:00:00", "", ["all rows end by Mon 12 Jan 2026 00:00 UTC"]),
        ("p50,accelerators_p99", "2026-01-13T00:00:00", "2026-01-10T00:00:00Zx60", []),
        ("p50,accelerators_p99", "2026-01-10T00:00:00", "2026-02-10T00:00:00Z", ["all rows end by Mon"]),
    ],
)
def test_what_is_odd_about_real_time_load(
    tmp_path: Path, header: str, now: str, clock: str, expected: list[str]
) -> None:
    file = tmp_path / "realtime.csv"
    row = "frankfurt,h100,2026-01-10T00:00:00Z,2026-01-12T00:00:00Z" + ",8" * (header.count(",") + 1)
    file.write_text(f"site,pool,start,end,accelerators_{header}\n{row}\n", encoding="utf-8")
    settings = tmp_path / "shifter.yaml"
    settings.write_text("realtime: realtime.csv\n" + (f"clock: {clock}\n" if clock else ""), "utf-8")
    found = check_config(settings if clock else file, now=datetime.fromisoformat(now + "+00:00"))
    assert {p.severity for p in found} <= {"warning"}
    assert len(found) == len(expected)
    assert all(e in p.detail for e, p in zip(expected, found, strict=True)), found
    assert all(p.hint and p.file.endswith("realtime.csv") and p.line == 1 for p in found)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.yaml",
            FLEET.replace("sites:", "sties:"),
            "a.yaml:2:1 sties: error: the key `sties` is not known. Did you mean `sites`?",
        ),
        ("a.yml", FLEET.replace("count: 96", "count: x"), "a.yml:13:16 sites[0].pools[0].count: error: "),
        (
            "a.yaml",
            FLEET.replace("{L40S: 9000}", "{A100: 1}"),
            "models[1].throughput_tokens_per_s: warning: no pool has",
        ),
        ("a.yaml", "port: x\n", "a.yaml:1:7 port: error: `port` must be a whole number"),
        ("a.yaml", "hsot: x\n", "Did you mean `host`?"),
        ("a.yaml", "host: 0.0.0.0\n", "a.yaml:1:7 host: warning: anyone who reaches 0.0.0.0"),
        ("a.yaml", "leases: {ttl_s: 5}\n", "a.yaml:1:17 leases.ttl_s: warning: leases of 5 s"),
        ("a.jsonl", '{"id": "a"}\n', "a.jsonl:1 tokens: error: neither tokens"),
        ("a.json", '[{"id": "a"}]', "a.json:1:2 [0].tokens: error: neither tokens"),
        ("a.json", '{"id": "a", "tokens": 3}', "error: tokens are given without a model"),
        ("a.csv", "site,pool\n", "a.csv:1: error: the column `start` is missing"),
        ("a.csv", "zone,issued_at,start\n", "a.csv:1: error: this is a forecasts.csv"),
        ("plan.json", "{}", "plan.json: error: `cost` is missing"),
        (
            "a.json",
            json.dumps({"plan_id": "p", "slots": [], "duals": {}, "cost": {}}),
            "error: `capacity` is missing",
        ),
        ("a.yaml", "a: [", "a.yaml:1:5: error: this is not YAML"),
    ],
)
def test_problems_are_named_with_line_and_path(tmp_path: Path, name: str, text: str, expected: str) -> None:
    found = check(tmp_path, name, text)
    assert any(expected in p for p in found), found


def test_a_hole_in_real_time_load_is_a_mistake(tmp_path: Path) -> None:
    row = "oslo,l40s,2026-01-10T{:02}:00:00Z,2026-01-10T{:02}:00:00Z,1,2\n"
    header = "site,pool,start,end,accelerators_p50,accelerators_p99\n"
    found = check(tmp_path, "rt.csv", header + row.format(0, 9) + row.format(21, 23))
    assert found[0].startswith(
        "rt.csv:3 start: error: no row of oslo/l40s covers 2026-01-10T09:00:00Z to 2026-01-10T21:00:00Z."
    )


def test_files_that_settings_name_are_checked_with_them(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET.replace("count: 96", "count: 0"), encoding="utf-8")
    found = check(tmp_path, "shifter.yaml", "fleet: fleet.yaml\nrealtime: rt.csv\n")
    assert [p.split(": ")[0] for p in found] == ["fleet.yaml:13:16 sites[0].pools[0].count", "rt.csv"]
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    row = "oslo,h100,2026-01-10T00:00:00Z,2026-01-11T00:00:00Z,1,2\n"
    (tmp_path / "rt.csv").write_text("site,pool,start,end,accelerators_p50,accelerators_p99\n" + row)
    found = check(tmp_path, "shifter.yaml", "fleet: fleet.yaml\nrealtime: rt.csv\n")
    assert [p for p in found if "error" in p] == [
        "rt.csv:2 pool: error: the site `oslo` has no pool `h100`. Known pools: l40s."
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{name: energy_charts, options: {bsae_url: 3}}",
            "shifter.yaml:1:55 forecasts.sources[0].options.bsae_url: error: the key `bsae_url` is not known.",
        ),
        (
            "{name: typical, options: {seed: x}}",
            "shifter.yaml:1:55 forecasts.sources[0].options.seed: error: `seed` must be a whole number, not",
        ),
        (
            "{name: csv}",
            "shifter.yaml:1:23 forecasts.sources[0].options: error: give either path or url.",
        ),
        (
            "{name: csv, options: {url: 'http://a/b', price_unit: EUR/kWh/h}}",
            "shifter.yaml:1:76 forecasts.sources[0].options.price_unit: error: the unit 'EUR/kWh/h'",
        ),
        (
            "{name: csv, options: {path: nope.csv}}",
            "shifter.yaml:1:51 forecasts.sources[0].options.path: error: nope.csv cannot be read: No such file",
        ),
        (
            "{name: csv, options: {path: half.csv}}",
            "shifter.yaml:1:51 forecasts.sources[0].options.path: error: half.csv:1: there is no column 'zone'.",
        ),
        ("{name: csv, options: {path: whole.csv}}", ""),
        (
            "{name: tariff, options: {currency: EUR, timezone: UTC, wholesale: {name: csv, options: {path: no.csv}}}}",
            "shifter.yaml:1:117 forecasts.sources[0].options.wholesale.options.path: error: no.csv cannot be read",
        ),
    ],
)
def test_sources_are_held_against_what_they_know(tmp_path: Path, source: str, expected: str) -> None:
    (tmp_path / "half.csv").write_text("zon,issued_at,start,end,price_per_mwh\n")
    (tmp_path / "whole.csv").write_text("zone,issued_at,start,end,price_per_mwh\n")
    found = check(tmp_path, "shifter.yaml", f"forecasts: {{sources: [{source}]}}\n")
    assert [p[: len(expected)] for p in found] == ([expected] if expected else []), found


def test_loading_refuses_options_in_the_same_words(tmp_path: Path) -> None:
    text = "forecasts: {sources: [{name: energy_charts, options: {base_ulr: 3}}]}\n"
    (problem,) = check(tmp_path, "shifter.yaml", text)
    with pytest.raises(InputError) as caught:
        load_settings(tmp_path / "shifter.yaml", {}, {})
    assert caught.value.field == f"{tmp_path}/shifter.yaml:1:55 forecasts.sources[0].options.base_ulr"
    assert caught.value.detail in problem
    assert caught.value.hint == "Did you mean `base_url`?"
    assert caught.value.hint in problem


TARIFF = "{name: tariff, options: {currency: EUR, timezone: Europe/Oslo, price_per_mwh: 90}}"


@pytest.mark.parametrize(
    ("forecasts", "expected", "hint"),
    [
        (
            "sources: [{name: typical, zones: [GB, DELU]}]",
            "1:51 forecasts.sources[0].zones[1]: error: the source typical does not know the zone 'DELU'.",
            "Did you mean DE-LU?",
        ),
        (
            "sources: [{name: energy_charts, zones: [GB]}]",
            "1:53 forecasts.sources[0].zones[0]: error: the source energy_charts does not know the zone 'GB'.",
            "'GB'. It knows AT, ",
        ),
        (
            "sources: [{name: typical, zones: [GB]}, {name: typical, zones: [DE-LU]}]",
            "1:53 forecasts.sources[1]: error: there is a source named typical already",
            "Name it once, with all its zones and signals.",
        ),
        (
            f"sources: [{TARIFF}, {TARIFF}]",
            "1:107 forecasts.sources[1]: error: there is a source named tariff already",
            "Give each tariff source a `name` of its own among its options.",
        ),
        (
            "sources: [{name: energy_charts, zones: [FR], options: {base_url: '127.0.0.1:9'}}]",
            "1:78 forecasts.sources[0].options.base_url: error: base_url is no address that begins with http://",
            "or https://.",
        ),
        (
            "sources: [{name: csv, options: {url: example.org/f.csv}}]",
            "1:50 forecasts.sources[0].options.url: error: url is no address that begins with http://",
            "or https://.",
        ),
    ],
)
@pytest.mark.parametrize("fleet", ["", "fleet: fleet.yaml\n"])
def test_what_a_start_refuses_is_a_mistake(
    tmp_path: Path, forecasts: str, expected: str, hint: str, fleet: str
) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    (problem,) = mistakes(check(tmp_path, "shifter.yaml", f"forecasts: {{{forecasts}}}\n{fleet}"))
    assert problem.startswith(f"shifter.yaml:{expected}")
    assert hint in problem
    assert "It is or" not in problem


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            "forecasts: {sources: [{name: neso}]}",
            "2:23 forecasts.sources[0].zones: error: the source neso knows no zone of the fleet.",
        ),
        (
            "forecasts: {order: {FR: {price: []}}}",
            "2:25 forecasts.order.FR: error: no site of the fleet is in the zone FR.",
        ),
        (
            "forecasts: {max_age_hours_by_zone: {FR: {price: 3}}}",
            "2:41 forecasts.max_age_hours_by_zone.FR: error: no site of the fleet is in the zone FR.",
        ),
        (
            "grid_events: {openadr3: [{name: dso, base_url: 'http://vtn', site: rome}]}",
            "2:68 grid_events.openadr3[0].site: error: there is no site rome.",
        ),
    ],
)
def test_settings_are_held_against_the_fleet_as_at_a_start(
    tmp_path: Path, settings: str, expected: str
) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    (problem,) = mistakes(check(tmp_path, "shifter.yaml", f"fleet: fleet.yaml\n{settings}\n"))
    assert problem.startswith(f"shifter.yaml:{expected}")


def test_every_source_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    wrong = "{name: typical, zones: [XX, YY]}, {name: typical, zones: [GB]}, {name: typical, zones: [GB]}"
    found = check(tmp_path, "shifter.yaml", f"forecasts: {{sources: [{wrong}]}}\n")
    assert [p.split(": ")[0].split(" ")[1] for p in found] == [
        "forecasts.sources[0].zones[0]",
        "forecasts.sources[0].zones[1]",
        "forecasts.sources[2]",
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = check_config(tmp_path / "no.yaml")
    assert (problem.severity, problem.detail) == ("error", "there is no such file.")
