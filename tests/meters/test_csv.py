"""A file that grows: what is new of it, once, with every mistake at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from forecasts.errors import ShifterError
from shifter.errors import InputError
from shifter.meters.csv import BadRows, CsvMeter
from shifter.views import ModelTraffic
from tests.service.world import T0

LOAD = "at,site,pool,realtime_accelerators\n"
TRAFFIC = "at,site,pool,model,requests_per_s,prompt_tokens,output_tokens\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "load.csv"


def loads(made: CsvMeter) -> list[tuple[str, float | None]]:
    return [(told.sample.at.strftime("%H:%M"), told.sample.realtime_accelerators) for told in made.read(T0)]


def row(minute: int, load: object = 3) -> str:
    return f"2026-01-10T00:{minute:02}:00Z,fra,h100,{load}\n"


def append(file: Path, text: str) -> None:
    with file.open("a") as f:
        f.write(text)


def test_each_look_takes_what_is_new(file: Path) -> None:
    made = CsvMeter("it", str(file))
    file.write_text("\ufeff" + LOAD + row(0) + row(1, 4))
    assert loads(made) == [("00:00", 3.0), ("00:01", 4.0)]
    assert loads(made) == []
    append(file, row(2, 5) + row(3)[:-5])  # the last line is being written
    assert loads(made) == [("00:02", 5.0)]
    append(file, row(3)[-5:])
    assert loads(made) == [("00:03", 3.0)]


def test_another_file_in_its_place_is_read_from_its_start(file: Path, tmp_path: Path) -> None:
    made = CsvMeter("it", str(file))
    file.write_text(LOAD + row(0))
    assert loads(made) == [("00:00", 3.0)]
    (tmp_path / "new").write_text(LOAD + row(0) + row(5))
    (tmp_path / "new").replace(file)
    assert loads(made) == [("00:00", 3.0), ("00:05", 3.0)]
    file.write_text(LOAD)  # emptied where it is
    assert loads(made) == []
    append(file, row(6))
    assert loads(made) == [("00:06", 3.0)]


def test_of_two_loads_of_one_moment_the_higher_counts(file: Path) -> None:
    file.write_text(LOAD + row(0, 3) + row(1, 9) + row(0, 5) + row(1, 2))
    assert loads(CsvMeter("it", str(file))) == [("00:00", 5.0), ("00:01", 9.0)]


def test_models_of_a_pool_and_moment_are_one_sample(file: Path) -> None:
    made = CsvMeter("it", str(file))
    file.write_text(
        "pool,site,at,model,requests_per_s,prompt_tokens,output_tokens,output_scv\n"
        "h100,fra,2026-01-10T01:00:00+01:00,chat,4,500,100,2\n"
        "h100,fra,2026-01-10T00:00:00Z,embed,0,,,\n"
        'h100,fra,2026-01-10T00:01:00Z,"chat",5,500,100,\n'
    )
    first, second = made.read(T0)
    assert first.sample.at == T0
    assert first.sample.traffic == (
        ModelTraffic("chat", 4, 500, 100, output_scv=2.0),
        ModelTraffic("embed", 0),
    )
    assert second.sample.traffic == (ModelTraffic("chat", 5, 500, 100),)
    assert (first.where, second.where) == ("load.csv:2.", "load.csv:4.")


def test_what_a_look_fell_into_the_middle_of_is_told_again_whole(file: Path) -> None:
    made = CsvMeter("it", str(file))
    file.write_text(TRAFFIC + "2026-01-10T00:00:00Z,fra,h100,chat,4,500,100\n")
    [part] = made.read(T0)
    append(file, "2026-01-10T00:00:00Z,fra,h100,embed,0,,\n2026-01-10T00:01:00Z,fra,h100,chat,5,500,100\n")
    whole, new = made.read(T0)
    assert part.sample.traffic == (ModelTraffic("chat", 4, 500, 100),), "it stays as it was told"
    assert whole.sample.traffic == (ModelTraffic("chat", 4, 500, 100), ModelTraffic("embed", 0))
    assert (part.more, whole.more, new.more) == (False, True, False)
    assert new.sample.traffic == (ModelTraffic("chat", 5, 500, 100),)
    file.write_text(TRAFFIC)
    assert loads(made) == []
    append(file, "2026-01-10T00:01:00Z,fra,h100,embed,0,,\n")
    [other] = made.read(T0)
    assert not other.more, "another file has nothing to do with it"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at,site,pool\n", "load.csv:1: it has no column model."),
        ("at,site,pool,realtime_accelerators,pool\n", "load.csv:1: it has two columns pool."),
        (LOAD.replace("\n", ",jobs\n"), "load.csv:1: nobody knows its column jobs."),
        (TRAFFIC.replace("at,", "") + "1\n", "load.csv:1: it has no column at."),
    ],
)
def test_a_header_that_says_something_else_is_refused(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    made = CsvMeter("it", str(file))
    for _ in range(2):  # and again at each look
        with pytest.raises(InputError) as refused:
            made.read(T0)
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(1, "NaN"), "load.csv:3.realtime_accelerators: 'NaN' is no amount."),
        (row(1, "-1"), "'-1' is no amount"),
        (row(1, "1e12"), "'1e12' is no amount"),
        (row(1, ""), "'' is no amount"),
        (row(1, "3,4"), "load.csv:3: it has 5 values, and there are 4 columns."),
        (row(1).replace("Z", ""), "load.csv:3.at: '2026-01-10T00:01:00' is no moment."),
        (row(1).replace("01-10", "13-10"), "is no moment"),
        ("1767225600,fra,h100,3\n", "'1767225600' is no moment"),
    ],
)
def test_a_row_that_cannot_be_read_keeps_no_other_out(file: Path, bad: str, said: str) -> None:
    file.write_text(LOAD + row(0) + bad + row(2))
    made = CsvMeter("it", str(file))
    with pytest.raises(BadRows) as refused:
        made.read(T0)
    assert said in str(refused.value)
    assert [told.sample.at.minute for told in refused.value.good] == [0, 2]
    assert loads(made) == [], "told once"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(1, "1" * 140_000).encode(), "load.csv:3: it is no row of CSV: field larger than field limit"),
        (row(1).encode().replace(b"fra", b"fr\xff"), "load.csv:3: it is not UTF-8 text."),
        (b"\xff\xfe\x00\n", "load.csv:3: it is not UTF-8 text."),
        (row(1, '"3x').encode(), "load.csv:3.realtime_accelerators: '3x' is no amount"),
        (b'"' + row(1).encode(), "load.csv:3: it has 1 values"),
        (row(1).encode().replace(b"fra", b"f\rra"), "load.csv:3: it is no row of CSV: new-line character"),
    ],
    ids=["long", "no UTF-8", "bytes", "a quote in the last", "a quote in the first", "a lone CR"],
)
def test_a_line_that_is_no_row_keeps_no_other_out(file: Path, bad: bytes, said: str) -> None:
    made = CsvMeter("it", str(file))
    file.write_bytes((LOAD + row(0)).encode() + bad + row(2).encode())
    with pytest.raises(BadRows) as refused:
        made.read(T0)
    assert said in str(refused.value)
    assert [told.sample.at.minute for told in refused.value.good] == [0, 2]
    append(file, row(3))
    assert loads(made) == [("00:03", 3.0)], "told once, and what follows is read"


def test_a_line_longer_than_what_is_read_at_once_is_passed_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shifter.meters.csv.MOST_AT_ONCE", 64)
    made = CsvMeter("it", str(file))
    file.write_text(LOAD + "x" * 500)
    assert [loads(made), loads(made)] == [[], []], "it may still be being written"
    append(file, "\n" + row(2))
    with pytest.raises(BadRows, match="it has 1 values"):
        made.read(T0)
    assert loads(made) == [("00:02", 3.0)]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\n" + LOAD.encode(), "load.csv:1: it is not UTF-8"), (None, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_read_is_told(file: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        file.write_bytes(content)
    made = CsvMeter("it", str(file))
    for _ in range(2):
        with pytest.raises(ShifterError, match=said):
            made.read(T0)
