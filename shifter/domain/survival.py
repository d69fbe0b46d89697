"""What a plan says of the losses that it survives: what each promise costs, and where it cannot be kept whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Promise:
    """One loss that the fleet asks to survive: of failure domains at a site, of a site, or of a zone.

    `cost_per_day` is what the schedule's program costs more with it than without it, all else as it is, scaled to a day
    [the fleet's currency]. `basis` says how that is known: `solved`, both programs were; `at_most`, by the prices of
    the one with it, which is never less; None where nobody knows it.
    """

    kind: str
    """`domains`, `site` or `zone`."""
    name: str
    """Of the site, or of the zone, that is lost, or loses domains."""
    group: str | None
    """That takes over; None for the loss of domains, which the site itself bears."""
    cost_per_day: float | None
    basis: str | None
    late_accelerator_hours: float
    """Work that is late with it and would not be without it; what that would cost to do is not in `cost_per_day`."""
    missing_accelerators: float | None
    """The most of the lost accelerators that nobody can take over in any slot, whatever is planned; None: not known."""
    missing_slots: int
    text: str


@dataclass(frozen=True)
class PlanResilience:
    """Where the fleet has failover groups: how what they hold was placed, and what each promise costs."""

    placed_by: str
    """`program`: together with all work, in one program; `coarse`: in a coarser one; `without_work`: filled in as
    if there were no work; `all`: so too, and in some slots all that real-time load leaves is held."""
    joint_optimum: float | None
    """What that program costs, late work and limits that are broken apart, before any whole accelerators; None where
    there was no such program."""
    promises: tuple[Promise, ...]
