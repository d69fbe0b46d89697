"""What is written as a forecasts.csv is read back as what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasts.errors import InputError
from forecasts.export import in_one_currency, to_csv
from forecasts.series import CARBON_UNIT, Basis, ForecastSeries, Kind, Signal
from forecasts.sources.csv import CsvOptions, CsvSource
from tests.forecasts.build import T0, hours, series

PRICE, CARBON = Signal.PRICE, Signal.CARBON


def back(path: Path, said: list[ForecastSeries], **options: Any) -> list[ForecastSeries]:
    path.write_text(to_csv(said))
    return CsvSource(CsvOptions(path=path, **options)).read(now=hours(9))


def at(s: ForecastSeries, minute: int) -> float | None:
    """The value that holds then."""
    moment = np.datetime64(T0.replace(tzinfo=None)) + np.timedelta64(minute, "m")
    held = np.flatnonzero((s.start <= moment) & (moment < s.end))
    return float(s.values[held[0]]) if len(held) else None


def test_values_issue_times_and_kinds_come_back(tmp_path: Path) -> None:
    said = [
        series([50.0, -3.25, 0.1], zone="GB", kind=Kind.CLEARED),
        series([50.5, 60], zone="GB", issued_at=hours(-2), kind=Kind.CLEARED),
        series([200.0, 210], zone="FR", signal=CARBON, kind=Kind.SYNTHETIC),
    ]
    found = back(tmp_path / "f.csv", said)
    assert [(s.zone, s.signal, s.unit, s.kind, s.values.tolist()) for s in found] == [
        ("FR", CARBON, CARBON_UNIT, Kind.SYNTHETIC, [200, 210]),
        ("GB", PRICE, "EUR/MWh", Kind.CLEARED, [50.5, 60]),
        ("GB", PRICE, "EUR/MWh", Kind.CLEARED, [50, -3.25, 0.1]),
    ]
    assert [s.known_at for s in found] == [hours(-1), hours(-2), hours(-1)]
    text = (tmp_path / "f.csv").read_text()
    assert text.splitlines()[0] == "zone,issued_at,start,end,price_per_mwh,carbon_g_per_kwh,kind"


@given(
    price=st.tuples(st.integers(0, 5), st.sampled_from([15, 30, 60]), st.integers(1, 6)),
    carbon=st.tuples(st.integers(0, 5), st.sampled_from([15, 30, 60]), st.integers(1, 6)),
)
def test_hours_beside_quarters(tmp_path_factory: pytest.TempPathFactory, price: Any, carbon: Any) -> None:
    """Swiss prices are hourly and Swiss carbon is not: each value holds where it held."""
    said = [
        series(10.0 + np.arange(n), start=hours(first), step_minutes=step, signal=signal)
        for signal, (first, step, n) in ((PRICE, price), (CARBON, carbon))
    ]
    found = {s.signal: s for s in back(tmp_path_factory.mktemp("out") / "f.csv", said)}
    for s in said:
        for minute in range(0, 12 * 60, 15):
            assert at(found[s.signal], minute) == at(s, minute)


class TestOneCurrency:
    SAID = (series([50.0]), series([100.0], unit="USD/MWh", zone="US"), series([200.0], signal=CARBON))

    def test_converted_at_a_given_rate(self) -> None:
        eur, usd, carbon = in_one_currency(self.SAID, "EUR", {"USD": 0.9})
        assert (eur.values[0], usd.values[0], usd.unit, carbon.values[0]) == (50, 90, "EUR/MWh", 200)

    def test_never_at_a_guessed_one(self) -> None:
        with pytest.raises(InputError, match="priced in USD"):
            in_one_currency(self.SAID, "EUR", {})


def test_marginal_carbon_is_refused_since_the_file_would_call_it_average() -> None:
    with pytest.raises(InputError, match="marginal"):
        to_csv([series([500.0], zone="GB", signal=CARBON, basis=Basis.MARGINAL)])
