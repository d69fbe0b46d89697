"""Failover groups in fleet.yaml: what is wrong is named with its place and says what to do."""

from __future__ import annotations

import pytest

from shifter.errors import InputError
from shifter.files.document import parse_document
from shifter.files.fleet import fleet_warnings, parse_fleet, read_fleet
from shifter.files.resilience import group_warnings
from tests.files.good import EXAMPLES, FLEET, mistakes


def grouped(*groups: str) -> str:
    """A fleet with these failover groups."""
    return FLEET + "failover_groups:\n" + "".join(f"  - {group}\n" for group in groups)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["{name: g, sites: []}"], "failover_groups[0].sites"),
        (
            ["{name: g, sites: [frankfurt]}"],
            "failover_groups[0].sites: one site alone has nobody to take over from it.",
        ),
        (
            ["{name: g, sites: [frankfurt, olso]}"],
            "failover_groups[0].sites[1]: the fleet has no site `olso`. Did you mean `oslo`?",
        ),
        (
            ["{name: g, sites: [frankfurt, frankfurt]}"],
            "failover_groups[0].sites[1]: the site `frankfurt` is in `g` already.",
        ),
        (
            ["{name: g, sites: [frankfurt, oslo]}", "{name: h, sites: [oslo, frankfurt]}"],
            "failover_groups[1].sites[0]: the site `oslo` is in `g` already.",
        ),
        (
            ["{name: g, sites: [frankfurt, oslo]}", "{name: g, sites: [oslo, frankfurt]}"],
            "failover_groups[1].name: the group `g` is there twice.",
        ),
        (
            ["{name: g, sites: [frankfurt, oslo], data_boundary: [DE]}"],
            "failover_groups[0].sites[1]: the site `oslo` is in NO, and the group's data_boundary is DE.",
        ),
        (["{name: g, sites: [frankfurt, oslo], survive: rack}"], "failover_groups[0].survive"),
        (
            ["{name: g, sites: [frankfurt, oslo], equivalent: {H100-SXM: 1}}"],
            "failover_groups[0].equivalent: it says nothing of L40S, which the group has.",
        ),
        (
            ["{name: g, sites: [frankfurt, oslo], equivalent: {H100-SXM: 1, L40S: 0.2, L4: 0.1}}"],
            "failover_groups[0].equivalent.L4: the group has no accelerator `L4`.",
        ),
        (
            ["{name: g, sites: [frankfurt, oslo], equivalent: {L40S: 0}}"],
            "failover_groups[0].equivalent.L40S",
        ),
        (
            ["{name: g, sites: [frankfurt, oslo]}"],
            "failover_groups[0]: with frankfurt its H100-SXM are lost, and nothing says how far L40S could",
        ),
        (["{name: g, sites: [frankfurt, oslo], within: 5}"], "the key `within` is not known"),
    ],
)
def test_what_is_wrong_is_named(groups: list[str], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_fleet(parse_document(grouped(*groups), "f").data)
    assert any(expected in told for told in mistakes(caught)), mistakes(caught)


def test_a_lost_zone_must_leave_a_site() -> None:
    near = grouped("{name: g, sites: [frankfurt, oslo], survive: zone, equivalent: {H100-SXM: 1, L40S: 0.2}}")
    assert parse_fleet(parse_document(near, "f").data).failover_groups[0].survive == "zone"
    with pytest.raises(
        InputError, match=r"survive: all sites of the group are in the zone DE-LU: with it, all are lost"
    ):
        parse_fleet(parse_document(near.replace("zone: NO1", "zone: DE-LU"), "f").data)


def test_what_each_accelerator_carries_need_not_be_said_where_all_models_run_on_each() -> None:
    models = FLEET.replace("  - name: only-h100\n    throughput_tokens_per_s: {H100-SXM: 100}\n", "")
    text = models + "failover_groups: [{name: g, sites: [frankfurt, oslo]}]\n"
    assert parse_fleet(parse_document(text, "f").data).failover_groups[0].equivalent is None


def test_a_group_across_borders_says_where_its_load_may_go() -> None:
    across = "{name: g, sites: [frankfurt, oslo], equivalent: {H100-SXM: 1, L40S: 0.2}}"
    fleet = parse_fleet(parse_document(grouped(across), "f").data)
    [(loc, detail, hint)] = group_warnings(fleet)
    assert (loc, detail, hint) in fleet_warnings(fleet)
    assert loc == ("failover_groups", 0, "sites")
    assert detail == "load of the group `g` may come to DE, NO, and it has no data_boundary."
    assert "`data_boundary: [DE, NO]`" in hint
    said = grouped(across.replace("}}", "}, data_boundary: [DE, NO]}"))
    assert not list(group_warnings(parse_fleet(parse_document(said, "f").data)))
    for within in ("jurisdiction: DE", "pue: 1.2"):  # under one law, and where nobody says under which
        fleet = parse_fleet(parse_document(grouped(across).replace("jurisdiction: NO", within), "f").data)
        assert not list(group_warnings(fleet))


def test_the_example_is_right() -> None:
    fleet = read_fleet(EXAMPLES / "fleet-resilience.yaml")
    assert list(fleet_warnings(fleet)) == []
    assert fleet.ride_through_minutes(fleet.sites[0]) == 2.0
    assert sum(fleet.pools["frankfurt", "h100"][1].failure_domain_sizes) == 96
