"""fleet.yaml into a `Fleet`, with what no type can say: names that are unique, sizes that fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from forecasts.slots import isoformat_z
from shifter.domain.capping import used_caps
from shifter.domain.fleet import Budget, Fleet, Model, Pool, Site
from shifter.domain.plant import Battery, Generation, GenerationWindow
from shifter.files.document import Document, read_document
from shifter.files.places import Finding, Loc, Locate, in_body, raise_all, suggestion
from shifter.files.resilience import (
    domain_mistakes,
    group_mistakes,
    group_warnings,
    maintenance_mistakes,
    outage_mistakes,
    outage_warnings,
)
from shifter.files.risk import risk_mistakes, risk_warnings
from shifter.files.serving import serving_mistakes, serving_warnings
from shifter.files.tenants import tenant_mistakes, tenant_warnings
from shifter.files.text import PathLike
from shifter.files.validation import validate

FLEET: TypeAdapter[Fleet] = TypeAdapter(Fleet)


def read_fleet(path: PathLike) -> Fleet:
    """A fleet.yaml. Raises InputError with file, line and column of every mistake in it."""
    return fleet_of(read_document(path))


def fleet_of(document: Document) -> Fleet:
    """The fleet that a document describes. Raises InputError as `read_fleet`."""
    fleet = validate(
        FLEET, document.data, document.locate, locate_key=document.locate_key, also=document.mistakes
    )
    return _checked(fleet, document.locate)


def parse_fleet(raw: Mapping[str, Any], where: str = "fleet") -> Fleet:
    """A fleet from plain values. Raises InputError with the JSON path of every mistake, under `where`."""
    return _checked(validate(FLEET, raw, in_body(where)), in_body(where))


def _checked(fleet: Fleet, locate: Locate) -> Fleet:
    raise_all(locate(loc).error(detail, hint) for loc, detail, hint in fleet_mistakes(fleet))
    return fleet


def fleet_mistakes(fleet: Fleet) -> Iterator[Finding]:
    """What contradicts itself in a fleet."""
    yield from _twice("sites", [s.name for s in fleet.sites], "site")
    yield from _twice("models", [m.name for m in fleet.models], "model")
    for i, site in enumerate(fleet.sites):
        yield from _site_mistakes(site, ("sites", i))
        yield from outage_mistakes(fleet, site, ("sites", i))
    for i, model in enumerate(fleet.models):
        yield from _model_mistakes(model, ("models", i))
        yield from serving_mistakes(model, ("models", i))
    yield from risk_mistakes(fleet)
    yield from tenant_mistakes(fleet)
    yield from group_mistakes(fleet)
    for i, budget in enumerate(fleet.objective.budgets):
        yield from _budget_mistakes(budget, fleet, ("objective", "budgets", i))


def _twice(key: str, names: list[str], what: str, within: Loc = ()) -> Iterator[Finding]:
    for i, name in enumerate(names):
        first = names.index(name)
        if first < i:
            yield (
                (*within, key, i, "name"),
                f"the {what} `{name}` is already {key}[{first}].",
                f"Give each {what} a name of its own.",
            )


def _site_mistakes(site: Site, loc: Loc) -> Iterator[Finding]:
    yield from _twice("pools", [p.name for p in site.pools], "pool", loc)
    for i, pool in enumerate(site.pools):
        yield from _pool_mistakes(pool, (*loc, "pools", i))
    for i, window in enumerate(site.power_limits):
        if window.end <= window.start:
            yield (
                (*loc, "power_limits", i, "end"),
                f"the window ends at {isoformat_z(window.end)}, which is not after its start.",
                "Intervals are [start, end): put the later time in `end`.",
            )
    idle_kw = idle_site_kw(site)
    if site.power_limit_kw is not None and idle_kw > site.power_limit_kw:
        yield (
            (*loc, "power_limit_kw"),
            f"idle accelerators alone draw {idle_kw:.1f} kW, over the limit of {site.power_limit_kw:g} kW.",
            "It is pue * the sum of idle_kw * count: idle_kw is per accelerator, the limit per site.",
        )
    if site.generation is not None:
        yield from _generation_mistakes(site.generation, (*loc, "generation"))
    if site.export_limit_kw > 0 and site.export_price_per_mwh is None:
        yield (
            (*loc, "export_limit_kw"),
            "the site may export, and nothing says what an exported MWh earns.",
            "Give the site an `export_price_per_mwh`, which may be 0, or no export_limit_kw.",
        )
    if site.battery is not None:
        yield from _battery_mistakes(site.battery, (*loc, "battery"))


def _pool_mistakes(pool: Pool, loc: Loc) -> Iterator[Finding]:
    yield from domain_mistakes(pool, loc)
    yield from maintenance_mistakes(pool, loc)
    if pool.failure_domains > pool.count:
        yield (
            (*loc, "failure_domains"),
            f"a count of {pool.count} accelerators cannot be {pool.failure_domains} equal groups.",
            "It is how many groups fail together, not how many accelerators are in one.",
        )
    if pool.busy_kw < pool.idle_kw:
        yield (
            (*loc, "busy_kw"),
            f"busy_kw {pool.busy_kw:g} lies below idle_kw {pool.idle_kw:g}.",
            "Both are kW per accelerator: at full load, and powered but idle.",
        )
    if pool.off_kw is not None and pool.off_kw > pool.idle_kw:
        yield (
            (*loc, "off_kw"),
            f"off_kw {pool.off_kw:g} lies above idle_kw {pool.idle_kw:g}.",
            "Both are kW per accelerator: powered down, and powered but idle.",
        )
    for i, cap in enumerate(pool.power_caps):
        here = (*loc, "power_caps", i, "busy_kw")
        if not pool.idle_kw < cap.busy_kw < pool.busy_kw:
            yield (
                here,
                f"{cap.busy_kw:g} kW does not lie between idle_kw {pool.idle_kw:g} and busy_kw {pool.busy_kw:g}.",
                "It is what one accelerator draws under the cap, at full load; leave the uncapped point out.",
            )
        elif cap.busy_kw in [other.busy_kw for other in pool.power_caps[:i]]:
            yield here, f"a cap of {cap.busy_kw:g} kW is given twice.", "Keep the one that was measured."


def _generation_mistakes(generation: Generation, loc: Loc) -> Iterator[Finding]:
    before: GenerationWindow | None = None
    order = sorted(range(len(generation.windows)), key=lambda i: (generation.windows[i].start, i))
    for i in order:
        window = generation.windows[i]
        if window.end <= window.start:
            yield (
                (*loc, "windows", i, "end"),
                f"the window ends at {isoformat_z(window.end)}, which is not after its start.",
                "Intervals are [start, end): put the later time in `end`.",
            )
        elif before is not None and window.start < before.end:
            yield (
                (*loc, "windows", i, "start"),
                f"the window starts before the one ends that starts at {isoformat_z(before.start)}.",
                "A moment has one forecast: let a window start where the one before it ends.",
            )
        before = window if before is None or window.end > before.end else before


def _battery_mistakes(battery: Battery, loc: Loc) -> Iterator[Finding]:
    energy, first, least = battery.energy_kwh, battery.initial_kwh, battery.min_kwh
    if least > energy:
        yield (
            (*loc, "min_kwh"),
            f"min_kwh {least:g} exceeds energy_kwh {energy:g}.",
            "It is what must stay in the battery.",
        )
    elif not least <= first <= energy:
        yield (
            (*loc, "initial_kwh"),
            f"initial_kwh {first:g} does not lie between min_kwh {least:g} and energy_kwh {energy:g}.",
            "It is what the battery holds now; the default is 0.",
        )


def _budget_mistakes(budget: Budget, fleet: Fleet, loc: Loc) -> Iterator[Finding]:
    if budget.end <= budget.start:
        yield (
            (*loc, "end"),
            f"the budget ends at {isoformat_z(budget.end)}, which is not after its start.",
            "Periods are [start, end): put the later time in `end`.",
        )
    for k, name in enumerate(budget.sites or ()):
        if name not in fleet.by_site:
            yield (
                (*loc, "sites", k),
                f"the fleet has no site `{name}`.",
                suggestion(name, fleet.by_site, "sites of the fleet"),
            )


def _model_mistakes(model: Model, loc: Loc) -> Iterator[Finding]:
    for accelerator in model.accelerators_per_replica:
        if accelerator not in model.throughput_tokens_per_s:
            yield (
                (*loc, "accelerators_per_replica", accelerator),
                f"the model `{model.name}` has no throughput on `{accelerator}`, so it cannot run there.",
                suggestion(accelerator, model.throughput_tokens_per_s, "accelerators of this model"),
            )


def idle_site_kw(site: Site) -> float:
    """What a site draws when every accelerator idles [kW]."""
    return site.pue * sum(pool.idle_kw * pool.count for pool in site.pools)


def fleet_warnings(fleet: Fleet) -> Iterator[Finding]:
    """What is allowed and probably not meant."""
    counts: dict[str, int] = {}
    for _, pool in fleet.pools.values():
        counts[pool.accelerator] = max(counts.get(pool.accelerator, 0), pool.count)
    for i, model in enumerate(fleet.models):
        yield from _model_warnings(model, counts, ("models", i))
        yield from serving_warnings(model, ("models", i))
    for i, site in enumerate(fleet.sites):
        yield from outage_warnings(fleet, site, ("sites", i))
        yield from _site_warnings(site, ("sites", i))
    yield from group_warnings(fleet)
    yield from risk_warnings(fleet)
    yield from tenant_warnings(fleet)


def _model_warnings(model: Model, counts: Mapping[str, int], loc: Loc) -> Iterator[Finding]:
    usable = [a for a in model.throughput_tokens_per_s if a in counts]
    if not usable:
        yield (
            (*loc, "throughput_tokens_per_s"),
            f"no pool has an accelerator that the model `{model.name}` runs on.",
            suggestion(next(iter(model.throughput_tokens_per_s)), counts, "accelerators of the fleet"),
        )
    for accelerator in usable:
        replica = model.accelerators_per_replica.get(accelerator, 1)
        if replica > counts[accelerator]:
            yield (
                (*loc, "accelerators_per_replica", accelerator),
                f"no pool holds a replica of `{model.name}`, which takes {replica} `{accelerator}`.",
                "It will not run there.",
            )


def _site_warnings(site: Site, loc: Loc) -> Iterator[Finding]:
    if site.export_price_per_mwh is not None and site.export_limit_kw == 0:
        yield (
            (*loc, "export_price_per_mwh"),
            "the site has a price for what it exports, and may export nothing.",
            "Set export_limit_kw to what the connection may feed in.",
        )
    for i, window in enumerate(site.power_limits):
        if window.limit_kw < idle_site_kw(site):
            yield (
                (*loc, "power_limits", i, "limit_kw"),
                f"idle accelerators alone draw {idle_site_kw(site):.1f} kW, over {window.limit_kw:g} kW.",
                "Only a battery could keep it.",
            )
    for i, pool in enumerate(site.pools):
        if 0 < len(pool.domain_sizes) <= site.resilience.lose_domains:
            yield (
                (*loc, "pools", i, "failure_domains"),
                "all failure domains may be lost at once: only preemptible work can run here.",
                "Give the pool more failure_domains, or lower the site's resilience.lose_domains.",
            )
        unused = [cap for cap in pool.power_caps if cap not in used_caps(pool)]
        if unused:
            named = ", ".join(f"{cap.busy_kw:g} kW" for cap in unused)
            yield (
                (*loc, "pools", i, "power_caps"),
                f"not used: {named}. A mix in time of the points beside does as much for the same energy.",
                "Only points on the concave hull of the curve are worth running at.",
            )
