"""How hard to try for a plan: where the best way dies of its size, the next one is asked for."""

from __future__ import annotations

from enum import StrEnum


class Effort(StrEnum):
    """The best way to plan that may be tried. Each falls back to the ones after it by itself where it only fails."""

    WHOLE = "whole"
    COARSE = "coarse"
    GREEDY = "greedy"
