"""A grid event's quote in sentences: met or not, at what cost, who pays, and what could be met instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shifter.domain.grid_event import Baseline, kw_in_words
from shifter.domain.moments import in_words
from shifter.domain.survival import RIDE_THROUGH, Promise
from shifter.views.grid import GridEventQuote, WouldMeet

MOST_NAMES = 3
LEAST_KWH = 0.05


def sentences(quote: GridEventQuote) -> Iterator[str]:
    """All that a person needs before accepting it."""
    event = quote.event
    yield f"{_asked(quote)} at {event.site} from {in_words(event.start)} to {in_words(event.end)}."
    if event.frozen_baseline is not None:
        yield f"Its baseline is {_baseline(event.frozen_baseline)}."
    yield from _met(quote)
    yield from _realtime(quote)
    yield _cost(quote)
    yield from _who_pays(quote)
    yield from _afterwards(quote)
    if quote.notice_kept is False:
        agreed = event.notice_minutes or 0.0
        yield f"It comes {quote.notice_minutes:.0f} minutes ahead; {agreed:.0f} were agreed."
    yield from _instead(quote)


def verdict(quote: GridEventQuote) -> Iterator[str]:
    """What of that whoever accepted it all the same has to know."""
    yield from _met(quote)
    if quote.survives_less:
        yield from _realtime(quote)
    yield from _late(quote)
    yield from _instead(quote)


def _asked(quote: GridEventQuote) -> str:
    event = quote.event
    if event.limit_kw is not None:
        return f"At most {event.limit_kw:,.1f} kW"
    if event.cut_kw is not None:
        return f"{event.cut_kw:,.1f} kW less"
    return f"{100 * (event.cut_ratio or 0.0):.1f} % less"


def _baseline(found: Baseline) -> str:
    if found.method == "plan":
        return f"what {found.source} would draw"
    if found.method == "given":
        return f"the one that was sent{f': {found.source}' if found.source else ''}"
    return f"metered: {found.source}"


def _met(quote: GridEventQuote) -> Iterator[str]:
    if quote.met:
        yield "The plan keeps it in every slot, with real-time load at its quantile."
        return
    over = [s for s in quote.slots if s.over_kw > 0]
    worst = max(over, key=lambda s: s.over_kw)
    many = f"{len(over)} slots" if len(over) > 1 else "one slot"
    yield (
        f"It cannot be met in {many} from {in_words(over[0].start)} on: "
        f"{kw_in_words(quote.missing_kw)} are missing in that of {in_words(worst.start)}."
    )
    if quote.in_the_way:
        yield f"In the way is work that runs and may not be interrupted: {_names(quote.in_the_way)}."


def _names(ids: Sequence[str]) -> str:
    more = len(ids) - MOST_NAMES
    return ", ".join(ids[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _realtime(quote: GridEventQuote) -> Iterator[str]:
    if quote.survives_less:
        yield f"Real-time load runs as without it, but {'; '.join(_less_held(p) for p in quote.survives_less)}."
        return
    if quote.realtime_limit_ratio is None:
        yield "Real-time load is untouched."
    else:
        share = f"{100 * quote.realtime_limit_ratio:.0f} % of the limit"
        yield f"Real-time load is untouched; at its quantile, with all that is idle, it takes up to {share}."
    if quote.reserve_moves:
        yield "What is held for the loss of others stands elsewhere, and as much as without it."


def _less_held(promise: Promise) -> str:
    if promise.kind == RIDE_THROUGH:
        return f"less is stored for an outage of the grid: {promise.text}"
    what = f"less is held for the loss of {promise.kind} {promise.name}"
    if promise.missing_accelerators is None:
        return f"{what}: whether enough is held for it nobody says"
    slots = f"{promise.missing_slots} slot{'s' if promise.missing_slots > 1 else ''}"
    return (
        f"{what}: up to {promise.missing_accelerators:.1f} accelerators of it are held by nobody, in {slots}"
    )


def _cost(quote: GridEventQuote) -> str:
    money, per = quote.currency, quote.cost_per_kwh_not_drawn
    more = "more" if quote.extra_cost >= 0 else "less"
    each = (
        f", {per:,.4f} {money} for each of {quote.not_drawn_kwh:,.1f} kWh not drawn"
        if per is not None
        else ""
    )
    carbon = f"{quote.extra_carbon_kg:+,.1f} kg CO2e"
    return f"It costs {abs(quote.extra_cost):,.2f} {money} {more}{each}, and {carbon}."


def _who_pays(quote: GridEventQuote) -> Iterator[str]:
    if not quote.workloads:
        yield "No workload pays: none moves."
        return
    later = [p.later_minutes for p in quote.workloads if p.later_minutes > 0]
    late = [p for p in quote.workloads if not p.deadline_kept]
    many = f"{len(quote.workloads)} workloads move" if len(quote.workloads) > 1 else "1 workload moves"
    ends = f"{len(later)} end later, by up to {max(later) / 60:.1f} h" if later else "none ends later"
    if late and not later:
        yield f"{many}."
    else:
        yield f"{many}, {ends}{'' if late else '; all deadlines are kept'}."
    yield from _late(quote)


def _late(quote: GridEventQuote) -> Iterator[str]:
    late = [p for p in quote.workloads if not p.deadline_kept]
    if late:
        hours = sum(p.late_accelerator_hours for p in late)
        theirs = "their deadlines" if len(late) > 1 else "its deadline"
        names = _names([p.workload_id for p in late])
        yield f"{names} would miss {theirs}, by {hours:,.1f} accelerator-hours in all."


def _afterwards(quote: GridEventQuote) -> Iterator[str]:
    with_kw, without_kw = quote.with_event.peak_afterwards_kw, quote.without.peak_afterwards_kw
    yield (
        f"Afterwards the import peaks at {with_kw:,.1f} kW until {in_words(quote.afterwards_until)}; "
        f"without the event at {without_kw:,.1f} kW."
    )
    spent, otherwise = quote.with_event.battery_kwh, quote.without.battery_kwh
    if max(spent, otherwise) > LEAST_KWH:
        yield f"The battery gives {spent:,.1f} kWh in the window, {otherwise:,.1f} kWh without the event."


def _instead(quote: GridEventQuote) -> Iterator[str]:
    if quote.would_meet is not None:
        yield from _weaker(quote, quote.would_meet)
    elif not quote.met:
        yield "Nothing weaker was found that would be met in this window."
    if not quote.all_tried:
        yield "Not all was tried: the time for that was over, or a plan failed. Ask again, or ask for less."


def _weaker(quote: GridEventQuote, found: WouldMeet) -> Iterator[str]:
    what = f"at most {found.limit_kw:,.1f} kW"
    if quote.event.limit_kw is None:
        what = "no cut at all"
        if found.cut_kw is not None and found.cut_kw > 0:
            what = f"a cut of {found.cut_kw:,.1f} kW"
            what += f", {100 * found.cut_ratio:.1f} %" if found.cut_ratio else ""
    if found.rebound_limit_kw is not None:
        what += f", at most {found.rebound_limit_kw:,.1f} kW in the rebound"
    if found.without_ramp:
        what += ", without the ramp"
    late = found.late_workloads
    but = f"; {late} workload{'s' if late > 1 else ''} would still be late" if late else ", and nothing late"
    yield f"What would be met in this window: {what}{but}."
    if found.window_start is not None and found.window_end is not None:
        yield f"Or what was asked, from {in_words(found.window_start)} to {in_words(found.window_end)}."
    if found.from_start is not None:
        yield f"Or with more notice: from {in_words(found.from_start)} on nothing that runs now stands in its way."
