"""Tenants in fleet.yaml: what is wrong is named with its place, what is probably not meant is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from shifter.domain.fleet import Fleet
from shifter.errors import InputError
from shifter.files.document import parse_document
from shifter.files.fleet import fleet_warnings, parse_fleet, read_fleet
from tests.files.good import EXAMPLES, FLEET, mistakes


def listed(*tenants: str, objective: str = "{}") -> str:
    """A fleet with these tenants."""
    rows = "".join(f"  - {tenant}\n" for tenant in tenants)
    return f"{FLEET}objective: {objective}\ntenants:\n{rows}"


def fleet_of(*tenants: str, objective: str = "{}") -> Fleet:
    return parse_fleet(parse_document(listed(*tenants, objective=objective), "f").data)


@pytest.mark.parametrize(
    ("tenant", "expected"),
    [
        ("{name: ''}", "tenants[0].name"),
        ("{name: a, weight: 0}", "tenants[0].weight"),
        ("{name: a, quota_accelerators: -1}", "tenants[0].quota_accelerators"),
        ("{name: a, quota_accelerators: .inf}", "tenants[0].quota_accelerators"),
        ("{name: a, quota: 3}", "tenants[0].quota: the key `quota` is not known"),
        (
            "{name: a, over_quota_cost_per_accelerator_hour: 2}",
            "tenants[0].over_quota_cost_per_accelerator_hour: the tenant `a` has no quota that this could be about.",
        ),
        (
            "{name: a, quota_accelerators: 3, quota_accelerator_types: [H100]}",
            "tenants[0].quota_accelerator_types[0]: no pool has the accelerator `H100`. Did you mean `H100-SXM`",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path: Path, tenant: str, expected: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(listed(tenant))
    with pytest.raises(InputError) as caught:
        read_fleet(path)
    [said] = mistakes(caught)
    assert expected in said
    assert f"fleet.yaml:{len(listed(tenant).splitlines())}" in said


def test_a_tenant_is_listed_once() -> None:
    with pytest.raises(InputError, match=r"tenants\[1\].name: the tenant `a` is already tenants\[0\]"):
        fleet_of("{name: a}", "{name: a, weight: 2}")


@pytest.mark.parametrize(
    ("tenant", "objective", "expected"),
    [
        ("{name: a, weight: 2}", "{}", ["fairness has no price"]),
        ("{name: a, weight: 2}", "{fairness_cost_per_accelerator_hour: 1}", []),
        (
            "{name: a, quota_accelerators: 160}",
            "{}",
            ["the fleet has 160 accelerators that the quota counts"],
        ),
        (
            "{name: a, quota_accelerators: 64, quota_accelerator_types: [L40S]}",
            "{}",
            ["the fleet has 64 accelerators that the quota counts"],
        ),
        ("{name: a, quota_accelerators: 159}", "{}", []),
    ],
)
def test_what_is_probably_not_meant_is_said(tenant: str, objective: str, expected: list[str]) -> None:
    said = [detail for _, detail, _ in fleet_warnings(fleet_of(tenant, objective=objective))]
    said = [detail for detail in said if "quota" in detail or "fairness" in detail]
    assert len(said) == len(expected)
    assert all(detail.startswith(start) for detail, start in zip(said, expected, strict=True))


def test_the_example_has_tenants() -> None:
    fleet = read_fleet(EXAMPLES / "fleet-terms.yaml")
    assert {tenant.name for tenant in fleet.tenants} == {"search", "research"}
    assert fleet.objective.fairness_cost_per_accelerator_hour > 0
