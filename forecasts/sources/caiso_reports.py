"""OASIS, the reports of CAISO: zips of CSV, and errors that come with status 200, as XML in the zip."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from forecasts.errors import AT_NEXT_POLL, SourceUnavailable
from forecasts.slots import to_utc
from forecasts.sources.archive import unzip
from forecasts.sources.http import Reply, excerpt
from forecasts.sources.reports import NotPublished, table
from forecasts.sources.steps import Step
from forecasts.sources.values import moment, number

MOST_DAYS = 30
"""31 times 24 hours are the most that one request may ask for; 31 days of autumn have an hour more."""

VALUE_COLUMNS = ("MW", "VALUE", "LMP")
"""What reports call the figure: that of a price is, of all things, MW."""

MOST_MEMBERS = 4
MOST_BYTES = 16 * 2**20  # unpacked; a day of prices is about 20 kB, a month of loads 6 MB

_TIMES = ("INTERVALSTARTTIME_GMT", "INTERVALENDTIME_GMT")
NOT_YET = (
    "Not published yet: tomorrow's prices come about 13:00 Pacific, forecasts some hours earlier. It is asked again "
    "at the next poll."
)
_NOTHING = frozenset({"1000", "1001", "1015"})  # no data, no data, being made
_HINTS = {"1004": "Ask for a shorter window."}  # 31 days at most


@dataclass(frozen=True)
class Report:
    """A report: which of its rows count, and the column that tells the parts of a whole apart."""

    name: str
    version: str
    where: Mapping[str, str]
    part: str

    def query(self, start: datetime, end: datetime) -> dict[str, str]:
        """What is asked for `[start, end)`."""
        return {
            "resultformat": "6",  # CSV
            "queryname": self.name,
            "version": self.version,
            "market_run_id": "DAM",
            "startdatetime": _gmt(start),
            "enddatetime": _gmt(end),
        }

    def read(self, what: str, reply: Reply) -> list[tuple[str, Step]]:
        """The steps in a reply, each with the part that it is of. Raises SourceUnavailable, NotPublished if there
        is nothing, and ForecastRejected for a figure that is none.
        """
        if reply.status != 200:
            raise SourceUnavailable(
                f"{what} answered {reply.status}: {excerpt(reply.body)}",
                hint=AT_NEXT_POLL,
                status=reply.status,
            )
        files = unzip(reply.body, what, most_members=MOST_MEMBERS, most_bytes=MOST_BYTES)
        return [row for name, body in files for row in self._rows(what, name, body)]

    def _rows(self, what: str, name: str, body: bytes) -> Iterator[tuple[str, Step]]:
        if name.lower().endswith(".xml"):
            raise _error(what, body.decode("utf-8-sig", "replace"))
        header = body.partition(b"\n")[0].decode("utf-8-sig", "replace").strip().split(",")
        value = next((column for column in VALUE_COLUMNS if column in header), " or ".join(VALUE_COLUMNS))
        for row in table(f"{what}: {name}", body, (*_TIMES, self.part, *self.where, value)):
            if all(row[column].casefold() == wanted.casefold() for column, wanted in self.where.items()):
                start, end = (moment(row[column], f"{what}: {column}") for column in _TIMES)
                yield row[self.part], Step(start, end, number(row[value], f"{what}: {value}"))


def _error(what: str, text: str) -> SourceUnavailable:
    """What the XML says that comes in place of a report. It is not parsed: two elements are all that matters."""
    code, description = (
        " ".join(html.unescape(found[1]).split())[:200] if found else ""
        for found in (re.search(rf"<(?:\w+:)?{tag}>([^<]*)<", text) for tag in ("ERR_CODE", "ERR_DESC"))
    )
    said = (
        f"the error {code}: {description}" if code else f"XML without an error code: {excerpt(text.encode())}"
    )
    if code in _NOTHING:
        return NotPublished(f"{what} answered with {said}", hint=NOT_YET, err_code=code)
    return SourceUnavailable(
        f"{what} answered with {said}", hint=_HINTS.get(code, AT_NEXT_POLL), err_code=code
    )


def _gmt(moment: datetime) -> str:
    return f"{to_utc(moment):%Y%m%dT%H:%M}-0000"
