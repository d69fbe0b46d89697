"""workloads.jsonl, and the body of POST /v1/workloads, into `Workload`s that do not contradict themselves or
the fleet.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from forecasts.slots import isoformat_z
from shifter.domain.fleet import Fleet, Pool, Site
from shifter.domain.options import kind_of, options_of
from shifter.domain.workload import Workload
from shifter.errors import InputError
from shifter.files.document import Document, read_document
from shifter.files.lines import WORKLOAD, read_plain
from shifter.files.places import (
    MOST_MISTAKES,
    Finding,
    Loc,
    Locate,
    Place,
    all_of,
    in_body,
    nearest,
    on_line,
    raise_all,
    suggestion,
)
from shifter.files.text import PathLike, decode, read_lines
from shifter.files.validation import validate

MAX_LINE_BYTES = 2**20

_DEFAULT_WIDTH = {f.name: f.default for f in fields(Workload)}["max_accelerators"]


def parse_workload(raw: Any, where: str = "body", fleet: Fleet | None = None) -> Workload:
    """One workload from plain JSON values. Raises InputError with the JSON path of every mistake, under
    `where`.

    With a `fleet`, it is checked against that too, as by `check_workload`.
    """
    return _parse(raw, in_body(where), fleet)


def check_workload(workload: Workload, fleet: Fleet, where: str = "") -> None:
    """Raises InputError where the workload contradicts itself, or where nothing in the fleet may ever run it.

    That its deadline cannot be met is no mistake: it is admitted, and the answer says so.
    """
    raise_all(_contradictions(workload, in_body(where), fleet))


def read_workloads(path: PathLike, fleet: Fleet | None = None) -> tuple[Workload, ...]:
    """Workloads of a file, one JSON object a line (or, by its name, a .json or .yaml file with one or a list
    of them).

    Raises InputError with file and line of every mistake; the same id twice is one. With a `fleet`, each is
    checked against it.
    """
    if Path(path).suffix.lower() in {".json", ".yaml", ".yml"}:
        return workloads_of(read_document(path), fleet)
    workloads: list[Workload] = []
    mistakes: list[InputError] = []
    seen: dict[str, int] = {}
    for number, line, ends in read_lines(path, MAX_LINE_BYTES):
        locate = on_line(str(path), number)
        try:
            if line.strip():
                workload = read_plain(line)
                if workload is None or _contradictions(workload, locate, fleet):
                    raw = _json(line, locate, str(path), number, truncated=not ends)
                    workload = _parse(raw, locate, fleet)
                _refuse_again(workload.id, seen.setdefault(workload.id, number), number, locate)
                workloads.append(workload)
        except InputError as error:
            mistakes += all_of(error)
            if len(mistakes) >= MOST_MISTAKES:
                break
    raise_all(mistakes)
    return tuple(workloads)


def workloads_of(document: Document, fleet: Fleet | None = None) -> tuple[Workload, ...]:
    """One workload, or a list of them, from a document. Raises InputError as `read_workloads`."""
    many = isinstance(document.data, list)
    workloads, mistakes, seen = [], list(document.mistakes), dict[str, int]()
    for i, raw in enumerate(document.data if many else [document.data]):

        def locate(loc: tuple[int | str, ...], i: int = i) -> Place:
            return document.locate((i, *loc) if many else loc)

        def locate_key(loc: tuple[int | str, ...], i: int = i) -> Place:
            return document.locate_key((i, *loc) if many else loc)

        try:
            workload = _parse(raw, locate, fleet, locate_key)
            line = locate(("id",)).line or 0
            _refuse_again(workload.id, seen.setdefault(workload.id, line), line, locate)
            workloads.append(workload)
        except InputError as error:
            mistakes += all_of(error)
    raise_all(mistakes)
    return tuple(workloads)


def _parse(raw: Any, locate: Locate, fleet: Fleet | None, locate_key: Locate | None = None) -> Workload:
    try:
        workload = validate(WORKLOAD, raw, locate, locate_key=locate_key)
    except InputError as error:
        raise_all([*all_of(error), *_beside(error, raw, locate, fleet)])
        raise
    raise_all(_contradictions(workload, locate, fleet, given=raw))
    return workload


def _beside(error: InputError, raw: Any, locate: Locate, fleet: Fleet | None) -> list[InputError]:
    """What else is wrong where some values are wrong in themselves: nobody should have to correct a file twice."""
    if not isinstance(raw, dict):
        return []
    root = locate(()).path
    paths = [str(e.facts.get("path", "")).removeprefix(root) for e in all_of(error)]
    wrong = {re.split(r"[.\[]", path.lstrip("."))[0] for path in paths}
    rest = {key: value for key, value in raw.items() if key not in wrong}
    rest |= {key: value for key, value in _STAND_INS.items() if key in wrong}
    names = [f.name for f in fields(Workload)]
    untold = wrong | {nearest(key, names) or key for key in wrong.difference(names)}
    if untold & {"latency_slo_ms", "mode"}:
        untold.add("tokens")  # real-time work needs none
    try:
        workload = validate(WORKLOAD, rest, locate)
    except InputError:
        return []
    return _contradictions(workload, locate, fleet, given=raw, untold=untold)


_STAND_INS = {"id": "unnamed", "tokens": 1.0, "accelerator_hours": 1.0}
"""For values that are wrong: that they are given at all matters to the others."""


def _contradictions(
    workload: Workload,
    locate: Locate,
    fleet: Fleet | None,
    *,
    given: Container[str] | None = None,
    untold: Container[str | int] = (),
) -> list[InputError]:
    """What contradicts itself or the fleet, one mistake a place.

    `given` are the keys that were written, where that is known; of the fields in `untold` nothing is said.
    """
    findings = list(own_mistakes(workload))
    if fleet is not None and not _fits(workload, fleet):
        findings += fleet_conflicts(workload, fleet, given)
    told: dict[Loc, InputError] = {}
    for loc, detail, hint in findings:
        if loc[0] not in untold:
            told.setdefault(loc, locate(loc).error(detail, hint, workload_id=workload.id))
    return list(told.values())


def _refuse_again(name: str, first: int, line: int, locate: Locate) -> None:
    if first != line:
        raise locate(("id",)).error(
            f"the id `{name}` is already on line {first}.",
            "Give each workload an id of its own; one that is meant once stands once.",
            lines=(first, line),
        )


def _json(raw: bytes, locate: Locate, source: str, number: int, *, truncated: bool) -> Any:
    """One line as plain JSON values; a key given twice is an error."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(items) != len({key for key, _ in items}):
            key = Counter(key for key, _ in items).most_common(1)[0][0]
            raise locate((key,)).error(f"the key `{key[:60]}` is given twice.", "Keep one of the two.")
        return dict(items)

    text = decode(raw, source, number)
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        hint = (
            "The last line is cut off: was the file written completely?"
            if truncated
            else "One JSON object a line."
        )
        place = Place(source, line=number, column=error.colno)
        raise place.error(f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}.", hint) from None
    except (ValueError, RecursionError) as error:
        raise locate(()).error(
            f"this line cannot be read: {error}.", "One plain JSON object a line."
        ) from None


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


def _fits(workload: Workload, fleet: Fleet) -> bool:
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
