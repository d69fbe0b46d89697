"""What contradicts itself in a fleet's `tenants`, and what is probably not meant."""

from __future__ import annotations

from collections.abc import Iterator

from shifter.domain.fleet import Fleet
from shifter.files.places import Finding, suggestion


def tenant_mistakes(fleet: Fleet) -> Iterator[Finding]:
    """Tenants that are listed twice, prices without a quota, and quotas of accelerators that nobody has."""
    names = [tenant.name for tenant in fleet.tenants]
    known = {pool.accelerator: None for _, pool in fleet.pools.values()}
    for i, tenant in enumerate(fleet.tenants):
        first = names.index(tenant.name)
        if first < i:
            yield (
                ("tenants", i, "name"),
                f"the tenant `{tenant.name}` is already tenants[{first}].",
                "Put all that is said of a tenant into one entry.",
            )
        of_quota = {
            "over_quota_cost_per_accelerator_hour": tenant.over_quota_cost_per_accelerator_hour,
            "quota_accelerator_types": tenant.quota_accelerator_types,
        }
        for key, value in of_quota.items():
            if value is not None and tenant.quota_accelerators is None:
                yield (
                    ("tenants", i, key),
                    f"the tenant `{tenant.name}` has no quota that this could be about.",
                    "Give it `quota_accelerators`, or leave this out.",
                )
        for k, accelerator in enumerate(tenant.quota_accelerator_types or ()):
            if accelerator not in known:
                yield (
                    ("tenants", i, "quota_accelerator_types", k),
                    f"no pool has the accelerator `{accelerator}`.",
                    suggestion(accelerator, known, "accelerators of the fleet"),
                )


def tenant_warnings(fleet: Fleet) -> Iterator[Finding]:
    """Weights that nothing looks at, and quotas that nothing could exceed."""
    for i, tenant in enumerate(fleet.tenants):
        if tenant.weight != 1 and fleet.objective.fairness_cost_per_accelerator_hour == 0:
            yield (
                ("tenants", i, "weight"),
                "fairness has no price, so no weight plays a part.",
                "Set objective.fairness_cost_per_accelerator_hour.",
            )
        counted = sum(p.count for _, p in fleet.pools.values() if tenant.counts(p.accelerator))
        if tenant.quota_accelerators is not None and tenant.quota_accelerators >= counted:
            yield (
                ("tenants", i, "quota_accelerators"),
                f"the fleet has {counted} accelerators that the quota counts, so it never binds.",
                "It is in accelerators of all sites together, mean of a slot.",
            )
