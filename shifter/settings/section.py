"""What all sections of settings have in common: strictness, spans of time, and that no secret is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=1, le=10_080, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=8_784, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]


class Section(BaseModel):
    """Unknown keys are errors; no secret is shown."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What `repr` and logs show: no secret."""
        for name, value in super().__repr_args__():
            yield name, without_secrets(value, name or "")


SECRET = re.compile(
    r"password|passwd|secret|token(?!s)|api_?key|credential|authorization|private", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):([^@\s]*)@")


def without_secrets(value: Any, key: str = "") -> Any:
    """The same value for a person to read: what a key calls secret, and passwords in URLs, are `***`."""
    if isinstance(value, Mapping):
        return {k: without_secrets(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(v, key) for v in value]
    if SECRET.search(key) and value is not None:
        return "***"
    return _URL_PASSWORD.sub(r"\1:***@", value) if isinstance(value, str) else value
