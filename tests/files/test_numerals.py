"""Text in place of a number: what is advised is what was meant, and never another number."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shifter.files.numerals import as_number
from shifter.settings import check_config

NUMBERS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[0-9]+)?")
UNITS = {"": 1, "k": 10**3, "M": 10**6, " million": 10**6, " bn": 10**9}


def advised(text: str) -> list[Decimal]:
    return [Decimal(n) for n in NUMBERS.findall(as_number(text))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("45,0", "Write it with a point: 45.0."),
        ("-45,05", "Write it with a point: -45.05."),
        ("+0,19", "Write it with a point: 0.19."),
        ("0,500", "Write it with a point: 0.500."),
        ("1,5M", "Write it with a point: 1.5e6."),
        ("1.234,5", "Write it with a point: 1234.5."),
        ("12 000,5", "Write it with a point: 12000.5."),
        ("45,000", "Write 45000 or 45.000, whichever is meant."),
        ("1,234.5", "Write it out, without quotes: 1234.5."),
        ("120,000,000", "Write it out, without quotes: 120000000."),
        ("12,34,567", "Write it out, without quotes: 1234567."),
        ("45.0", "Write it without quotes."),
        *((text, "") for text in ("45,", ",5", "1,2,3", "45.0,5", "1.2.3", "4,5.6", "many", "")),
    ],
)
def test_a_comma_is_what_it_can_be(text: str, said: str) -> None:
    assert as_number(text) == said


@pytest.mark.parametrize(("text", "said"), [("45,0", ""), ("45,000", "Write it out, without quotes: 45000.")])
def test_a_whole_number_has_no_decimal_comma(text: str, said: str) -> None:
    assert as_number(text, whole=True) == said


@given(
    st.decimals(-(10**9), 10**9, places=4).filter(lambda d: not (d == 0 and d.is_signed())),
    st.integers(0, 4),
    st.sampled_from(["{:f}", "{:,f}", "decimal comma", "both"]),
    st.sampled_from(sorted(UNITS)),
)
def test_what_is_advised_is_what_was_meant(value: Decimal, places: int, style: str, unit: str) -> None:
    value = round(value, places)
    text = (style if "{" in style else "{:,f}" if style == "both" else "{:f}").format(value)
    if "{" not in style:
        text = text.translate(str.maketrans(",.", ".,"))
    assume("," in text or style != "both")  # 1.234 is a number as it stands
    said = advised(text + unit)
    if as_number(text + unit) == "Write it without quotes.":
        assert Decimal(text) == value
    elif said:
        assert value * UNITS[unit] in said
        assert len(said) == 1 or re.fullmatch(r"-?[1-9][0-9]{0,2},[0-9]{3}", text), "in doubt, both are named"
    else:
        raise AssertionError(f"nothing is advised for {text}")


def test_an_option_of_a_source_says_what_was_given(tmp_path: Path) -> None:
    file = tmp_path / "shifter.yaml"
    options = ["currency: EUR", "timezone: Europe/Berlin", "price_per_mwh: 90", "add_per_mwh: 45,0"]
    lines = ["forecasts:", "  sources:", "  - name: tariff", "    options:", *(f"      {o}" for o in options)]
    file.write_text("\n".join(lines))
    (problem,) = check_config(file)
    assert problem.detail == '`add_per_mwh` must be a number, not "45,0".'
    assert problem.hint == "Write it with a point: 45.0."
    file.write_text(file.read_text().replace("45,0", "forty-five"))
    (problem,) = check_config(file)
    assert "forty" not in f"{problem.detail}{problem.hint}", "it may be a key that has lost its place"
