"""What a vintage says, and how it is packed into few bytes: exact to the bit, and any part of it is read alone.

A packed content begins with the number of its layout: `PLAIN`, or `DEFLATED` where zlib makes the rest much
smaller. The rest, little-endian:

    head     n_bands, n_intervals, first_us, step_us (0 where the intervals are not all as long as the first)
    bands    one each: q_ppm, decimals, width, least
    edges    only without a step: where each interval begins, and where the last ends, n_intervals + 1 of 8 bytes
    values   band by band, n_intervals of `width` bytes

Published figures are decimals of few digits. Where every value of a band is, to the bit, a whole number over
10^decimals, what is kept is how far each number lies above the least of them, in 1, 2 or 4 bytes; else the floats.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecasts.series import ForecastSeries
from forecasts.slots import Floats
from forecasts.spans import to_us

Ints = NDArray[np.int64]

PPM = 1_000_000
PLAIN, DEFLATED = b"\x01", b"\x02"
_WORTH = 0.8
"""Reading what is deflated costs time: only where it is smaller than this share of what it was."""
_HEAD = struct.Struct("<BIqq")
_BAND = struct.Struct("<IbBq")
_AS_FLOATS = -1
_SCALE = tuple(10.0**decimals for decimals in range(7))
_EXACT = 2.0**53
_WHOLE: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
_OWN = np.dtype(np.int64)
_FLOAT, _INT = np.dtype("<f8"), np.dtype("<i8")
_LARGEST = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Content:
    """What a vintage says: n intervals that follow one another, between `edges_us` (n+1,), and their values (n,)
    by quantile [ppm], 0 being the value itself.
    """

    edges_us: Ints
    bands: dict[int, Floats]

    def __len__(self) -> int:
        return len(self.edges_us) - 1

    @property
    def first_us(self) -> int:
        """Start of the coverage."""
        return int(self.edges_us[0])

    @property
    def last_us(self) -> int:
        """End of the coverage, exclusive."""
        return int(self.edges_us[-1])

    @classmethod
    def of(cls, series: ForecastSeries) -> Content:
        """The content of a series that `check_structure` has passed."""
        bands = {0: np.asarray(series.values, dtype=float)}
        for p, band in series.quantiles.items():
            bands[round(p * PPM)] = np.asarray(band, dtype=float)
        edges = np.append(series.start, series.end[-1:]).astype("datetime64[us]").astype(np.int64)
        return cls(edges, dict(sorted(bands.items())))

    def changed_since(self, before: Content | None) -> int:
        """How many of the values `before`, of the same series, did not say of just that interval."""
        if before is None:
            return len(self) * len(self.bands)
        at = np.minimum(np.searchsorted(before.edges_us[:-1], self.edges_us[:-1]), len(before) - 1)
        same = (before.edges_us[at] == self.edges_us[:-1]) & (before.edges_us[at + 1] == self.edges_us[1:])
        return sum(
            len(band) - (int(np.sum(same & (before.bands[q][at] == band))) if q in before.bands else 0)
            for q, band in self.bands.items()
        )


def pack(content: Content) -> bytes:
    """The content as bytes; `unpack` gives it back to the bit."""
    edges = content.edges_us
    steps = np.diff(edges)
    step_us = int(steps[0]) if bool((steps == steps[0]).all()) else 0
    heads, values = [_HEAD.pack(len(content.bands), len(content), content.first_us, step_us)], []
    for q_ppm, band in content.bands.items():
        decimals, least, kept = _narrow(band)
        heads.append(_BAND.pack(q_ppm, decimals, kept.itemsize, least))
        values.append(kept.tobytes())
    rest = b"".join((*heads, b"" if step_us else edges.astype(_INT).tobytes(), *values))
    small = zlib.compress(rest)
    return DEFLATED + small if len(small) < _WORTH * len(rest) else PLAIN + rest


def unpack(packed: bytes, start_us: int = -_LARGEST, end_us: int = _LARGEST) -> Content:
    """What it says within `[start_us, end_us)`, its intervals cut to that. Raises ValueError for a layout that this
    program does not know.
    """
    rest = _rest(packed)
    n_bands, n, first_us, step_us = _HEAD.unpack_from(rest)
    offset = _HEAD.size + n_bands * _BAND.size
    if step_us:
        a = max(0, (start_us - first_us) // step_us)
        b = min(n, -((first_us - end_us) // step_us))
        first, last = first_us + a * step_us, first_us + b * step_us
        edges = np.arange(first, last + 1, step_us, dtype=_OWN)
    else:
        every = np.frombuffer(rest, _INT, n + 1, offset)
        offset += (n + 1) * _INT.itemsize
        a = int(np.searchsorted(every[1:], start_us, side="right"))
        b = int(np.searchsorted(every[:-1], end_us, side="left"))
        edges = every[a : b + 1].astype(np.int64)
        first, last = (int(edges[0]), int(edges[-1])) if a < b else (0, 0)
    if a >= b or end_us <= start_us:
        return Content(np.array([first_us], dtype=np.int64), {})
    if first < start_us:
        edges[0] = start_us
    if end_us < last:
        edges[-1] = end_us
    bands: dict[int, Floats] = {}
    for k in range(n_bands):
        q_ppm, decimals, width, least = _BAND.unpack_from(rest, _HEAD.size + k * _BAND.size)
        at = offset + a * width
        if decimals == _AS_FLOATS:
            bands[q_ppm] = np.frombuffer(rest, _FLOAT, b - a, at).astype(np.float64)
        else:
            bands[q_ppm] = (np.frombuffer(rest, _WHOLE[width], b - a, at) + float(least)) / _SCALE[decimals]
        offset += n * width
    return Content(edges, bands)


def digest_of(series: ForecastSeries, content: Content) -> str:
    """SHA-256 of everything that the vintage says, whenever it was fetched."""
    said = (
        series.kind.value,
        None if series.issued_at is None else to_us(series.issued_at),
        series.licence,
        series.attribution,
        series.restricted,
        sorted(content.bands),
    )
    digest = hashlib.sha256(repr(said).encode())
    for array in (content.edges_us[:-1], content.edges_us[1:], *content.bands.values()):
        digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _rest(packed: bytes) -> bytes:
    layout = packed[:1]
    if layout == PLAIN:
        return packed[1:]
    if layout == DEFLATED:
        return zlib.decompress(packed[1:])
    raise ValueError(f"a vintage is kept in layout {layout!r}; this program reads {PLAIN!r} and {DEFLATED!r}")


def _narrow(band: Floats) -> tuple[int, int, NDArray[Any]]:
    """Decimals, the least whole number, and what to keep of each value."""
    largest = float(np.abs(band).max())
    for decimals, scale in enumerate(_SCALE):
        if largest * scale > _EXACT:
            break
        whole = np.rint(band * scale) + 0.0  # there is no whole number -0: it is kept as a float
        if (whole / scale).tobytes() == band.tobytes():
            least = int(whole.min())
            above = whole - least
            for width, kind in _WHOLE.items():
                if above.max() < 256.0**width:
                    return decimals, least, above.astype(kind)
            break
    return _AS_FLOATS, 0, band.astype(_FLOAT)
