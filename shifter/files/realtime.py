"""realtime.csv into the real-time load on a planning grid. A gap is an error: it must never read as
no load, nor as the end of what is known.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from forecasts.slots import Floats, SlotGrid, Times, as_datetime64, isoformat_z
from shifter.domain.fleet import Fleet, PoolKey
from shifter.errors import InputError
from shifter.files.places import MOST_MISTAKES, Place, raise_all, suggestion
from shifter.files.text import PathLike, read_text
from shifter.realtime.load import RealtimeLoad

MAX_BYTES = 512 * 2**20
MOST_ACCELERATORS = 1e9
FIXED = ("site", "pool", "start", "end")
_QUANTILE = re.compile(r"accelerators_p(\d{1,2}(?:[._]\d+)?)")


@dataclass
class PoolRows:
    """The rows of one pool, sorted by start: `starts`, `ends` (n,), `values` (n_quantiles, n),
    `lines` (n,).
    """

    starts: Times
    ends: Times
    values: Floats
    lines: list[int]


@dataclass
class _Raw:
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class RealtimeRows:
    """A realtime.csv that was read: its quantiles (0..1, ascending), and the rows of each pool."""

    source: str
    quantiles: tuple[float, ...]
    pools: dict[PoolKey, PoolRows]


def read_realtime(path: PathLike, grid: SlotGrid, fleet: Fleet) -> RealtimeLoad:
    """The real-time load of a realtime.csv on the grid, at each quantile that it gives.

    A pool that is absent from the file has no real-time load. Raises InputError naming file and line, or the
    pool and the first slot that a pool of the file does not cover.
    """
    rows = read_realtime_rows(path, fleet)
    quantiles = {key: _on_grid(rows, pool, grid) for key, pool in rows.pools.items()}
    for key, load in quantiles.items():
        _refuse_gaps(rows.source, key, rows.pools[key], grid, load[rows.quantiles[0]])
    return RealtimeLoad(grid, quantiles)


def read_known_realtime(path: PathLike, grid: SlotGrid, fleet: Fleet, now: datetime) -> RealtimeLoad:
    """The same on the first slots of the grid, as many as every pool of the file covers in full: its own grid
    ends there.

    Of the first slot, only what is left of it from `now` on must be covered. Raises InputError as
    `read_realtime`, and where not even the first slot is covered: the file is then no longer known load.
    """
    rows = read_realtime_rows(path, fleet)
    quantiles: dict[PoolKey, dict[float, Floats]] = {}
    known = grid.n_slots
    for key, pool in rows.pools.items():
        load = quantiles[key] = _on_grid(rows, _without_past(pool, grid, now), grid)
        gaps = np.flatnonzero(np.isnan(load[rows.quantiles[0]]))
        known = min(known, int(gaps[0]) if len(gaps) else known)
    if known == 0:
        for key, load in quantiles.items():
            _refuse_gaps(rows.source, key, rows.pools[key], grid, load[rows.quantiles[0]])
    if known == grid.n_slots:
        return RealtimeLoad(grid, quantiles)
    cut = {key: {p: values[:known] for p, values in load.items()} for key, load in quantiles.items()}
    return RealtimeLoad(replace(grid, n_slots=known), cut)


def _on_grid(rows: RealtimeRows, pool: PoolRows, grid: SlotGrid) -> dict[float, Floats]:
    return {
        p: grid.average(pool.starts, pool.ends, values)
        for p, values in zip(rows.quantiles, pool.values, strict=True)
    }


def _without_past(pool: PoolRows, grid: SlotGrid, now: datetime) -> PoolRows:
    """The rows, where the first slot's past is not covered, as if the row of `now` had held since its start:
    nothing is planned before `now`, and what follows in that slot still counts.
    """
    at, start = as_datetime64(now), as_datetime64(grid.start)
    kept = np.flatnonzero(pool.ends > at)
    covered = np.any((pool.starts <= start) & (pool.ends > start))
    if covered or not len(kept) or pool.starts[kept[0]] > at:
        return pool
    starts = pool.starts[kept].copy()
    starts[0] = min(starts[0], start)
    return PoolRows(starts, pool.ends[kept], pool.values[:, kept], [pool.lines[i] for i in kept])


def read_realtime_rows(path: PathLike, fleet: Fleet | None = None) -> RealtimeRows:
    """A realtime.csv as it stands; with a fleet, its sites and pools are checked. Raises InputError with
    every mistake: also a hole between two rows of a pool.
    """
    source, text = str(path), read_text(path, MAX_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    mistakes: list[InputError] = []
    raw: dict[PoolKey, _Raw] = {}
    table: _Table | None = None
    try:
        for cells in reader:
            if table is None:
                table = _Table.from_header(cells, source)
            elif cells:
                try:
                    table.add(cells, reader.line_num, raw, fleet)
                except InputError as error:
                    mistakes.append(error)
                    if len(mistakes) >= MOST_MISTAKES:
                        break
    except csv.Error as error:
        hint = "Look for a quote too few; is the file cut off?"
        mistakes.append(Place(source, line=reader.line_num).error(f"this is not CSV: {error}.", hint))
    raise_all(mistakes)
    if table is None:
        raise Place(source, line=1).error("the file is empty.", _HEADER)
    pools = {key: _sorted(rows) for key, rows in raw.items()}
    for key, rows in pools.items():
        mistakes += _overlaps(source, key, rows) + _holes(source, key, rows)
    if fleet is not None:
        mistakes += _too_low(source, table.quantiles, pools, fleet)
    raise_all(mistakes)
    return RealtimeRows(source, table.quantiles, pools)


@dataclass
class _Table:
    """Which column holds what. `order` are the columns of the quantiles, ascending."""

    source: str
    columns: dict[str, int]
    quantiles: tuple[float, ...]
    order: tuple[int, ...]
    times: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def from_header(cls, cells: list[str], source: str) -> _Table:
        names = [cell.strip() for cell in cells]
        place = Place(source, line=1)
        probabilities: dict[float, int] = {}
        mistakes = [place.error(f"the column `{n}` is missing.", _HEADER) for n in FIXED if n not in names]
        for i, name in enumerate(names):
            found = _QUANTILE.fullmatch(name)
            if found is not None:
                probabilities.setdefault(float(found[1].replace("_", ".")) / 100, i)
            elif name not in FIXED:
                hint = suggestion(name, [*FIXED, "accelerators_p50", "accelerators_p99"], "columns")
                mistakes.append(place.error(f"the column `{name[:60]}` is not known.", hint))
            if name in names[:i]:
                mistakes.append(
                    place.error(f"the column `{name[:60]}` is there twice.", "Keep one of the two.")
                )
        if 0.5 not in probabilities:
            mistakes.append(
                place.error("the column `accelerators_p50` is missing: the median load.", _HEADER)
            )
        if any(not 0 < p < 1 for p in probabilities):
            mistakes.append(place.error("a quantile lies above p0 and below p100.", "Use accelerators_p99."))
        raise_all(mistakes)
        ordered = sorted(probabilities)
        columns = {name: names.index(name) for name in names}
        return cls(source, columns, tuple(ordered), tuple(probabilities[p] for p in ordered))

    def add(self, cells: list[str], line: int, raw: dict[PoolKey, _Raw], fleet: Fleet | None) -> None:
        if len(cells) != len(self.columns):
            raise Place(self.source, line=line).error(
                f"{len(cells)} values where the header has {len(self.columns)} columns.",
                "Is the line cut off, or is there a comma in a value?",
            )
        key = (cells[self.columns["site"]].strip(), cells[self.columns["pool"]].strip())
        if fleet is not None and key not in fleet.pools:
            raise _unknown_pool(self.source, line, key, fleet)
        start, end = self._time("start", cells, line), self._time("end", cells, line)
        if end <= start:
            raise Place(self.source, "end", line).error(
                "the end is not after the start.", "Intervals are [start, end)."
            )
        values = [self._number(i, cells, line) for i in self.order]
        for lower, higher, i in zip(values, values[1:], range(1, len(values)), strict=False):
            if higher < lower - 1e-9:
                low, high = self.quantiles[i - 1] * 100, self.quantiles[i] * 100
                raise Place(self.source, f"accelerators_p{high:g}", line).error(
                    f"p{high:g} is {higher:g}, below p{low:g}, which is {lower:g}.",
                    "A higher quantile is never lower; are two columns exchanged?",
                )
        rows = raw.setdefault(key, _Raw())
        rows.spans.append((start, end))
        rows.values.append(values)
        rows.lines.append(line)

    def _time(self, column: str, cells: list[str], line: int) -> datetime:
        text = cells[self.columns[column]].strip()
        known = self.times.get(text)
        if known is not None:
            return known
        place = Place(self.source, column, line)
        hint = "Write it in UTC, like 2026-01-10T17:00:00Z."
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise place.error(f'`{column}` has no time zone: "{text[:40]}".', hint)
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise place.error(f'`{column}` is not a time: "{text[:40]}".', hint) from None
        self.times[text] = moment
        return moment

    def _number(self, i: int, cells: list[str], line: int) -> float:
        text = cells[i].strip()
        try:
            value = float(text) if "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not 0 <= value <= MOST_ACCELERATORS:
            name = next(n for n, at in self.columns.items() if at == i)
            raise Place(self.source, name, line).error(
                f'`{name}` must be a number of accelerators, 0 to {MOST_ACCELERATORS:g}, not "{text[:40]}".',
                "Leave a pool without real-time load out; never leave a value empty.",
            )
        return value


_HEADER = (
    "The header is site,pool,start,end,accelerators_p50,accelerators_p99 (any accelerators_pNN besides p50)."
)


def _unknown_pool(source: str, line: int, key: PoolKey, fleet: Fleet) -> InputError:
    site, pool = key
    if site not in fleet.by_site:
        hint = suggestion(site, fleet.by_site, "sites")
        return Place(source, "site", line).error(f"the fleet has no site `{site[:60]}`.", hint)
    pools = [p.name for p in fleet.by_site[site].pools]
    hint = suggestion(pool, pools, "pools")
    return Place(source, "pool", line).error(f"the site `{site}` has no pool `{pool[:60]}`.", hint)


def _sorted(raw: _Raw) -> PoolRows:
    order = sorted(range(len(raw.lines)), key=lambda i: raw.spans[i])
    spans = np.array(
        [[as_datetime64(a), as_datetime64(b)] for a, b in (raw.spans[i] for i in order)],
        dtype="datetime64[us]",
    )
    values = np.array([raw.values[i] for i in order], dtype=float).T
    return PoolRows(spans[:, 0], spans[:, 1], values, [raw.lines[i] for i in order])


def _overlaps(source: str, key: PoolKey, rows: PoolRows) -> list[InputError]:
    mistakes = []
    for i in np.flatnonzero(rows.starts[1:] < rows.ends[:-1]):
        first, second = sorted((rows.lines[i], rows.lines[i + 1]))
        same = rows.starts[i] == rows.starts[i + 1] and rows.ends[i] == rows.ends[i + 1]
        what = "is the same interval as on" if same else "overlaps the interval on"
        mistakes.append(
            Place(source, "start", second).error(
                f"the interval of {key[0]}/{key[1]} {what} line {first}.",
                "Give each pool one value for each moment.",
                lines=(first, second),
            )
        )
    return mistakes


def _holes(source: str, key: PoolKey, rows: PoolRows) -> list[InputError]:
    """Time between two rows of a pool that no row covers: only after its last row may the load be unknown."""
    covered_to = np.maximum.accumulate(rows.ends[:-1])
    return [
        Place(source, "start", rows.lines[i + 1]).error(
            f"no row of {key[0]}/{key[1]} covers {_z(covered_to[i])} to {_z(rows.starts[i + 1])}.",
            "Give every moment up to a pool's last row, with 0 where there is no load. A gap is not taken for no "
            "load.",
            site=key[0],
            pool=key[1],
        )
        for i in np.flatnonzero(rows.starts[1:] > covered_to)[:MOST_MISTAKES]
    ]


def _too_low(
    source: str, quantiles: tuple[float, ...], pools: dict[PoolKey, PoolRows], fleet: Fleet
) -> list[InputError]:
    """Sites whose resilience asks for a higher quantile than the file gives."""
    mistakes = []
    for site in fleet.sites:
        wanted = site.resilience.quantile
        if any(name == site.name for name, _ in pools) and quantiles[-1] < wanted - 1e-9:
            mistakes.append(
                Place(source, line=1).error(
                    f"the highest quantile is p{quantiles[-1] * 100:g}, and the site `{site.name}` asks for "
                    f"p{wanted * 100:g}.",
                    f"Add a column accelerators_p{wanted * 100:g}, or lower the site's resilience.quantile.",
                )
            )
    return mistakes


def _z(moment: np.datetime64) -> str:
    return f"{moment.astype('datetime64[s]')}Z"


def _refuse_gaps(source: str, key: PoolKey, rows: PoolRows, grid: SlotGrid, median: Floats) -> None:
    missing = np.flatnonzero(np.isnan(median))
    if not len(missing):
        return
    first, n = int(missing[0]), len(missing)
    slot = isoformat_z(grid.moment(first))
    others = f" (nor are {n - 1} others)" if n > 1 else ""
    raise Place(source, f"{key[0]}/{key[1]}").error(
        f"the slot that starts at {slot} is not covered{others}: the rows reach from {_z(rows.starts[0])} to "
        f"{_z(rows.ends.max())}.",
        "Give every moment of the horizon, with 0 where there is no load. A gap is not taken for no load.",
        site=key[0],
        pool=key[1],
        slot=slot,
    )
