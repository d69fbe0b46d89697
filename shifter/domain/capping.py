"""Power capping: which caps of a pool's measured curve are worth using, and what an accelerator draws under one.

Under a cap an accelerator draws less and does less. Of a measured curve of (power, throughput) only the corners of its
upper concave hull are used, from idle (idle_kw, 0) to uncapped (busy_kw, 1): anything below the hull does less than a
mix in time of the two corners beside it, for the same energy. What lies between corners follows by such mixing.
"""

from __future__ import annotations

from shifter.domain.fleet import Pool, PowerCap, Site


def used_caps(pool: Pool) -> tuple[PowerCap, ...]:
    """The caps at corners of the hull, highest power first."""
    idle, full = (pool.idle_kw, 0.0), (pool.busy_kw, 1.0)
    corners: list[tuple[float, float]] = [idle]
    for point in sorted({(cap.busy_kw, cap.throughput_ratio) for cap in pool.power_caps} | {full}):
        while len(corners) > 1 and _left_of(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return tuple(PowerCap(*corner) for corner in reversed(corners[1:]) if corner != full)


def _left_of(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or below the line from a to c, to rounding."""
    return (b[0] - a[0]) * (c[1] - a[1]) >= (c[0] - a[0]) * (b[1] - a[1]) - 1e-9


def import_kw(site: Site, pool: Pool, cap_kw: float | None) -> float:
    """What one busy accelerator adds to the site's import [kW], under a cap or at full power (None)."""
    return site.pue * (pool.dynamic_kw if cap_kw is None else cap_kw - pool.idle_kw)
