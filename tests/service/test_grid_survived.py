"""What a grid event leaves of what is held for losses, and for an outage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forecasts.slots import SlotGrid
from shifter.clock import ManualClock
from shifter.domain.plant import Battery
from shifter.domain.resilience import FailoverGroup
from shifter.realtime.load import RealtimeLoad
from shifter.service import Service
from tests.service.test_grid_quotes import event
from tests.service.world import FLEET, POOL, job, service


def group_of_three(url: str, clock: ManualClock) -> Service:
    """Sites of 16 that take over from each other, 4.8 of real-time load each, and firm work for nearly all else."""
    [site] = FLEET.sites
    sites = tuple(replace(site, name=name) for name in ("fra", "ber", "muc"))
    fleet = replace(FLEET, sites=sites, failover_groups=(FailoverGroup("de", tuple(s.name for s in sites)),))

    def load(grid: SlotGrid) -> RealtimeLoad:
        median, high = (np.full(grid.n_slots, n) for n in (3.0, 4.8))
        return RealtimeLoad(grid, {(s.name, "h100"): {0.5: median, 0.99: high} for s in sites})

    made = service(url, clock, fleet=fleet, realtime=load)
    made.submit([job("w1", hours=120, width=20, due_h=9)], "ann")
    made.cycle()
    return made


def test_what_a_group_holds_elsewhere_leaves_real_time_load_untouched(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = group_of_three(sqlite_url, clock)
    quote = made.quote_grid_event(event(1, 6, limit_kw=4.6))
    assert quote.met
    assert quote.reserve_moves, "under this limit fra has power for nothing of the others"
    assert quote.realtime_untouched
    assert quote.survives_less == ()
    text = " ".join(quote.sentences)
    assert "ask again" not in text
    assert "Real-time load is untouched" in text
    assert "What is held for the loss of others stands elsewhere, and as much as without it." in text


def test_an_event_that_leaves_too_little_for_a_loss_says_for_which(
    sqlite_url: str, clock: ManualClock
) -> None:
    made = group_of_three(sqlite_url, clock)
    made.add_grid_event(replace(event(1, 6, limit_kw=4.6), id="at-ber", site="ber"), "dso")
    quote = made.quote_grid_event(event(1, 6, limit_kw=4.6))
    assert quote.met
    assert [(p.kind, p.name, p.missing_slots) for p in quote.survives_less] == [("site", "muc", 6)]
    assert not quote.realtime_untouched
    text = " ".join(quote.sentences)
    assert (
        "less is held for the loss of site muc: up to 4.4 accelerators of it are held by nobody, in 6 slots"
        in text
    )


@pytest.mark.parametrize("group", [False, True])
def test_an_event_that_leaves_too_little_for_an_outage_says_where(
    sqlite_url: str, clock: ManualClock, group: bool
) -> None:
    """An empty battery has what half an hour takes after one hour, unless the event lets it charge nothing."""
    [site] = FLEET.sites
    cell = Battery(energy_kwh=12, power_kw=4)
    carried = replace(site.resilience, ride_through_minutes=30)
    fleet = replace(FLEET, sites=(replace(site, battery=cell, resilience=carried),))
    if group:
        other = replace(site, name="ber")
        fleet = replace(
            fleet, sites=(*fleet.sites, other), failover_groups=(FailoverGroup("de", ("fra", "ber")),)
        )
    made = service(sqlite_url, clock, fleet=fleet, realtime=of_fra)
    made.cycle()
    quote = made.quote_grid_event(event(0, 3, limit_kw=4.6))
    assert quote.met
    assert [(p.kind, p.name, p.missing_slots) for p in quote.survives_less] == [("ride_through", "fra", 4)]
    assert quote.survives_less[0].missing_kwh == pytest.approx(0.5 * 5 * 0.7)
    assert not quote.realtime_untouched
    text = (
        "less is stored for an outage of the grid: for 30 minutes without the grid, fra has up to 1.8 kWh too"
    )
    assert text in " ".join(quote.sentences)
    assert text in " ".join(quote.verdict)
    later = made.quote_grid_event(event(4, 3, limit_kw=4.6))
    assert later.survives_less == ()


def of_fra(grid: SlotGrid) -> RealtimeLoad:
    """Five at fra, and none elsewhere."""
    return RealtimeLoad(
        grid,
        {
            POOL: {0.5: np.full(grid.n_slots, 5.0), 0.99: np.full(grid.n_slots, 5.0)},
            ("ber", "h100"): {0.5: np.zeros(grid.n_slots), 0.99: np.zeros(grid.n_slots)},
        },
    )
