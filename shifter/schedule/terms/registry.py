"""The terms in use: every entry point of the group `shifter.terms`, ours and others' alike, in order of name."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from shifter.errors import ShifterError
from shifter.schedule.program import Term

GROUP = "shifter.terms"


@cache
def installed_terms() -> tuple[Term, ...]:
    """One of each, by name, so that the same installation builds the same program.

    Raises ShifterError where none is registered: a schedule without its limits must not be made.
    """
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    terms: tuple[Term, ...] = tuple(point.load()() for point in found)
    if not terms:
        raise ShifterError(
            "no term of the schedule is registered.",
            hint=f"Install the package (make install): the entry points of {GROUP} name its terms.",
        )
    return terms
