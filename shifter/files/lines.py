"""Lines of workloads.jsonl that are plainly right, for a million of them: validated from their bytes, and no more said.

Nothing is refused here. A line of which this is not sure gets None, and is read again with all that can be said about
it; so what is accepted, and as what, is the same.
"""

from __future__ import annotations

import re

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from shifter.domain.workload import Workload
from shifter.files.validation import PLAUSIBLE_YEARS

WORKLOAD: TypeAdapter[Workload] = TypeAdapter(Workload)

_KEY = re.compile(rb'"\s*:')
"""What ends a key. Inside text it can only stand after a backslash, which counts a key too many, or begin it."""


def read_plain(line: bytes) -> Workload | None:
    """The workload of a line that is right in itself and holds no further mappings; None where that is not plain."""
    try:
        raw = from_json(line)
        workload = WORKLOAD.validate_json(line, strict=True)
    except (ValidationError, ValueError):
        return None
    # A key that is given twice stands once in what was read.
    if len(_KEY.findall(line)) != len(raw):
        return None
    for name, moment in (("earliest_start", workload.earliest_start), ("deadline", workload.deadline)):
        if moment is not None and not (moment.year in PLAUSIBLE_YEARS and _is_date(raw[name])):
            return None
    return workload


def _is_date(text: str) -> bool:
    """Whether it begins like 2026-01-10: digits alone would be taken for seconds since 1970."""
    return text[4:5] == text[7:8] == "-"
