"""Which of its ways a workload is done in, and why, in words: what others would have taken in the same slots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shifter.schedule.jobs import Job, Way
from shifter.schedule.pack import Piece
from shifter.schedule.place import work_hours


@dataclass(frozen=True)
class _Took:
    """What pieces cost [currency], and how many accelerator-hours they hold."""

    cost: float = 0.0
    hours: float = 0.0


def choice_of_way(job: Job, own: Sequence[tuple[Piece, float]], money: Callable[[float], str]) -> str:
    """Sentences on the models and the caps of a job that is planned, with a space before them; else nothing.

    `own` are its pieces, and the energy and carbon that each costs. Another way in the same slots of the same pool
    draws its own power for its own time there, so what it would cost is the piece's cost times (power / speed) of both.
    """
    named = job.ways[0].model is not None
    return (_models(job, own, money) if named else "") + _caps(job, own, money)


def _caps(job: Job, own: Sequence[tuple[Piece, float]], money: Callable[[float], str]) -> str:
    capped = [(piece, cost) for piece, cost in own if job.ways[piece.way].cap_kw is not None]
    if not capped:
        return ""
    caps = sorted({job.ways[piece.way].cap_kw or 0.0 for piece, _ in capped})
    share = work_hours(job, [p for p, _ in capped]) / max(work_hours(job, [p for p, _ in own]), 1e-12)
    cost, hours = sum(cost for _, cost in capped), sum(piece.hours for piece, _ in capped)
    full_cost = full_hours = 0.0
    for piece, paid in capped:
        way = job.ways[piece.way]
        full = next(w for w in job.ways if (w.pool, w.model, w.cap_kw) == (way.pool, way.model, None))
        full_cost += paid * _energy(full) / _energy(way) if _energy(way) else 0.0
        full_hours += piece.hours * way.speed / full.speed
    return (
        f" {100 * share:.0f} % of it runs capped to {' and '.join(f'{cap:g}' for cap in caps)} kW an accelerator, "
        f"which takes {hours:.3g} accelerator-hours and {money(cost)}; at full power it would take {full_hours:.3g} "
        f"and {money(full_cost)} in these slots."
    )


def _models(job: Job, own: Sequence[tuple[Piece, float]], money: Callable[[float], str]) -> str:
    by_model: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece, _ in own:
        by_model[job.ways[piece.way].model or ""].append(piece)
    done = {model: work_hours(job, pieces) for model, pieces in by_model.items()}
    used = sorted(done, key=lambda model: -done[model])
    whole = max(sum(done.values()), 1e-12)
    shares = ", ".join(f"{100 * done[model] / whole:.0f} % by {model}" for model in used)
    took = _Took(sum(cost for _, cost in own), sum(piece.hours for piece, _ in own))
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
    ways = {way.pool: way for way in job.ways if (way.model, way.cap_kw) == (model, None)}
    for piece, paid in own:
        way, other = job.ways[piece.way], ways.get(piece.pool)
        if other is None:
            return None
        cost += paid * _energy(other) / _energy(way) if _energy(way) else 0.0
        hours += piece.hours * way.speed / other.speed
    return _Took(cost, hours)


def _energy(way: Way) -> float:
    """Energy of the work that the fastest way does in an hour [kWh]."""
    return way.import_kw / way.speed
