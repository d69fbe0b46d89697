"""The benchmark of the forecast store tells and asks what it says that it does."""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import ingest
from benchmarks.figure import Figure, Options, Row, quiet
from benchmarks.ingest import A_DAY, AHEAD, CASES, Curve
from benchmarks.runner import store_size
from forecasts.checks import check_series
from forecasts.series import Signal


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("signal", [Signal.PRICE, Signal.CARBON])
def test_a_stream_revises_the_share_that_it_says(case: ingest.Case, signal: Signal) -> None:
    curve, again = (Curve(3, signal, 2, case) for _ in range(2))
    told = [curve.vintage(k) for k in range(2 * A_DAY)]
    assert [s.values.tolist() for s in told] == [again.vintage(k).values.tolist() for k in range(2 * A_DAY)]
    kept = []
    for before, after in pairwise(told):
        check_series(after, before)
        assert len(after) == AHEAD
        assert after.start[0] - before.start[0] == np.timedelta64(30, "m")
        kept.append(np.mean(before.values[1:] == after.values[:-1]))
    # What is revised by less than is published stays as it was.
    assert 1 - float(np.mean(kept)) == pytest.approx(case.revised_ratio, abs=0.12)
    decimals = 2 if signal is Signal.PRICE else 0
    rounded = all(np.array_equal(s.values, np.round(s.values, decimals)) for s in told)
    assert rounded is case.rounded


def test_a_store_is_filled_weighed_asked_and_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "QUESTIONS", 3)
    heard: list[float] = []
    lines = list(ingest.run(Options(ingest=((1, 1),)), lambda _what, ratio: heard.append(ratio)))
    rows = [line for line in lines if isinstance(line, Row)]
    figures = [line for line in lines if isinstance(line, Figure)]
    assert len(rows) == len(CASES)
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1)
    for row in rows:
        found = {f.name: f.measured or 0.0 for f in row.figures}
        assert found["vintages"] == 2 * A_DAY
        assert found["rows"] == 2 * (2 * A_DAY) + 2  # each vintage, when it was seen, and the series
        assert found["a vintage"] == pytest.approx(1e6 * found["size"] / found["vintages"])
    assert len(figures) == len(CASES) * 4
    assert all((f.measured or 0) > 0 for f in figures)
    assert sum(f.target is not None for f in figures) == len(CASES) * 2


def test_the_size_of_a_store() -> None:
    assert store_size("50x365") == (50, 365)
    for wrong in ("50", "x", "0x1", "2x-1", "axb"):
        with pytest.raises(argparse.ArgumentTypeError, match="ZONESxDAYS"):
            store_size(wrong)


def test_nothing_told_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_latest", lambda *_: None)
    with pytest.raises(RuntimeError, match="nothing is known"):
        list(ingest.run(Options(ingest=((1, 1),)), quiet))
