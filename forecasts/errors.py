"""The one base of every error that a person may read, and what `forecasts` itself raises.

It stands at the bottom of the house because imports point one way, `shifter -> forecasts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

AT_NEXT_POLL = "It is asked again at the next poll."
"""The hint of a source that did not answer as it should, where there is nothing to do but to wait."""


class ShifterError(Exception):
    """What went wrong, where, and what to do about it.

    `detail` is one sentence; `field` is the place (a file and line, a JSON path, a setting);
    `hint` says what to do; `facts` are the values that explain it. Subclasses set `code`, a member of
    the closed list in `docs/errors.md`.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str, *, hint: str = "", field: str = "", **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.field = field
        self.facts: Mapping[str, Any] = MappingProxyType(facts)

    def __str__(self) -> str:
        place = f"{self.field}: " if self.field else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{place}{self.detail}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which must be told as this one is."""
        return _again, (type(self), self.args, {**vars(self), "facts": dict(self.facts)})


def _again(cls: type[ShifterError], args: tuple[Any, ...], state: dict[str, Any]) -> ShifterError:
    error = cls.__new__(cls, *args)
    vars(error).update(state, facts=MappingProxyType(state["facts"]))
    return error


class InputError(ShifterError):
    """A file, a line, a field or a parameter is wrong. Nothing was changed.

    `also` holds the other mistakes found in the same input, so that one reading names them all.
    """

    code = "invalid_input"

    def __init__(
        self, detail: str, *, hint: str = "", field: str = "", also: tuple[InputError, ...] = (), **facts: Any
    ) -> None:
        super().__init__(detail, hint=hint, field=field, **facts)
        self.also = also


class ForecastRejected(ShifterError):
    """A vintage is unfit for use (gaps, duplicates, NaN, absurd values, wrong unit): it is refused whole."""

    code = "forecast_rejected"


class SourceUnavailable(ShifterError):
    """A forecast source did not answer, or answered with something that is not a forecast."""

    code = "source_unavailable"
