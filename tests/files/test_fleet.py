"""fleet.yaml: read whole, or every mistake named with its line and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shifter.errors import InputError
from shifter.files import fleet_warnings, parse_fleet, read_fleet
from shifter.files.document import parse_document
from tests.files.good import EXAMPLES, FLEET, mistakes

TEN_TO_TWELVE = "{start: 2026-01-10T10:00:00Z, end: 2026-01-10T12:00:00Z, available_kw: 1}"


def refuse(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    text = FLEET
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "fleet.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_fleet(file)
    return [m.removeprefix(f"{tmp_path}/") for m in mistakes(caught)]


def test_a_fleet_is_read(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET, encoding="utf-8")
    fleet = read_fleet(tmp_path / "fleet.yaml")
    assert fleet.by_site["oslo"].jurisdiction == "NO"
    assert fleet.pools["frankfurt", "h100"][1].failure_domains == 8
    assert fleet.by_model["llama"].accelerators_per_replica == {"H100-SXM": 4, "L40S": 8}
    assert fleet == parse_fleet(parse_document(FLEET, "f").data)


def test_the_example_is_right_and_unsuspicious() -> None:
    fleet = read_fleet(EXAMPLES / "fleet.yaml")
    assert {site.tier for site in fleet.sites} == {"central", "regional", "edge"}
    assert not list(fleet_warnings(fleet))


def test_the_example_of_further_terms_is_right_and_unsuspicious() -> None:
    fleet = read_fleet(EXAMPLES / "fleet-terms.yaml")
    assert fleet.by_site["sevilla"].generation is not None
    assert not list(fleet_warnings(fleet))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("generation: {windows: []}", "generation.windows: `windows` must not be empty"),
        (
            "generation: {windows: [{start: 2026-01-10T10:00:00Z, end: 2026-01-10T09:00:00Z, available_kw: 1}]}",
            "generation.windows[0].end: the window ends at 2026-01-10T09:00:00Z, which is not after its start.",
        ),
        (
            f"generation: {{windows: [{TEN_TO_TWELVE}, {TEN_TO_TWELVE.replace('T10', 'T11')}]}}",
            "generation.windows[1].start: the window starts before the one ends that starts at 2026-01-10T10:00:00Z.",
        ),
        (
            "export_limit_kw: 5",
            "export_limit_kw: the site may export, and nothing says what an exported MWh earns",
        ),
        ("export_limit_kw: -5", "export_limit_kw: `export_limit_kw` must be at least 0"),
    ],
)
def test_mistakes_in_what_a_site_has_besides_are_named(tmp_path: Path, more: str, expected: str) -> None:
    [said] = refuse(tmp_path, ("    pue: ", f"    {more}\n    pue: "))
    assert expected in said


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (
            "{kind: carbon, limit: 1, start: 2026-01-10T00:00:00Z, end: 2026-01-11T00:00:00Z}",
            "budgets[0].kind",
        ),
        (
            "{kind: money, limit: 1, start: 2026-01-11T00:00:00Z, end: 2026-01-10T00:00:00Z}",
            "budgets[0].end: the budget ends at 2026-01-10T00:00:00Z, which is not after its start.",
        ),
        (
            "{kind: money, limit: 1, start: 2026-01-10T00:00:00Z, end: 2026-01-11T00:00:00Z, sites: [olso]}",
            "budgets[0].sites[0]: the fleet has no site `olso`. Did you mean `oslo`",
        ),
    ],
)
def test_mistakes_in_budgets_are_named(tmp_path: Path, budget: str, expected: str) -> None:
    [said] = refuse(tmp_path, ("currency: EUR", f"currency: EUR\nobjective: {{budgets: [{budget}]}}"))
    assert expected in said


def test_a_price_of_export_without_export_is_suspicious() -> None:
    text = FLEET.replace("    pue: ", "    export_price_per_mwh: 5\n    pue: ", 1)
    fleet = parse_fleet(parse_document(text, "f").data)
    assert any("may export nothing" in detail for _, detail, _ in fleet_warnings(fleet))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "count: 96",
            "coutn: 96",
            "fleet.yaml:13:9 sites[0].pools[0].coutn: the key `coutn` is not known. Did you mean",
        ),
        ("count: 96", "count: 96\n        colour: red", "Known keys: accelerator, busy_kw, count"),
        (
            "count: 96",
            'count: "96"',
            "fleet.yaml:13:16 sites[0].pools[0].count: `count` must be a whole number, not",
        ),
        ("count: 96", "count: true", "must be a whole number, not true"),
        ("count: 96", "count: 96.0", "without a point"),
        ("count: 96", "count: 0", "must be at least 1, not 0"),
        ("count: 96", "count: 999999999999999999999999", "at most 1"),
        ("pue: 1.25", "pue: .nan", "fleet.yaml:6:10 sites[0].pue: `pue` must be a finite number"),
        ("pue: 1.25", "pue: .inf", "`pue` must be"),
        ("pue: 1.25", "pue: 0.8", "`pue` must be at least 1, not 0.8"),
        ("zone: DE-LU", "x: 1", "sites[0].zone: `zone` is missing. It is grid zone"),
        ("zone: DE-LU", "zone: 12", "`zone` must be text, not 12. Put it in quotes."),
        ("zone: DE-LU", "zone: DE LU", "A name begins with"),
        (
            "tier: edge",
            "tier: egde",
            'must be one of central, regional, edge, not "egde". Did you mean edge?',
        ),
        ("currency: EUR", "currency: euro", "fleet.yaml:1:11 currency:"),
        ("17:00:00Z", "17:00:00", "has no time zone"),
        ("2026-01-10T17:00:00Z", "1768064400", "must be a time, as text"),
        ("2026-01-10T17:00:00Z", '"1768064400"', "is not a time"),
        ("2026-01-10T17:00:00Z", "9999-12-31T23:59:59-23:00", "out of range"),
        ("2026-01-10T17:00:00Z", "0001-01-01T00:00:00+23:00", "out of range"),
        ("2026-01-10T17:00:00Z", "tomorrow", "is not a time"),
        ("battery: {", "battery: 5 #", "`battery` must be a mapping of keys to values, not 5."),
        (
            "currency: EUR",
            "currency: EUR\ncurrency: USD",
            "fleet.yaml:2:1 currency: the key `currency` is given twice",
        ),
        (
            "name: oslo",
            "name: frankfurt",
            "fleet.yaml:20:11 sites[1].name: the site `frankfurt` is already sites[0]",
        ),
        ("{name: l40s", "{name: h100", "sites[0].pools[1].name: the pool `h100` is already pools[0]"),
        ("- name: embed", "- name: llama", "the model `llama` is already models[0]"),
        (
            "count: 96",
            "count: 4",
            "sites[0].pools[0].failure_domains: a count of 4 accelerators cannot be 8 equal groups",
        ),
        ("busy_kw: 0.75", "busy_kw: 0.1", "busy_kw 0.1 lies below idle_kw 0.12"),
        (
            "busy_kw: 0.75",
            "busy_kw: 0.75\n        power_caps: [{busy_kw: 0.75, throughput_ratio: 0.9}]",
            "sites[0].pools[0].power_caps[0].busy_kw: 0.75 kW does not lie between idle_kw 0.12 and busy_kw 0.75.",
        ),
        (
            "busy_kw: 0.75",
            "busy_kw: 0.75\n        power_caps: [{busy_kw: 0.1, throughput_ratio: 0.9}]",
            "0.1 kW does not lie between idle_kw",
        ),
        (
            "busy_kw: 0.75",
            "busy_kw: 0.75\n        power_caps: [{busy_kw: 0.5, throughput_ratio: 1.1}]",
            "`throughput_ratio` must be",
        ),
        (
            "busy_kw: 0.75",
            "busy_kw: 0.75\n        power_caps: "
            + str([{"busy_kw": 0.5, "throughput_ratio": r} for r in (0.8, 0.9)]),
            "power_caps[1].busy_kw: a cap of 0.5 kW is given twice.",
        ),
        ("power_limit_kw: 110", "power_limit_kw: 11", "idle accelerators alone draw 14.4 kW"),
        ("initial_kwh: 100", "initial_kwh: 10", "does not lie between min_kwh 20 and energy_kwh 200"),
        ("min_kwh: 20", "min_kwh: 300", "min_kwh 300 exceeds energy_kwh 200"),
        ("end: 2026-01-10T19", "end: 2026-01-10T16", "sites[0].power_limits[0].end: the window ends at"),
        ("L40S: 8}", "L40: 8}", "has no throughput on `L40`, so it cannot run there. Did you mean `L40S`?"),
        ("    battery: {energy", "    #", "the site has no battery to ride through 10 minutes"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    found = refuse(tmp_path, (old, new))
    assert any(expected in m for m in found), found
    assert all(m.startswith("fleet.yaml:") for m in found)


def test_all_mistakes_are_named_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    found = refuse(
        tmp_path, ("currency: EUR", "currency: eur"), ("pue: 1.25", "peu: 1.25"), ("count: 96", "count: x")
    )
    assert [m.split(" ")[0] for m in found] == ["fleet.yaml:1:11", "fleet.yaml:6:5", "fleet.yaml:13:16"]


def test_a_misspelt_key_is_one_mistake_not_two(tmp_path: Path) -> None:
    assert len(refuse(tmp_path, ("zone: DE-LU", "zoen: DE-LU"))) == 1


@pytest.mark.parametrize("raw", [None, [], "fleet", 3, {}, {"currency": "EUR", "sites": []}, {"sites": {}}])
def test_what_is_no_fleet(raw: Any) -> None:
    with pytest.raises(InputError) as caught:
        parse_fleet(raw, "body")
    assert str(caught.value).startswith("body")


def test_a_body_has_paths_without_lines() -> None:
    site = {"name": "a", "zone": "b", "pools": [{"name": "p", "accelerator": "x", "count": -1}]}
    with pytest.raises(InputError, match=r"^body\.sites\[0\]\.pools\[0\]\.count: "):
        parse_fleet({"currency": "EUR", "sites": [site]}, "body")


def test_warnings_for_what_is_probably_not_meant() -> None:
    text = FLEET.replace("{L40S: 9000}", "{A100: 1}").replace("limit_kw: 90}", "limit_kw: 9}")
    text = text.replace("L40S: 8}", "L40S: 80}").replace("lose_domains: 1", "lose_domains: 8")
    warned = [
        ".".join(map(str, loc)) for loc, _, _ in fleet_warnings(parse_fleet(parse_document(text, "f").data))
    ]
    assert warned == [
        "models.0.accelerators_per_replica.L40S",
        "models.1.throughput_tokens_per_s",
        "sites.0.power_limits.0.limit_kw",
        "sites.0.pools.0.failure_domains",
        "sites.0.pools.1.failure_domains",
    ]


def test_caps_that_are_not_worth_using_are_told() -> None:
    caps = "[{busy_kw: 0.55, throughput_ratio: 0.9}, {busy_kw: 0.3, throughput_ratio: 0.2}]"
    text = FLEET.replace("busy_kw: 0.75", f"busy_kw: 0.75\n        power_caps: {caps}")
    told = {loc: detail for loc, detail, _ in fleet_warnings(parse_fleet(parse_document(text, "f").data))}
    assert (
        told["sites", 0, "pools", 0, "power_caps"]
        == "not used: 0.3 kW. A mix in time of the points beside does as much for the same energy."
    )
