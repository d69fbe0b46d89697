"""Why this class, why these slots, and what they cost against running at once: sentences with the numbers in
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from shifter.domain.moments import by_in_words, in_words
from shifter.domain.plan import Plan
from shifter.domain.rows import WorkloadPlan
from shifter.domain.workload import WorkloadClass
from shifter.service.at_once import PeakChange, peak_changes
from shifter.service.core import Core
from shifter.service.fleet_now import fleet_now
from shifter.service.limits import Facts, limits
from shifter.service.present import state_at, workload_view
from shifter.service.value import slack_of
from shifter.store.workloads import WorkloadRecord
from shifter.views import ChainLink, Explanation, MeanSignals, Slack, WorkloadState, WorkloadView

MATERIAL = 0.01
"""A demand charge that running at once would cause is told from this share of its cost on, and from 0.01 on."""


LEAST_TOLD = 0.01
"""[currency] A deadline that costs less than this is worth no sentence."""


def explain(record: WorkloadRecord, core: Core) -> Explanation:
    """See `Service.explain`."""
    view, now, published = workload_view(record, core), core.now(), core.state.published
    over = record.state in {WorkloadState.CANCELLED, WorkloadState.DONE}
    share = published.shares.get(record.id) if published and not over else None
    facts = Facts.of(record, core, published) if published and not over else None
    in_slots = facts.means_held() if facts else None
    in_window = facts.means_of_window() if facts else None
    binding = limits(facts, share.cost) if facts and share else ()
    missing = published.unplaced.get(record.id) if published and not over else None
    slack = slack_of(record, core, published) if published and share else None
    raised = peak_changes(record, fleet_now(core), published) if published and share else ()
    chain = tuple(_chain(record, core, now))
    why = (
        *_why_slots(view, share, in_slots, in_window, core.fleet.currency),
        *_peak_text(raised, share, published.plan if published else None),
    )
    overrides = [
        o for o in core.state.overrides if o.workload_id == record.id or o.rule == record.reason.rule
    ]
    saved = share.run_now_cost - share.cost if share else None
    saved_kg = share.run_now_carbon_kg - share.carbon_kg if share else None
    synthetic = published.plan.synthetic if published else False
    sentences = [
        record.reason.text,
        *why,
        *(limit.text for limit in (missing.limits if missing else ())),
        *(limit.text for limit in binding),
        *_slack_text(slack),
        *_chain_text(chain, view.deadline),
    ]
    if synthetic:
        sentences.append("Prices and carbon are synthetic, made up for a demonstration.")
    return Explanation(
        workload_id=record.id,
        state=view.state,
        decided=record.decided,
        reason=record.reason,
        override=overrides[-1] if overrides else None,
        sentences=tuple(sentences),
        why_slots=why,
        in_slots=in_slots,
        in_window=in_window,
        cost=view.cost,
        run_now_cost=view.run_now_cost,
        saved=saved,
        carbon_kg=view.carbon_kg,
        run_now_carbon_kg=view.run_now_carbon_kg,
        saved_carbon_kg=saved_kg,
        currency=core.fleet.currency,
        limits=binding,
        chain=chain,
        plan_id=published.plan.plan_id if published else None,
        synthetic=synthetic,
        run_now_demand_charge=max(0.0, sum(p.cost for p in raised)) if share else None,
        slack=slack,
    )


def _why_slots(
    view: WorkloadView,
    share: WorkloadPlan | None,
    in_slots: MeanSignals | None,
    in_window: MeanSignals | None,
    currency: str,
) -> Iterable[str]:
    if view.decided is WorkloadClass.REAL_TIME:
        yield "It is not shifted: capacity is reserved for it, so it has no slots of its own."
        return
    if share is None:
        yield view.note
        return
    if share.reason:
        yield share.reason
    if in_slots and in_window:
        yield from _compared(in_slots, in_window, currency)
    if view.planned_start and view.planned_finish:
        told = _difference(share, currency)
        yield (
            f"It costs {share.cost:.2f} {currency} and {share.carbon_kg:.1f} kg CO2e; run at once it would "
            f"cost {share.run_now_cost:.2f} {currency} and {share.run_now_carbon_kg:.1f} kg: {told}."
        )
    if not view.feasible:
        yield view.note


def _difference(share: WorkloadPlan, currency: str) -> str:
    money = _saves(share.run_now_cost - share.cost, 2, currency)
    carbon = _saves(share.run_now_carbon_kg - share.carbon_kg, 1, "kg")
    return " and ".join(part for part in (money, carbon) if part) or "no difference"


def _saves(amount: float, digits: int, unit: str) -> str:
    """In words; nothing where it rounds to nothing."""
    shown = f"{abs(amount):.{digits}f}"
    if float(shown) == 0:
        return ""
    return f"{shown} {unit} {'saved' if amount > 0 else 'more'}"


def _peak_text(peaks: Sequence[PeakChange], share: WorkloadPlan | None, plan: Plan | None) -> Iterable[str]:
    """What at once would do to the demand charge, where that is material: it alone, or all work together."""
    if share is None or plan is None or share.finish is None or share.finish == share.run_now_finish:
        return
    material = max(0.01, MATERIAL * abs(share.run_now_cost))
    alone = sum(peak.cost for peak in peaks)
    # The baseline's demand charge: what deferrable work causes there, less the energy and carbon of each.
    at_once = plan.baseline.deferrable_total - sum(w.run_now_cost for w in plan.workloads)
    together = at_once - plan.cost.demand_charge
    if alone >= material:
        where = " and ".join(f"{p.site}'s peak by {p.kw:.1f} kW" for p in peaks if p.cost > 0)
        yield (
            f"At once it would also raise {where}, all else as planned: {alone:.2f} {plan.currency} of demand charge, "
            "which the figures above leave out."
        )
    elif together >= material:
        yield (
            f"At once, it alone would raise no peak; all work at once would, for {together:.2f} {plan.currency} more "
            "of demand charge than planned. That is in the plan's totals, and in no single workload's figures."
        )


def _slack_text(slack: Slack | None) -> Iterable[str]:
    """Where its deadline costs something that is worth a sentence."""
    if slack is not None and (slack.deadline_costs or 0.0) >= LEAST_TOLD:
        yield slack.text


def _compared(slots: MeanSignals, window: MeanSignals, currency: str) -> Iterable[str]:
    if slots.price_per_mwh is not None and window.price_per_mwh is not None:
        yield (
            f"By price alone, without carbon: {slots.price_per_mwh:.1f} {currency}/MWh on average in its slots, "
            f"{window.price_per_mwh:.1f} in its window, over all sites that may run it."
        )
    if slots.carbon_g_per_kwh is not None and window.carbon_g_per_kwh is not None:
        yield (
            f"By carbon alone: {slots.carbon_g_per_kwh:.0f} g/kWh in its slots, "
            f"{window.carbon_g_per_kwh:.0f} in its window."
        )


def _chain(record: WorkloadRecord, core: Core, now: datetime) -> Iterable[ChainLink]:
    records = core.state.records

    def link(other: str, relation: Literal["depends_on", "needed_by"]) -> ChainLink:
        found = records.get(other)
        if found is None:
            return ChainLink(other, relation, None, None, None)
        finish = max((a.end for a in found.lease.allocations), default=None)
        return ChainLink(other, relation, state_at(found, now), finish, found.window_deadline)

    for other in record.workload.depends_on:
        yield link(other, "depends_on")
    for waiting in list(records.values()):
        if record.id in waiting.workload.depends_on:
            yield link(waiting.id, "needed_by")


def _chain_text(chain: tuple[ChainLink, ...], deadline: datetime | None) -> Iterable[str]:
    for link in chain:
        if link.relation == "needed_by":
            due = f", and so needs it by {in_words(deadline)}" if deadline else ""
            yield f"{link.workload_id} waits for it{due}."
            continue
        state = "not kept any more" if link.state is None else str(link.state).replace("_", "-")
        finish = f"planned to finish by {by_in_words(link.planned_finish)}" if link.planned_finish else ""
        if finish and link.state is not WorkloadState.PLANNED:
            finish = f"{state}, and {finish}"
        yield f"It starts only after {link.workload_id}, which is {finish or state}."
