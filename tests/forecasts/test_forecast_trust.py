"""Forecasts shrunk towards the usual day, as far as their skill is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecasts.frame import ForecastFrame
from forecasts.series import Kind, Signal
from forecasts.slots import SlotGrid
from forecasts.trust import Skill, discounted

START = datetime(2026, 1, 10, tzinfo=UTC)
PRICE, CARBON = Signal.PRICE, Signal.CARBON
DAY = [10.0] * 12 + [90.0] * 12


def frame(prices: Sequence[float], kind: Kind = Kind.FORECAST, source: str = "given") -> ForecastFrame:
    n = len(prices)
    return ForecastFrame.from_arrays(
        SlotGrid(START, 60, n), "EUR", {"A": prices}, {"A": [300.0] * n}, kind=kind, source=source
    )


def prices(made: ForecastFrame) -> list[float]:
    return made.price_per_mwh("A").tolist()


def test_nothing_said_of_skill_leaves_the_frame_as_it_is() -> None:
    made = frame(DAY)
    assert discounted(made, ()) is made
    whole = discounted(made, [Skill("A", PRICE, None, 0, 1.0), Skill("B", PRICE, None, 0, 0.0)])
    assert whole.to_dict() == made.to_dict()


def test_no_skill_leaves_the_mean_of_a_short_horizon_and_says_so() -> None:
    made = discounted(frame(DAY), [Skill("*", PRICE, None, 0, 0.0)])
    assert prices(made) == pytest.approx([50.0] * 24)
    signal = made.get("A", PRICE)
    assert signal is not None
    assert set(signal.source) == {"given (discounted)"}
    assert set(signal.kind) == {Kind.MODEL}
    assert made.warnings == (
        "zone A price: 24 of 24 slots are discounted towards the usual day, by a skill of 0.",
    )
    assert made.carbon_g_per_kwh("A").tolist() == [300.0] * 24


def test_over_two_days_the_shape_of_the_day_stays() -> None:
    made = discounted(frame([*DAY, *[v + 20 for v in DAY]]), [Skill("A", PRICE, None, 0, 0.5)])
    assert prices(made) == pytest.approx([15.0] * 12 + [95.0] * 12 + [25.0] * 12 + [105.0] * 12)


def test_skill_fades_with_the_lead_time() -> None:
    rows = [Skill("A", PRICE, None, 6, 1.0), Skill("A", PRICE, None, 18, 0.0)]
    made = np.array(prices(discounted(frame(DAY), rows)))
    weight = (made - 50.0) / (np.array(DAY) - 50.0)
    assert weight == pytest.approx(np.interp(np.arange(24), [6, 18], [1, 0]))


def test_the_lead_time_runs_from_when_it_was_known() -> None:
    made = frame(DAY)
    early = tuple(START - timedelta(hours=12) for _ in DAY)
    made = replace(made, signals=tuple(replace(s, known_at=early) for s in made.signals))
    rows = [Skill("A", PRICE, None, 12, 1.0), Skill("A", PRICE, None, 36, 0.0)]
    assert prices(discounted(made, rows))[6] == pytest.approx(50 - 40 * (1 - 6 / 24))


def test_facts_and_gaps_stay() -> None:
    rows = [Skill("*", PRICE, None, 0, 0.0)]
    assert prices(discounted(frame(DAY, Kind.CLEARED), rows)) == DAY
    gap = [float("nan"), *DAY[1:]]
    assert np.isnan(prices(discounted(frame(gap), rows))[0])


def test_made_up_stays_made_up() -> None:
    made = discounted(frame(DAY, Kind.SYNTHETIC), [Skill("*", PRICE, None, 0, 0.0)])
    assert made.signals[0].synthetic


def test_bands_move_with_the_value_and_keep_their_width() -> None:
    made = frame(DAY)
    bands = {0.9: np.array(DAY) + 7}
    made = replace(
        made, signals=tuple(replace(s, quantiles=bands) if s.signal is PRICE else s for s in made.signals)
    )
    signal = discounted(made, [Skill("*", PRICE, None, 0, 0.3)]).get("A", PRICE)
    assert signal is not None
    assert signal.quantiles[0.9] - signal.values == pytest.approx([7.0] * 24)


@pytest.mark.parametrize(
    ("rows", "skill"),
    [
        ([Skill("*", PRICE, None, 0, 0.2), Skill("A", PRICE, None, 0, 0.4)], 0.4),
        ([Skill("A", PRICE, "typical", 0, 0.6), Skill("A", PRICE, None, 0, 0.4)], 0.6),
        ([Skill("A", PRICE, "other", 0, 0.6), Skill("A", PRICE, None, 0, 0.4)], 0.4),
        ([Skill("A", CARBON, None, 0, 0.2)], 1.0),
    ],
)
def test_the_row_that_says_most_counts(rows: list[Skill], skill: float) -> None:
    made = prices(discounted(frame(DAY, source="typical (day before)"), rows))
    assert made[0] == pytest.approx(50 - 40 * skill)
