"""The forecast of a measured load: in order, never below zero, right as often as it says, careful at first."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from forecasts.slots import Floats, SlotGrid
from shifter.realtime.announced import AnnouncedLoad
from shifter.realtime.calendar import Calendar
from shifter.realtime.expected import Prior, expect, prior_ratio
from shifter.realtime.forecast import Learnt, learn
from shifter.realtime.measured import History, step_of

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
FIRST = step_of(START)
DAY = 288
BERLIN = Calendar.of(ZoneInfo("Europe/Berlin"))
ASKED = (0.5, 0.9, 0.99)


def course(days: float, seed: int = 0, noise: float = 0.1, calendar: Calendar = BERLIN) -> Floats:
    """A day with a peak at 15 h by the wall, less at weekends, and noise that lasts some hours."""
    n = round(days * DAY)
    places = calendar.places(FIRST, n, 5)
    hour = places.time / 12
    shape = 0.4 + 0.6 * np.exp(2 * (np.cos((hour - 15) * np.pi / 12) - 1))
    chance = np.random.default_rng(seed)
    waves = np.repeat(chance.normal(size=n // 24 + 1), 24)[:n]
    errors = np.exp(noise * (0.7 * waves + 0.7 * chance.normal(size=n)))
    return 40 * shape * np.where(places.kind > 0, 0.7, 1.0) * errors


def learnt_of(values: Floats, calendar: Calendar = BERLIN) -> Learnt:
    found = learn(History(FIRST, values), calendar)
    assert found is not None
    return found


def ahead(learnt: Learnt, values: Floats, n_steps: int = 2 * DAY) -> Floats:
    """(n_probabilities, n_steps) from the last value on."""
    now = FIRST + len(values)
    found = learnt.quantiles(History(FIRST, values), now, now, n_steps, ASKED)
    return np.stack([found[p] for p in ASKED])


loads = st.one_of(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=300),
    st.lists(st.sampled_from([0.0, 1.0, 500.0, float("nan")]), min_size=1, max_size=900),
)


@given(loads, st.integers(1, 8))
@examples(max_examples=15)
def test_whatever_was_measured_quantiles_are_finite_in_order_and_never_below_zero(
    some: list[float], times: int
) -> None:
    values = np.array(some * times)
    found = learn(History(FIRST, values), BERLIN)
    if found is None:
        assert not np.isfinite(values).any()
        return
    said = ahead(found, values, 300)
    assert np.isfinite(said).all()
    assert said.min() >= 0
    assert np.all(np.diff(said, axis=0) >= -1e-9)


def test_p99_holds_as_often_as_it_says_at_every_lead() -> None:
    values = course(75, seed=3)
    held = []
    learnt = None
    for t in range(40 * DAY, 73 * DAY, 60):
        if learnt is None or t % DAY < 60:
            learnt = learnt_of(values[:t])
        held.append(values[t : t + 2 * DAY] <= ahead(learnt, values[:t]))
    covered = np.mean(held, axis=0)
    assert covered[2, :DAY].mean() == pytest.approx(0.99, abs=0.005)
    assert covered[2, DAY:].mean() == pytest.approx(0.99, abs=0.005)
    assert covered[1].mean() == pytest.approx(0.9, abs=0.03)
    assert covered[0].mean() == pytest.approx(0.5, abs=0.06)


def test_nothing_that_came_later_is_in_what_was_known_of_the_past() -> None:
    values = course(20)
    other = values.copy()
    other[15 * DAY :] *= 7
    same = learnt_of(values).season.known[:15] == learnt_of(other).season.known[:15]
    # The scale is the mean load, which is of today: so compare in what does not hang on it.
    assert same.shape[0] == 15
    short, long = learnt_of(values[: 15 * DAY]), learnt_of(values)
    ratio = long.scale / short.scale
    back = [np.expm1(x.season.known[2:15]) * x.scale for x in (short, long)]
    assert ratio == pytest.approx(1, abs=0.1)
    assert np.nanmax(np.abs(back[0] / back[1] - 1)) < 0.05


@pytest.mark.parametrize("start", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
def test_the_peak_stays_where_the_wall_has_it_when_clocks_change(start: datetime) -> None:
    first, n = step_of(start) - 28 * DAY, 28 * DAY
    places = BERLIN.places(first, n, 5)
    values = 10 + 30 * np.exp(-0.5 * ((places.time / 12 - 15) / 2) ** 2)
    learnt = learn(History(first, values), BERLIN)
    assert learnt is not None
    now = first + n
    said = learnt.quantiles(History(first, values), now, now, 3 * DAY, ASKED)[0.5]
    wall = BERLIN.places(now, 3 * DAY, 5)
    for day in np.unique(wall.day)[1:3]:
        of_day = np.flatnonzero(wall.day == day)
        peak = wall.time[of_day][np.argmax(said[of_day])] / 12
        assert peak == pytest.approx(15, abs=0.5)


def test_weekends_and_holidays_are_expected_lower() -> None:
    holidays = Calendar.of(ZoneInfo("Europe/Berlin"), [date(2026, 4, 14)])  # a Tuesday
    values = course(42, noise=0.03)
    for calendar, lower in ((BERLIN, False), (holidays, True)):
        said = ahead(learnt_of(values, calendar), values)  # Monday the 13th, and Tuesday
        assert bool(said[0, DAY:].mean() < 0.85 * said[0, :DAY].mean()) is lower
    said = ahead(learnt_of(values[: 40 * DAY]), values[: 40 * DAY])
    assert said[0].mean() < 0.85 * ahead(learnt_of(values), values)[0].mean()  # Saturday and Sunday


def test_a_higher_level_lasts_for_hours_and_fades() -> None:
    values = course(30, noise=0.05)
    usual = ahead(learnt_of(values), values)
    values[-24:] *= 1.6
    raised = ahead(learnt_of(values), values)[0] / usual[0]
    assert raised[0] > 1.25
    assert raised[24] > raised[72] > raised[250]
    assert raised[250] == pytest.approx(1, abs=0.15)


def test_what_is_higher_than_ever_is_not_cut_off_before_it_is_learnt_from() -> None:
    noise = np.random.default_rng(0).normal(size=20 * DAY)
    waves = np.zeros(20 * DAY)
    for i in range(1, len(waves)):
        waves[i] = 0.98 * waves[i - 1] + 0.03 * noise[i]
    values = 20 * np.exp(waves)
    learnt = learnt_of(values)
    assert learnt.highest < 40
    now = FIRST + len(values) + 10
    recent = History(now - 310, np.concatenate([values[-300:], np.full(10, 120.0)]))
    found = learnt.quantiles(recent, now, now, 36, ASKED)
    assert np.all(found[0.99][:12] >= 120 - 1e-9)
    assert np.all(found[0.9][:12] >= 120 - 1e-9)
    assert found[0.5][0] > 1.25 * learnt.highest
    assert np.all(np.diff(found[0.9][12:24]) < 0), "it fades"
    assert np.all(found[0.9][24:] < 100)
    grid = SlotGrid(START + timedelta(minutes=5 * (now - FIRST) // 60 * 60), 60, 3)
    assert expect(learnt, recent, now, grid, ASKED, whole(64, grid), 64).quantiles[0.99][0] >= 120 - 1e-9


def test_a_rise_within_what_is_known_is_held_for_an_hour_and_not_when_it_is_long_gone() -> None:
    values = course(30)
    values[-3:] = values.max()
    learnt, now = learnt_of(values[:-3]), FIRST + len(values)
    history = History(FIRST, values)
    assert np.all(learnt.quantiles(history, now, now, 12, ASKED)[0.9] >= values[-1] - 1e-9)
    values[-3:-1] = values[-4]
    assert np.all(learnt.quantiles(History(FIRST, values), now, now, 12, ASKED)[0.9] < 50), (
        "one step is no level"
    )
    values[-3:] = values.max()
    later = learnt.quantiles(history, now + 24, now + 24, 12, ASKED)
    assert np.all(later[0.9] < values[-1])


def test_a_calm_night_is_not_trusted_to_be_calm() -> None:
    values = course(30, noise=0.15)
    places = BERLIN.places(FIRST, len(values), 5)
    night = (places.time >= 12) & (places.time < 60)
    values[night] = 16.0  # to the last digit, every night
    said = ahead(learnt_of(values), values)
    time = BERLIN.places(FIRST + len(values), 2 * DAY, 5).time
    assert said[2, (time >= 24) & (time < 48)].min() > 1.1 * 16


@pytest.mark.parametrize("days", [0.5, 3.0, 40.0])
def test_silence_never_narrows(days: float) -> None:
    values = course(days)
    learnt, recent = learnt_of(values), History(FIRST, values)
    end = FIRST + len(values)
    before = None
    for hours in (0, 0.25, 1, 6, 12, 30, 24 * 7):
        now = end + round(hours * 12)
        said = learnt.quantiles(recent, now, end, 8 * DAY, (0.5, 0.9, 0.99))
        assert np.all(said[0.5] <= said[0.9] + 1e-9)
        if before is not None:
            assert np.all(said[0.99] >= before[0.99] - 1e-9)
            assert np.all(said[0.9] >= before[0.9] - 1e-9)
            assert np.allclose(said[0.5], before[0.5]), "silence tells nothing of the median"
        before = said


def test_an_hour_without_samples_is_no_hour_without_load() -> None:
    values = course(30)
    said = ahead(learnt_of(values), values)
    gaps = values.copy()
    gaps[[*range(20 * DAY, 21 * DAY), *range(-24, -12)]] = np.nan
    with_gaps = ahead(learnt_of(gaps), gaps)
    assert np.all(with_gaps[2] > 0.85 * said[2])


def test_load_that_never_was_stays_at_zero() -> None:
    values = np.zeros(10 * DAY)
    assert ahead(learnt_of(values), values).max() == 0
    assert learn(History.of([]), BERLIN) is None
    assert learn(History(FIRST, np.full(10, np.nan)), BERLIN) is None


def whole(count: float, grid: SlotGrid) -> Prior:
    return Prior("the whole pool", {p: np.full(grid.n_slots, count) for p in ASKED})


def test_at_first_the_prior_is_held_and_less_of_it_as_days_come() -> None:
    grid = SlotGrid(START + timedelta(days=30), 30, 96)
    now = step_of(grid.start)
    nothing = expect(None, History.of([]), now, grid, ASKED, whole(64, grid), 64)
    assert nothing.basis == "nothing measured yet: the whole pool is held"
    assert all(np.all(q == 64) for q in nothing.quantiles.values())
    held, basis = [], ""
    for days in (0.5, 2, 5, 9, 30):
        values = 0.2 * course(days, noise=0.05)
        history = History(now - len(values), values)
        found = expect(learn(history, BERLIN), history, now, grid, ASKED, whole(64, grid), 64)
        assert np.all(found.quantiles[0.99] >= prior_ratio(history.days) * 64 - 1e-9)
        held.append(found.quantiles[0.99].max())
        basis = found.basis
        assert ("no less than" in basis) is (days < 7)
    assert held == sorted(held, reverse=True)
    assert held[0] == 64
    assert held[-1] < 20
    assert basis == "forecast from 30.0 days measured"


@pytest.mark.parametrize("days", [0.5, 3, 7])
def test_energy_is_counted_by_what_is_measured_and_not_by_the_prior(days: float) -> None:
    grid = SlotGrid(START + timedelta(days=30), 60, 26)
    now = step_of(grid.start)
    values = 20 * np.exp(0.05 * np.random.default_rng(0).normal(size=round(days * DAY)))
    history = History(now - len(values), values)
    found = expect(learn(history, BERLIN), history, now, grid, ASKED, whole(160, grid), 160).quantiles
    assert np.all(found[0.99] >= prior_ratio(history.days) * 160 - 1e-9)
    assert np.all(np.abs(found[0.5] - 20) < 4)
    assert np.all((found[0.5] <= found[0.9]) & (found[0.9] <= found[0.99]))


def test_a_slot_holds_its_worst_step_and_counts_its_mean() -> None:
    values = course(30)
    history = History(FIRST, values)
    grid = SlotGrid(START + timedelta(days=30), 60, 24)
    learnt = learnt_of(values)
    found = expect(learnt, history, step_of(grid.start), grid, ASKED, whole(100, grid), 100).quantiles
    fine = learnt.quantiles(history, step_of(grid.start), step_of(grid.start), DAY, ASKED)
    assert np.allclose(found[0.99], fine[0.99].reshape(24, 12).max(axis=1))
    assert np.allclose(found[0.5], fine[0.5].reshape(24, 12).mean(axis=1))


def test_what_is_announced_is_held_and_a_pool_is_exceeded_only_by_what_was_seen_or_announced() -> None:
    values = course(30)
    history = History(FIRST, values)
    grid = SlotGrid(START + timedelta(days=30), 30, 96)
    now = step_of(grid.start)
    launch = AnnouncedLoad("launch", grid.edges[20], grid.edges[30], factor=3.0, added=2.0)
    learnt = learnt_of(values)
    usual = expect(learnt, history, now, grid, ASKED, whole(45, grid), 45).quantiles
    found = expect(learnt, history, now, grid, ASKED, whole(45, grid), 45, [launch])
    for p in ASKED:
        assert np.allclose(found.quantiles[p][20:30], 3 * usual[p][20:30] + 2)
        assert np.array_equal(
            np.delete(found.quantiles[p], range(20, 30)), np.delete(usual[p], range(20, 30))
        )
    assert usual[0.99].max() <= max(45, values.max())
    assert found.basis == "forecast from 30.0 days measured; announced: launch, x 3 + 2"


def test_silence_is_told_in_words() -> None:
    values = course(30)
    history = History(FIRST, values)
    grid = SlotGrid(START + timedelta(days=30, hours=12), 30, 48)
    found = expect(learnt_of(values), history, step_of(grid.start), grid, ASKED, whole(45, grid), 45)
    assert "silent since 2026-04-01T00:00:00Z: the last forecast is held, 50 % wider" in found.basis
