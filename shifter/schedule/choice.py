"""Which of its alternatives a workload is done by, and why, in words: what each would have taken in the same slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shifter.schedule.pack import Piece
from shifter.schedule.place import work_hours
from shifter.schedule.problem import HOUR_US, Job, Way


@dataclass(frozen=True)
class _Took:
    """What pieces cost [currency], and how many accelerator-hours they hold."""

    cost: float = 0.0
    hours: float = 0.0


def choice_of_model(job: Job, own: Sequence[tuple[Piece, float]], money: Callable[[float], str]) -> str:
    """A sentence on a job with alternatives that is planned, with a space before it.

    `own` are its pieces, and the energy and carbon that each costs. Another model in the same slots of the same pool
    draws its own power for its own time there, so what it would cost is the piece's cost times (power / speed) of both.
    """
    by_model: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece, _ in own:
        by_model[job.ways[piece.way].model or ""].append(piece)
    done = {model: work_hours(job, pieces) for model, pieces in by_model.items()}
    used = sorted(done, key=lambda model: -done[model])
    whole = max(sum(done.values()), 1e-12)
    shares = ", ".join(f"{100 * done[model] / whole:.0f} % by {model}" for model in used)
    took = _Took(sum(cost for _, cost in own), sum(_hours(piece) for piece, _ in own))
    words = [f" Done {f'by {used[0]}' if len(used) == 1 else shares}."]
    for other in dict.fromkeys(way.model or "" for way in job.ways):
        then = _by(job, own, other)
        if then is not None and used != [other]:
            words.append(
                f"All of it by {other} in these slots would take {then.hours:.3g} accelerator-hours and "
                f"{money(then.cost)}, not {took.hours:.3g} and {money(took.cost)}."
            )
    return " ".join(words)


def _by(job: Job, own: Sequence[tuple[Piece, float]], model: str) -> _Took | None:
    """The same slots and pools with another model; None where one of the pools cannot run it."""
    cost = hours = 0.0
    ways = {way.pool: way for way in job.ways if way.model == model}
    for piece, paid in own:
        way, other = job.ways[piece.way], ways.get(piece.pool)
        if other is None:
            return None
        cost += paid * _energy(other) / _energy(way) if _energy(way) else 0.0
        hours += _hours(piece) * way.speed / other.speed
    return _Took(cost, hours)


def _energy(way: Way) -> float:
    """Energy of the work that the fastest way does in an hour [kWh]."""
    return way.import_kw / way.speed


def _hours(piece: Piece) -> float:
    return piece.accelerators * (piece.end_us - piece.start_us) / HOUR_US
