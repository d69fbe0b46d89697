"""What contradicts itself in a workload, and what in a fleet conflicts with it: where, why, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import fields

from forecasts.slots import isoformat_z
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.options import kind_of, options_of
from shifter.domain.workload import Workload
from shifter.files.places import Finding, suggestion

_DEFAULT_WIDTH = {f.name: f.default for f in fields(Workload)}["max_accelerators"]


def own_mistakes(workload: Workload) -> Iterator[Finding]:
    """What contradicts itself in a workload, whatever the fleet."""
    w = workload
    if w.tokens is not None and w.accelerator_hours is not None:
        yield (
            ("accelerator_hours",),
            "tokens and accelerator_hours are both given.",
            "Work is one or the other.",
        )
    if (
        w.tokens is None
        and w.accelerator_hours is None
        and w.latency_slo_ms is None
        and w.mode != "interactive"
    ):
        yield (
            ("tokens",),
            "neither tokens nor accelerator_hours say how much work it is.",
            "Give `tokens` of a `model`, or `accelerator_hours` with the `accelerators` it can run on.",
        )
    if w.tokens is not None and w.model is None:
        yield (("model",), "tokens are given without a model.", "Name the `model` whose tokens they are.")
    if w.tokens is not None and w.accelerators is not None:
        yield (
            ("accelerators",),
            "accelerators go with accelerator_hours; with tokens, the model says where it can run.",
            "Leave them out, or narrow `sites`.",
        )
    yield from _mistaken_alternatives(w)
    if w.deadline is not None and w.earliest_start is not None and w.deadline <= w.earliest_start:
        yield (
            ("deadline",),
            f"the deadline is not after the earliest start, {isoformat_z(w.earliest_start)}.",
            "Work is done in [earliest_start, deadline).",
        )
    for key in ("accelerators", "data_boundary", "sites"):
        if getattr(w, key) == ():
            yield (
                (key,),
                f"`{key}` is an empty list, which allows nothing.",
                "Leave it out, or null, for any.",
            )
    for i, other in enumerate(w.depends_on):
        if other == w.id:
            yield (("depends_on", i), "it depends on itself.", "Remove it from its own `depends_on`.")
        elif other in w.depends_on[:i]:
            yield (("depends_on", i), f"`{other}` is named twice.", "Name each once.")


def _mistaken_alternatives(w: Workload) -> Iterator[Finding]:
    if w.alternatives and w.tokens is None:
        yield (
            ("alternatives",),
            "alternatives go with tokens of a model: they say how many tokens the same outcome takes elsewhere.",
            "Give `tokens` and a `model`, or leave the alternatives out.",
        )
    models = [w.model, *(other.model for other in w.alternatives)]
    for i, other in enumerate(w.alternatives):
        if other.model in models[: i + 1]:
            yield (
                ("alternatives", i, "model"),
                f"`{other.model}` is named twice.",
                "Each model stands once: the one that is asked for in `model`, every other in `alternatives`.",
            )


def fleet_conflicts(
    workload: Workload, fleet: Fleet, given: Container[str] | None = None
) -> Iterator[Finding]:
    """Names that the fleet does not have, and why no pool may run it. `given`: the keys that were written."""
    unknown = list(_unknown_names(workload, fleet))
    yield from unknown
    allowed = options_of(workload, fleet)
    if not allowed:
        if not unknown:
            yield _excluded_everywhere(workload, fleet)
        return
    yield from _useless_alternatives(workload, fleet)
    least = min(option.replica for option in allowed)
    if workload.max_accelerators < least:
        takes = f"one replica of `{workload.model}` takes {least} accelerators"
        detail = f"{takes}, more than max_accelerators, which {_width(workload, given)}."
        yield ("max_accelerators",), detail, f"Allow at least {least}."
    if all(option.replica > fleet.pools[option.key][1].count for option in allowed):
        yield (
            ("model",),
            f"no pool that may run `{workload.model}` holds one replica of {least} accelerators.",
            "Allow other sites, or correct accelerators_per_replica in the fleet.",
        )


def _width(workload: Workload, given: Container[str] | None) -> str:
    """What max_accelerators is, and who said so."""
    if given is not None and "max_accelerators" not in given:
        return f"was not given: the default is {_DEFAULT_WIDTH}"
    default = given is None and workload.max_accelerators == _DEFAULT_WIDTH
    return f"is {workload.max_accelerators}{', as it is where none is given' if default else ''}"


def fits(workload: Workload, fleet: Fleet) -> bool:
    """Whether nothing of it conflicts with the fleet: the same for all of its kind and width."""
    kind = ("fits", kind_of(workload), workload.max_accelerators)
    fits: bool | None = fleet.memory.get(kind)
    if fits is None:
        fits = fleet.memory[kind] = not any(fleet_conflicts(workload, fleet))
    return fits


def _unknown_names(workload: Workload, fleet: Fleet) -> Iterator[Finding]:
    if workload.model is not None and workload.model not in fleet.by_model:
        hint = suggestion(workload.model, fleet.by_model, "models")
        yield (("model",), f"the fleet has no model `{workload.model}`.", hint)
    for i, other in enumerate(workload.alternatives):
        if other.model not in fleet.by_model:
            hint = suggestion(other.model, fleet.by_model, "models")
            yield (("alternatives", i, "model"), f"the fleet has no model `{other.model}`.", hint)
    for i, site in enumerate(workload.sites or ()):
        if site not in fleet.by_site:
            yield (("sites", i), f"the fleet has no site `{site}`.", suggestion(site, fleet.by_site, "sites"))
    known = {pool.accelerator for _, pool in fleet.pools.values()}
    for i, accelerator in enumerate(workload.accelerators or ()):
        if accelerator not in known:
            hint = suggestion(accelerator, known, "accelerators")
            yield (("accelerators", i), f"no pool has the accelerator `{accelerator}`.", hint)


def _useless_alternatives(workload: Workload, fleet: Fleet) -> Iterator[Finding]:
    runs = {option.model for option in options_of(workload, fleet)}
    for i, other in enumerate(workload.alternatives):
        if other.model in fleet.by_model and other.model not in runs:
            yield (
                ("alternatives", i, "model"),
                f"no pool that may run this work has a throughput of `{other.model}`.",
                "Take it out, widen `sites` or `data_boundary`, or give the model a throughput in the fleet.",
            )


_REMEDY = {
    "sites": "Name other `sites`, or leave them out for any within the boundary.",
    "data_boundary": "Widen `data_boundary`, or leave it out where data may go anywhere.",
    "accelerators": "Name other `accelerators`.",
    "model": "Choose another model, or give this one a throughput in the fleet.",
}


def _excluded_everywhere(workload: Workload, fleet: Fleet) -> Finding:
    reasons = [(key, *_excluded(workload, fleet, *fleet.pools[key])) for key in fleet.pools]
    shown = [f"{site}/{pool} ({why})" for (site, pool), _, why in reasons[:6]]
    more = f", and {len(reasons) - 6} more" if len(reasons) > 6 else ""
    condition = Counter(field for _, field, _ in reasons).most_common(1)[0][0]
    return (condition,), f"no pool may run it: {', '.join(shown)}{more}.", _REMEDY[condition]


def _excluded(workload: Workload, fleet: Fleet, site: Site, pool: Pool) -> tuple[str, str]:
    """The field that excludes a pool, and why; the same conditions as `options_of`."""
    if workload.sites is not None and site.name not in workload.sites:
        return "sites", "not in sites"
    if workload.data_boundary is not None and site.jurisdiction not in workload.data_boundary:
        where = f"jurisdiction {site.jurisdiction}" if site.jurisdiction else "no jurisdiction"
        return "data_boundary", f"{where}, and data_boundary is {', '.join(workload.data_boundary)}"
    if workload.tokens is None:
        return "accelerators", f"{pool.accelerator} is not in accelerators"
    return "model", f"{workload.model} has no throughput on {pool.accelerator}"
