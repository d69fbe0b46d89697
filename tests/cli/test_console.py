"""What a person sees: times, tables that fit, and nothing that a name could do to a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from shifter.cli.console import Column, print_json, print_table, styled
from shifter.cli.slots import bar
from shifter.cli.text import LocalTimes, by, local, parse_duration, parse_time, sparkline
from shifter.errors import InputError

COLUMNS = (Column("id"), Column("much (kW)", "right"), Column("why", expendable=60, wrap=True))
ROWS = [("w-1", "12.50", "because it is cheap"), ("w-[2]", "3.00", "\x1b[31mred\x07")]


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.__setitem__("TZ", before)
    time.tzset()


def test_a_piped_table_is_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    told = capsys.readouterr().out
    assert "much (kW)" in told
    assert "because it is cheap" in told
    assert "w-[2]" in told, "a name is never read as markup"
    assert "\x1b" not in told
    assert "\x07" not in told


def test_a_narrow_terminal_leaves_columns_out_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_table(COLUMNS, ROWS)
    shown = capsys.readouterr()
    assert "cheap" not in shown.out
    assert all(len(line) <= 30 for line in shown.out.splitlines())
    assert "left out: why" in shown.err


def test_no_id_nor_time_is_ever_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (Column("id"), Column("tenant", expendable=2), Column("start"), Column("", expendable=1))
    row = ("synthetic-dialogues-0413", "research", "Wed 15 Apr 00:00", "x" * 30)
    monkeypatch.setenv("COLUMNS", "90")
    print_table(columns, [row])
    shown = capsys.readouterr()
    assert all(cell in shown.out for cell in row), "what has room is shown"
    assert not shown.err
    monkeypatch.setenv("COLUMNS", "80")
    print_table(columns, [row])
    shown = capsys.readouterr()
    assert "research" not in shown.out
    assert "x" * 30 in shown.out, "only as much is left out as must be"
    assert "left out: tenant." in shown.err
    monkeypatch.setenv("COLUMNS", "50")
    print_table(columns, [row])
    shown = capsys.readouterr()
    assert "synthetic-dialogues-0413" in shown.out
    assert "Wed 15 Apr 00:00" in shown.out
    assert "left out: tenant." in shown.err, "a column without a name is not named"
    monkeypatch.setenv("COLUMNS", "24")
    print_table(columns, [row])
    shown = capsys.readouterr()
    assert "…" not in shown.out
    letters = "".join(shown.out.split())
    assert letters.count("c") >= row[0].count("c"), "it goes on in the next line"


def test_a_sentence_wraps_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    why = "Its slots cost 58.36 EUR/MWh with carbon, its window 79.54 EUR/MWh on average."
    print_table((Column("id"), Column("why", wrap=True, expendable=9)), [("w-1", why)])
    told = capsys.readouterr().out
    assert all(word in told.split() for word in why.split())


def test_no_rows_print_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [], empty="Nothing.")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "Nothing.\n"


def test_json_keeps_times_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 1, 10, tzinfo=UTC), "many": (1, 2)})
    assert '"at": "2026-01-10T00:00:00Z"' in capsys.readouterr().out


def test_json_refuses_what_no_json_reader_takes() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        print_json({"x": float("nan")})


@pytest.mark.usefixtures("berlin")
def test_local_times_name_their_zone_once_or_on_each() -> None:
    winter = ["2026-01-10T05:00:00Z", "2026-01-10T06:30:00Z"]
    times = LocalTimes(winter)
    assert times.header("start") == "start (CET)"
    assert times(winter[0]) == "Sat 10 Jan 06:00"
    change = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]
    times = LocalTimes(change)
    assert times.header("start") == "start"
    assert [times(m) for m in change] == ["Sun 25 Oct 02:30 CEST", "Sun 25 Oct 02:30 CET"]
    assert local(None) == "–"


def test_a_deadline_that_works_is_never_rounded_down() -> None:
    assert by("2026-01-10T06:03:07Z").split()[3] == "06:04"
    assert by("2026-01-10T06:03:00Z").split()[3] == "06:03"
    assert by(None) == ""


@pytest.mark.parametrize("text", ["", "h", "48", "3 fortnights", "1h-2", "40000d", "9999999999999d"])
def test_a_length_of_time_is_never_guessed(text: str) -> None:
    with pytest.raises(InputError, match="--horizon"):
        parse_duration(text, "--horizon")


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "2026-01-10T00:00:00",
        "2026-13-10T00:00:00Z",
        "9990-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_needs_its_zone_and_a_year_of_ours(text: str) -> None:
    with pytest.raises(InputError, match="--start"):
        parse_time(text, "--start")


def test_a_sparkline_of_flat_missing_and_long_series() -> None:
    assert sparkline([5, 5, 5]) == "▁▁▁"
    assert sparkline([None, float("nan")]) == "··"
    assert len(sparkline(range(1000), width=40)) == 40


def test_a_bar_is_always_as_wide() -> None:
    for given in [(0, 0, 0, 8), (8, 8, 0, 8), (3.3, 5.1, 2.4, 8), (9, 12, 3, 8)]:
        assert len(bar(*given, cells=16).plain) == 16, given


def test_styled_text_keeps_line_breaks_only() -> None:
    assert styled("a\nb\x1b]0;x\x07").plain == "a\nb\N{REPLACEMENT CHARACTER}]0;x\N{REPLACEMENT CHARACTER}"
