"""`shifter config check FILE`: every mistake in a file that shifter reads, with its line and path."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from shifter.clock import parse_clock
from shifter.domain.fleet import Fleet
from shifter.domain.moments import in_words
from shifter.errors import InputError
from shifter.files.document import Document, read_document
from shifter.files.fleet import fleet_of, fleet_warnings
from shifter.files.places import Finding, Locate, Place, all_of, nearest
from shifter.files.plans import read_plan
from shifter.files.realtime import RealtimeRows, read_realtime_rows
from shifter.files.text import PathLike, read_lines
from shifter.files.workloads import read_workloads, workloads_of
from shifter.settings.load import loc_of_path, settings_of
from shifter.settings.model import Settings
from shifter.settings.sources import source_file_mistakes

FileKind = Literal["settings", "fleet", "workloads", "realtime", "plan"]

KEYS: dict[FileKind, frozenset[str]] = {
    "fleet": frozenset({"currency", "sites", "models", "objective"}),
    "workloads": frozenset({"id", "tokens", "accelerator_hours", "deadline", "max_accelerators", "model"}),
    "plan": frozenset({"plan_id", "slots", "allocations", "duals", "unplaced"}),
    "settings": frozenset(Settings.model_fields),
}
"""Top-level keys by which a file is known for what it is."""


@dataclass(frozen=True)
class Problem:
    """A mistake (`error`) or what is probably not meant (`warning`). Line and column from 1; `path` as in
    `sites[0]`.
    """

    severity: Literal["error", "warning"]
    file: str
    line: int | None
    column: int | None
    path: str
    detail: str
    hint: str

    def __str__(self) -> str:
        place = Place(self.file, self.path, self.line, self.column)
        return f"{place}: {self.severity}: {self.detail} {self.hint}".rstrip()


def check_config(path: PathLike, now: datetime | None = None) -> list[Problem]:
    """Every problem of a settings, fleet, workloads, realtime or plan file, in the order of its lines.

    What it is follows from its name and content. Files that settings name are checked with them, against each
    other. `now` (default: the real time, or where the clock of the settings starts) is when they are to be used.
    """
    now = now or datetime.now(UTC)
    suffix = Path(path).suffix.lower()
    try:
        if suffix in {".jsonl", ".ndjson"}:
            read_workloads(path)
            return []
        if suffix == ".csv":
            _refuse_forecasts(path)
            return list(_odd_realtime(read_realtime_rows(path), now))
        if suffix == ".json" and Path(path).name.startswith("plan"):
            read_plan(path)
            return []
        document = read_document(path, may_be_empty=True)
        return list(_check(document, kind_of(document), now))
    except InputError as error:
        return list(_problems(error, str(path)))


def _refuse_forecasts(path: PathLike) -> None:
    _, header, _ = next(read_lines(path, 2**20), (1, b"", True))
    if b"issued_at" in header:
        raise Place(str(path), line=1).error(
            "this is a forecasts.csv, which is not configuration.",
            "Give it to the csv source: what it says is checked whenever it is read.",
        )


def kind_of(document: Document) -> FileKind:
    """What a document is, by its top-level keys (a misspelt one counts); settings where nothing tells."""
    if isinstance(document.data, list):
        return "workloads"
    keys = document.data.keys() if isinstance(document.data, dict) else ()
    scores = {
        kind: sum(1.0 if k in known else 0.5 * bool(nearest(k, known)) for k in keys)
        for kind, known in KEYS.items()
    }
    best = max(scores, key=lambda kind: scores[kind])
    return best if scores[best] > scores["settings"] else "settings"


def _check(document: Document, kind: FileKind, now: datetime) -> Iterator[Problem]:
    if kind == "fleet":
        yield from _warnings(fleet_warnings(fleet_of(document)), document.locate)
    elif kind == "workloads":
        workloads_of(document)
    elif kind == "plan":
        read_plan(document.source)
    else:
        settings = settings_of(document)
        yield from _warnings(_doubtful(settings), document.locate)
        starts = parse_clock(settings.clock).now() if settings.clock else now
        fleet = yield from _named_files(settings, starts)
        for error in _wiring_mistakes(settings, fleet):
            place = document.locate(loc_of_path(error.field))
            yield from _problems(place.error(error.detail, error.hint), document.source)
        for error in source_file_mistakes(settings, document.locate):
            yield from _problems(error, document.source)


def _wiring_mistakes(settings: Settings, fleet: Fleet | None) -> tuple[InputError, ...]:
    from shifter.wiring import wiring_mistakes  # what a daemon is made of takes its time to import

    return wiring_mistakes(settings, fleet)


def _named_files(settings: Settings, now: datetime) -> Generator[Problem, None, Fleet | None]:
    """The problems in them; answers the fleet, where it could be read."""
    fleet: Fleet | None = None
    if settings.fleet is not None:
        try:
            document = read_document(settings.fleet)
            fleet = fleet_of(document)
            yield from _warnings(fleet_warnings(fleet), document.locate)
        except InputError as error:
            yield from _problems(error, settings.fleet)
    if settings.realtime.path is not None:
        try:
            yield from _odd_realtime(read_realtime_rows(settings.realtime.path, fleet), now)
        except InputError as error:
            yield from _problems(error, settings.realtime.path)
    return fleet


def _odd_realtime(rows: RealtimeRows, now: datetime) -> Iterator[Problem]:
    """What is allowed in a realtime.csv, and leaves no reserve worth its name, or no known load at all."""
    if rows.quantiles == (0.5,):
        detail = (
            "only the median (p50) is given, and a site reserves for its resilience.quantile (0.99 where none is "
            "given): this file is refused where that is above 0.5; where it is 0.5, real-time load exceeds the "
            "reserve half of the time."
        )
        hint = "Add the column of the site's quantile, such as accelerators_p99."
        yield Problem("warning", rows.source, 1, None, "", detail, hint)
    ends = [p.ends.max().astype("datetime64[us]").item().replace(tzinfo=UTC) for p in rows.pools.values()]
    if ends and max(ends) <= now:
        detail = (
            f"all rows end by {in_words(max(ends))}, and it is {in_words(now)}: no load is known any more, and "
            "nothing can be planned."
        )
        hint = (
            "Give rows that reach over the horizon. For a replay, `shifter run --clock` starts in their time."
        )
        yield Problem("warning", rows.source, 1, None, "", detail, hint)


def _warnings(findings: Iterable[Finding], locate: Locate) -> Iterator[Problem]:
    for loc, detail, hint in findings:
        place = locate(loc)
        yield Problem("warning", place.source, place.line, place.column, place.path, detail, hint)


def _problems(error: InputError, source: str) -> Iterator[Problem]:
    for e in all_of(error):
        facts = e.facts
        yield Problem(
            "error",
            str(facts.get("source") or source),
            facts.get("line"),
            facts.get("column"),
            str(facts.get("path", "")),
            e.detail,
            e.hint,
        )


def _doubtful(settings: Settings) -> Iterator[Finding]:
    """What is allowed and probably not meant."""
    if settings.leases.ttl_s < settings.planning.cycle_deadline_s:
        yield (
            ("leases", "ttl_s"),
            f"leases of {settings.leases.ttl_s:g} s may run out while a cycle is planned.",
            "Make leases longer than planning.cycle_deadline_s.",
        )
    if settings.host not in {"127.0.0.1", "localhost", "::1"}:
        yield (
            ("host",),
            f"anyone who reaches {settings.host} may submit and cancel work: there is no sign-in yet.",
            "Listen on 127.0.0.1, or put a proxy with authentication before it.",
        )
