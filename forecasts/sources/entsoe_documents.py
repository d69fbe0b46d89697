"""ENTSO-E's market documents: XML of time series, each with its curve, its periods and its positions, made into slots.

Publication_MarketDocument tells prices, GL_MarketDocument load and generation (implementation guide of the platform).
Namespaces differ by version, so names are matched without them. A document type is refused before anything is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from xml.etree import ElementTree as ET

from forecasts.errors import ForecastRejected, SourceUnavailable
from forecasts.slots import isoformat_z
from forecasts.sources.http import Reply, excerpt
from forecasts.sources.reports import NotPublished

STEPS = {f"PT{minutes}M": timedelta(minutes=minutes) for minutes in (15, 30, 60)}
LONGEST = timedelta(days=366)
LATER = (
    "Not published yet, or an outage; tomorrow's come about 12:55 CET, and it is asked again at each poll."
)

_WHOLE = re.compile(r"\d{1,3}(,\d{3}){1,2}|\d{1,9}")  # "1,000" has been seen
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


class Slot(NamedTuple):
    """What one position says."""

    start: datetime  # first: slots are sorted by it
    end: datetime
    amount: float
    unit: str  # as written
    revision: int


class Amount(NamedTuple):
    """Where a document has its figures, and their units: the elements of a Point and of a TimeSeries."""

    point: str
    units: tuple[str, ...]


PRICE = Amount("price.amount", ("currency_Unit.name", "price_Measure_Unit.name"))
QUANTITY = Amount("quantity", ("quantity_Measure_Unit.name",))


def document(asked: str, reply: Reply, token: str, expected: str) -> ET.Element:
    """The document named `expected`. Raises SourceUnavailable, saying what came, for anything else: NotPublished
    where it says that there is no data.
    """
    answered = f"{asked} answered {reply.status}"
    if reply.status == 401:
        raise SourceUnavailable(
            f"{answered}: the token is wrong or has expired.",
            field="api_key",
            hint="Make a new one at https://transparency.entsoe.eu and put it where the old one is.",
            status=401,
        )
    root = _root(answered, reply.body, token)
    name = root.tag.rpartition("}")[2]
    if name == "Acknowledgement_MarketDocument":
        # That there is no data is said so, with code 999 and status 200; other statuses find fault with the question.
        said = f"{answered}: {(text(root, 'Reason/{*}text') or 'no reason is given.').replace(token, '***')}"
        if reply.ok:
            raise NotPublished(said, hint=LATER, status=reply.status)
        raise SourceUnavailable(said, hint="Ask for another window, and check base_url.", status=reply.status)
    if not reply.ok or name != expected:
        what = f"{answered} with {name}, not with a {expected}."
        raise SourceUnavailable(what, hint="Check base_url.", status=reply.status)
    return root


def _root(answered: str, body: bytes, token: str) -> ET.Element:
    """The root of the XML in `body`, which must be UTF-8 without a document type."""
    problem = "a ZIP archive" if body.startswith(b"PK") else ""
    if not problem:
        try:
            # Text rather than bytes: the parser then takes no other encoding, which would hide a document type.
            said = body.decode("utf-8-sig")
            if "<!DOCTYPE" not in said and "<!ENTITY" not in said:
                return ET.fromstring(said)
            problem = "a DTD or entities, which no market document has"
        except (UnicodeDecodeError, ET.ParseError):
            problem = "something that is not XML, or is cut off"
    raise SourceUnavailable(
        f"{answered} with {problem}: {excerpt(body.replace(token.encode(), b'***'))}",
        hint="Often a maintenance page; it is asked again at the next poll. Check base_url.",
    )


def newest_first(root: ET.Element) -> list[tuple[int, ET.Element]]:
    """The time series of a document and their revisions, later ones first."""
    of_all = text(root, "revisionNumber") or "1"
    revised = [
        (whole(text(series, "revisionNumber") or of_all, "revisionNumber"), series)
        for series in root.findall("{*}TimeSeries")
    ]
    return sorted(revised, key=lambda pair: -pair[0])


def slots(
    series: ET.Element, revision: int, start: datetime, end: datetime, amount: Amount
) -> Iterator[Slot]:
    """A series' slots that start in `[start, end)`; as many a period as its length says, never 24 or 96."""
    unit = "/".join(required(series, name) for name in amount.units)
    curve = text(series, "curveType") or "A01"
    if curve not in {"A01", "A03"}:
        raise refused(
            "curveType", f"the curve {curve} is neither A01 (every position) nor A03 (changes only)."
        )
    for period in series.iterfind("{*}Period"):
        opens, closes = (_time(period, f"timeInterval/{{*}}{side}") for side in ("start", "end"))
        if closes <= start or opens >= end:
            continue
        said = required(period, "resolution")
        step = STEPS.get(said)
        if step is None or not opens < closes <= opens + LONGEST or (closes - opens) % step:
            span = f"{isoformat_z(opens)} to {isoformat_z(closes)}"
            raise refused("resolution", f"{said!r} is not 15, 30 or 60 minutes, or does not divide {span}.")
        told = _points(period, n := (closes - opens) // step, amount.point)
        # A03 leaves out what repeats the position before, also at the end; before the first there is nothing.
        missing = next((k for k in range(1, n + 1) if k not in told and (k == 1 or curve == "A01")), None)
        if missing is not None:
            raise refused("position", f"position {missing} of {n} from {isoformat_z(opens)} on is missing.")
        figure = told[1]
        for k in range(n):
            figure = told.get(k + 1, figure)
            if start <= opens + k * step < end:
                yield Slot(opens + k * step, opens + (k + 1) * step, figure, unit, revision)


def keep(known: dict[datetime, Slot], slot: Slot, whose: str) -> None:
    """Put `slot` beside what is `known`, by start. Of those that come twice a later revision, which comes first,
    counts; two of one revision must agree.
    """
    before = known.setdefault(slot.start, slot)
    if before.revision == slot.revision and before != slot:
        raise refused(
            "TimeSeries",
            f"two of {whose} disagree about {isoformat_z(slot.start)}: {before.amount:g} for "
            f"{before.end - before.start} and {slot.amount:g} for {slot.end - slot.start}.",
        )


def _points(period: ET.Element, n: int, tag: str) -> dict[int, float]:
    """Figures by position, 1 to `n`."""
    told: dict[int, float] = {}
    for point in period.iterfind("{*}Point"):
        position = whole(required(point, "position"), "position")
        amount = required(point, tag)
        if not 1 <= position <= n or position in told:
            raise refused(
                "position", f"position {position} comes twice or is not among the {n} of its period."
            )
        if not _DECIMAL.fullmatch(amount):
            raise refused(tag, f"the figure at position {position} is {amount!r}, not a number.")
        told[position] = float(amount)
    return told


def text(parent: ET.Element, path: str) -> str | None:
    """What is in the child at `path`, whatever its namespace; None where there is nothing."""
    return (parent.findtext(f"{{*}}{path}") or "").strip() or None


def required(parent: ET.Element, path: str) -> str:
    """The same. Raises ForecastRejected where there is nothing."""
    if (said := text(parent, path)) is None:
        raise refused(
            path.replace("{*}", ""), f"a {parent.tag.rpartition('}')[2]} has no {path.replace('{*}', '')}."
        )
    return said


def whole(said: str, field: str) -> int:
    """A whole number, which may have commas. Raises ForecastRejected for anything else."""
    if not _WHOLE.fullmatch(said):
        raise refused(field, f"{field} is {said!r}, not a whole number.")
    return int(said.replace(",", ""))


def _time(period: ET.Element, path: str) -> datetime:
    said = required(period, path)
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise refused("timeInterval", f"a period's time is {said!r}, without its zone or no time.")


def refused(field: str, detail: str) -> ForecastRejected:
    """The error for a document that is unfit."""
    return ForecastRejected(detail, field=field, hint="Refused whole; it is asked again at the next poll.")
