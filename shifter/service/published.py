"""Plans that were published: the one in force, an earlier one, and what one was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shifter.domain.plan import Plan
from shifter.errors import NotFound, NotReady
from shifter.service.core import Core
from shifter.store import plans

if TYPE_CHECKING:
    from shifter.cycle import CycleInputs

OLDER = "It may be older than is kept."


def current(core: Core) -> Plan:
    """The plan in force. Raises NotReady before the first."""
    published = core.state.published
    if published is None:
        fault = core.state.faults.get("planning", "The first cycle has not finished.")
        raise NotReady(f"there is no plan yet. {fault}", hint="Try again soon.", retry_after_s=5)
    return published.plan


def by_id(core: Core, plan_id: str) -> Plan:
    """That one. Raises NotFound."""
    published = core.state.published
    if published is not None and published.plan.plan_id == plan_id:
        return published.plan
    with core.reading() as db:
        found = plans.read(db, plan_id)
    if found is None:
        raise NotFound(f"there is no plan {plan_id}.", field="id", hint=OLDER)
    return found


def inputs(core: Core, plan_id: str) -> CycleInputs:
    """What it was made from; that of a plan which was rejected goes by the inputs' own id. Raises NotFound."""
    from shifter.store.snapshots import inputs_from_json

    with core.reading() as db:
        text = plans.inputs_text(db, plans.inputs_id_of(db, plan_id) or plan_id)
    if text is None:
        raise NotFound(f"the inputs of {plan_id} are not kept.", field="id", hint=OLDER)
    return inputs_from_json(text)
