"""What may be turned in how forecasts are learnt; `shifter forecasts tune` tells what it would bring."""

from __future__ import annotations

from dataclasses import dataclass

from forecasts.models.days import MAX_DAYS


@dataclass(frozen=True)
class Learning:
    """The rules by which outlooks are made."""

    history_days: int = MAX_DAYS
    """[d] How much of the past our models learn from."""
    past_days: int = 60
    """[d] Over which what was said is held against what came, for weights and bands."""
    adapt_rate: float = 0.02
    """How fast bands follow what came: more follows sooner, and is less even (0..0.5)."""
    weigh_sources: bool = True
    """Whether sources are weighed against our models by their record; else a source speaks alone where it speaks."""


BY_DEFAULT = Learning()
