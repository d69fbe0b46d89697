"""What a dispatcher is given, and what it must keep: an entry point of the group `shifter.dispatchers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from shifter.errors import InputError
from shifter.views import Admission, Lease

GROUP = "shifter.dispatchers"


class DispatcherOptions(BaseModel):
    """Options of a dispatcher; unknown ones are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Order:
    """What one workload may do now (`admission`), and the slots that it holds (`lease`)."""

    admission: Admission
    lease: Lease


@dataclass(frozen=True)
class Orders:
    """All live deferrable workloads at a moment, in order of id. `simulated` is true under a simulated clock."""

    at: datetime
    plan_id: str | None
    simulated: bool
    orders: tuple[Order, ...]


class Dispatcher(Protocol):
    """Carries orders out. What it runs and is not in the orders has been cancelled, is done or is late: stop it.

    `dispatch` is called with everything that is live whenever anything changed and again before leases end, one call at
    a time: it must bring its side to what the orders say, so that a call that was missed is made good by the next. It
    raises when it cannot; it is then called again. It never blocks for longer than a lease lives.
    """

    name: ClassVar[str]
    Options: ClassVar[type[DispatcherOptions]]

    def dispatch(self, orders: Orders) -> None:
        """Bring the other side to what the orders say."""


def dispatcher_names() -> tuple[str, ...]:
    """The names that `make_dispatcher` knows, sorted; imports none of them."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


def dispatcher_class(name: str) -> Any:
    """The class registered as `name`. Raises InputError, suggesting the nearest name, when there is none."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        names = f"Known are {', '.join(sorted(known)) or 'none: is the package installed?'}."
        raise InputError(
            f"there is no dispatcher {name!r}.",
            field="dispatchers",
            hint=f"Did you mean {near[0]!r}? {names}" if near else names,
        )
    return known[name].load()


def make_dispatcher(name: str, options: Mapping[str, Any]) -> Dispatcher:
    """The dispatcher `name` with `options`. Raises InputError that names what is wrong."""
    cls = dispatcher_class(name)
    try:
        checked = cls.Options.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{first['msg']}.",
            field=f"dispatchers.{name}.{path}",
            hint=f"Known options are {', '.join(cls.Options.model_fields)}.",
        ) from None
    return cast("Dispatcher", cls(checked))
