"""What failover asks of the pools: accelerators that are lost with a site or a zone, slot by slot, and who has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from forecasts.slots import Floats
from shifter.domain.failover import Loss, carried, losses
from shifter.domain.fleet import Fleet, PoolKey
from shifter.realtime.reserve import Envelope


@dataclass(frozen=True, eq=False)
class Demand:
    """Real-time load on one kind of accelerator that one loss takes away, (n_slots,) [accelerators of that kind].

    `rates` says what one accelerator of each pool that is left carries of it; pools that carry nothing are not in it.
    """

    loss: Loss
    accelerator: str
    load: Floats
    rates: Mapping[PoolKey, float]


def demands(fleet: Fleet, envelope: Envelope) -> tuple[Demand, ...]:
    """All that groups must hold elsewhere, loss by loss: load at the quantile, as far as its own pools hold it."""
    found = []
    for loss in losses(fleet):
        for accelerator, keys in loss.lost(fleet).items():
            load = np.sum([np.minimum(envelope[key].quantile, envelope[key].count) for key in keys], axis=0)
            if load.max(initial=0.0) <= 0:
                continue
            rates = {
                key: carried(fleet, loss.group, accelerator, fleet.pools[key][1].accelerator)
                for key in loss.left(fleet)
            }
            carry = {key: rate for key, rate in rates.items() if rate > 0}
            found.append(Demand(loss, accelerator, load, carry))
    return tuple(found)
