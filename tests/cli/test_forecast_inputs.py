"""What `shifter forecasts score`, `compare`, `backtest`, `tune` and `fetch` read alike: files, and rates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sqlalchemy import create_engine

from forecasts.series import ForecastSeries, Kind, Signal
from forecasts.store import ForecastStore
from shifter.cli.forecast_options import rates_of
from shifter.errors import InputError
from tests.forecasts.build import HOUR, T0, series

Call = Callable[..., int]
COMMANDS = pytest.mark.parametrize("command", [("score",), ("compare", "a", "b"), ("backtest",), ("tune",)])
DAY = 24 * HOUR
HEAD = "zone,issued_at,start,end,price_per_mwh"
ROW = "GB,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,50"


@pytest.mark.parametrize("missing", ["--forecasts", "--actuals"])
@COMMANDS
def test_a_file_that_is_not_there_exits_2(
    call: Call,
    tmp_path: Path,
    command: tuple[str, ...],
    missing: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a mistake in what was given, not a source that does not answer."""
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text(f"{HEAD}\n{ROW}\n", encoding="utf-8")
    given = {"--forecasts": "there.csv", "--actuals": "there.csv", missing: "nowhere.csv"}
    options = [word for pair in given.items() for word in pair]
    assert call("forecasts", *command, "--zone", "GB", *options) == 2
    told = capsys.readouterr()
    assert "nowhere.csv: there is no such file." in told.err.replace("\n", " ")
    assert told.out == ""


def test_rates_of_currencies() -> None:
    assert rates_of(["USD=0.86", "GBP=1.17", "USD=0.9"]) == {"USD": 0.9, "GBP": 1.17}
    assert rates_of([]) == {}


@pytest.mark.parametrize("text", ["=0.9", "USD", "USD=", "USD=much", "USD=0", "USD=-1", "USD=nan", "USD=inf"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(InputError) as caught:
        rates_of([text])
    assert (caught.value.field, caught.value.hint) == ("--fx", "Write it as USD=0.86.")


@pytest.mark.parametrize("command", ["backtest", "tune", "fetch"])
def test_it_is_refused_alike_by_all(
    call: Call,
    tmp_path: Path,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = tmp_path / "there.csv"
    there.write_text(f"{HEAD}\n{ROW}\n", encoding="utf-8")
    given = ["--forecasts", str(there)]
    if command == "fetch":
        given = ["typical", "--out", str(tmp_path / "out.csv")]
    assert call("forecasts", command, *given, "--zone", "GB", "--fx", "=0.9") == 2
    assert "--fx: '=0.9' is no rate." in capsys.readouterr().err.replace("\n", " ")


@pytest.fixture
def told(call: Call, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `shifter forecasts ARGS` says on stderr, which is all it says, as it exits with 2."""

    def run(*args: str) -> str:
        capsys.readouterr()
        assert call("forecasts", *args) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        return " ".join(shown.err.split())

    return run


@pytest.fixture
def there(tmp_path: Path) -> tuple[str, str]:
    """A file of a source, and the option that names it."""
    file = tmp_path / "there.csv"
    file.write_text(f"{HEAD}\n{ROW}\n", encoding="utf-8")
    return "--forecasts", str(file)


def stored(folder: Path, *vintages: ForecastSeries) -> tuple[str, str]:
    """A daemon's database with these, and the option that names it."""
    url = f"sqlite:///{folder / 'store.db'}"
    store = ForecastStore(create_engine(url))
    store.create_tables()
    for vintage in vintages:
        store.append(vintage)
    store.engine.dispose()
    return "--database", url


class TestWhatIsNamed:
    """The message names the option that is wrong, and what would be right."""

    @COMMANDS
    def test_files_and_a_database(
        self, told: Callable[..., str], command: tuple[str, ...], there: tuple[str, str]
    ) -> None:
        said = told(*command, *there, "--database", "sqlite:///x.db", "--zone", "GB")
        assert "--database: forecasts come from files or from a database, and both are given." in said
        assert "hint: Leave out --database, or --forecasts." in said

    @COMMANDS
    def test_neither(self, told: Callable[..., str], command: tuple[str, ...]) -> None:
        assert "--forecasts: nothing says where forecasts are." in told(*command, "--zone", "GB")

    @COMMANDS
    def test_a_database_that_is_not_there(
        self, told: Callable[..., str], command: tuple[str, ...], tmp_path: Path
    ) -> None:
        path = tmp_path / "nowhere.db"
        said = told(*command, "--database", f"sqlite:///{path}", "--zone", "GB")
        assert f"--database: there is no file {path}. hint: Check the path" in said
        assert not path.exists()

    def test_a_url_within_the_url(
        self, told: Callable[..., str], call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No daemon keeps its store by one: that is said, and not only that there is no such file."""
        monkeypatch.chdir(tmp_path)
        stored(tmp_path, series(np.full(24, 50.0)))
        said = told("score", "--database", "sqlite:///file:store.db?uri=true", "--zone", "DE-LU")
        assert "hint: Give the path alone, as sqlite:///shifter.db: SQLite's own file: URLs" in said
        assert sorted(p.name for p in tmp_path.iterdir()) == ["store.db"], "and none is made"

    @COMMANDS
    def test_no_url_of_a_database(self, told: Callable[..., str], command: tuple[str, ...]) -> None:
        said = told(*command, "--database", "shifter.db", "--zone", "GB")
        assert "--database: the database URL cannot be read. hint: Write sqlite:///shifter.db" in said

    @pytest.mark.parametrize("command", [("score",), ("backtest",)])
    def test_another_database(
        self, call: Call, command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "other.db").touch()
        url = f"sqlite:///{tmp_path / 'other.db'}"
        assert call("forecasts", *command, "--database", url, "--zone", "GB") == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "--database: the database" in said
        assert "hint: Is it the store of a daemon of this version?" in said

    @COMMANDS
    def test_a_zone_that_the_database_has_not(
        self, told: Callable[..., str], command: tuple[str, ...], tmp_path: Path
    ) -> None:
        given = stored(tmp_path, series([1.0], zone="GB"), series([1.0], zone="FR"))
        said = told(*command, *given, "--zone", "DE")
        assert "--zone: the database says nothing about the zone DE. hint: It has FR, GB." in said

    @COMMANDS
    def test_outcomes_of_a_source_that_is_not_there(
        self, told: Callable[..., str], command: tuple[str, ...], there: tuple[str, str]
    ) -> None:
        names = [word for name in ("a", "b") for word in ("--forecasts", f"{name}={there[1]}")]
        said = told(*command, *names, "--zone", "GB", "--outcomes", "vendr")
        assert "--outcomes: vendr says nothing of GB. hint: There are a, b." in said

    def test_of_a_database_too(self, told: Callable[..., str], tmp_path: Path) -> None:
        given = (*stored(tmp_path, series([1.0], zone="GB")), "--zone", "GB")
        for command in (("score",), ("backtest",)):
            said = told(*command, *given, "--outcomes", "vendr")
            assert "--outcomes: vendr says nothing of GB. hint: There are test." in said
        assert "--source: vendr says nothing of GB." in told("score", *given, "--source", "vendr")
        assert "--shadow: vendr says nothing of GB." in told("backtest", *given, "--shadow", "vendr")
        assert "B: vendr says nothing of GB." in told("compare", "test", "vendr", *given)

    @COMMANDS
    def test_no_currency(
        self, told: Callable[..., str], command: tuple[str, ...], there: tuple[str, str]
    ) -> None:
        given = (*command, *there, "--zone", "GB", "--currency")
        assert "--currency: 'XXX' is not the code of a currency. hint: Known are AED," in told(*given, "XXX")
        assert "--currency: 'eur' is not the code of a currency. hint: Write EUR." in told(*given, "eur")

    def test_nor_where_forecasts_are_fetched(self, told: Callable[..., str], tmp_path: Path) -> None:
        given = ("fetch", "typical", "--zone", "GB", "--out", str(tmp_path / "f.csv"))
        assert "--currency: 'XXX' is not" in told(*given, "--currency", "XXX", "--fx", "GBP=1")
        assert "--fx: 'XXX' is not" in told(*given, "--fx", "XXX=1")

    @pytest.mark.parametrize("command", ["score", "backtest", "tune"])
    @pytest.mark.parametrize("name", ["there.csv", "plot.png", "plot.PDF"])
    def test_a_file_where_pictures_go_into_a_folder(
        self, told: Callable[..., str], command: str, name: str, there: tuple[str, str]
    ) -> None:
        plot = Path(there[1]).with_name(name)
        said = told(command, *there, "--zone", "GB", "--plot", str(plot))
        assert f"--plot: {plot} is a file, and several pictures are drawn. hint: Name a folder" in said

    @COMMANDS
    def test_a_folder_where_a_file_is_read(
        self, told: Callable[..., str], command: tuple[str, ...], tmp_path: Path
    ) -> None:
        said = told(*command, "--forecasts", str(tmp_path), "--zone", "GB")
        assert f"{tmp_path}: it is a folder. hint: Name the file in it." in said

    def test_nor_one_where_a_file_is_written(self, told: Callable[..., str], tmp_path: Path) -> None:
        said = told("fetch", "typical", "--zone", "GB", "--out", str(tmp_path))
        assert (
            f"--out: {tmp_path} is a folder. hint: Name the file, as --out {tmp_path}/forecasts.csv." in said
        )

    def test_no_time_at_all(self, told: Callable[..., str], tmp_path: Path, there: tuple[str, str]) -> None:
        given = (*stored(tmp_path, series([1.0], zone="GB")), "--zone", "GB", "--for", "0h")
        for command in (("score", *given), ("tune", *there, *given[2:])):
            assert "--for: 0h is no time at all. hint: Write it like 48h or 7d." in told(*command)

    @pytest.mark.parametrize("command", ["backtest", "tune"])
    def test_an_end_before_the_start(
        self, told: Callable[..., str], command: str, there: tuple[str, str]
    ) -> None:
        span = ("--start", "2026-01-02T00:00:00Z", "--end", "2026-01-01T00:00:00Z")
        assert "--end: the end is not after the start." in told(command, *there, "--zone", "GB", *span)


class TestWhatADatabaseHas:
    """Where a daemon's store cannot answer, it is said what it has, and what it takes."""

    CARBON: ClassVar[dict[str, Any]] = {"zone": "GB", "signal": Signal.CARBON}

    @pytest.mark.parametrize("command", ["backtest", "tune"])
    def test_one_that_is_too_young(self, told: Callable[..., str], command: str, tmp_path: Path) -> None:
        first = series(np.full(24, 200.0), start=T0, known_at=T0 + HOUR / 12, source="neso", **self.CARBON)
        came = series([210.0], start=T0, known_at=T0 + HOUR, kind=Kind.ACTUAL, source="meter", **self.CARBON)
        given = (*stored(tmp_path, first, came), "--zone", "GB", "--signal", "carbon")
        said = told(command, *given)
        assert "--database: there is no moment to replay: the carbon of GB is known from Sat 10 Jan" in said
        assert "and what came of it to Sat 10 Jan" in said
        assert "Let the daemon run on, or choose --start and --end between them." in said
        assert "--start: there is no moment" in told(command, *given, "--start", "2026-01-11T00:00:00Z")
        assert "--end: there is no moment" in told(command, *given, "--end", "2026-01-09T00:00:00Z")

    @pytest.mark.parametrize("command", [("score",), ("compare", "neso", "rival")])
    def test_one_that_is_too_old(
        self, told: Callable[..., str], call: Call, command: tuple[str, ...], tmp_path: Path
    ) -> None:
        begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 90 * DAY
        made = [
            series(
                np.full(24, 200.0),
                start=begin + d * DAY,
                known_at=begin + d * DAY,
                source=name,
                **self.CARBON,
            )
            for d in range(3)
            for name in ("neso", "rival")
        ]
        came = series(
            np.full(96, 210.0),
            start=begin,
            known_at=begin + 4 * DAY,
            kind=Kind.ACTUAL,
            source="meter",
            **self.CARBON,
        )
        given = (*command, *stored(tmp_path, *made, came), "--zone", "GB", "--signal", "carbon")
        said = told(*given)
        who = "nobody forecast" if command == ("score",) else "neso says nothing of"
        what = "forecasts" if command == ("score",) else "it"
        assert f"--for: {who} carbon of GB in the 30 d to " in said
        assert f"the database has {what} from {begin:%a %d %b}" in said
        assert f" to {begin + 2 * DAY:%a %d %b}" in said
        asked = f"{begin + 2 * DAY:%Y-%m-%dT%H:%M:%SZ}"
        assert f"hint: Ask by what was known then, with --as-of {asked}; --for says how far back" in said
        assert call("forecasts", *given, "--for", "91d") == 0
        early = told(*given, "--as-of", f"{begin - DAY:%Y-%m-%dT%H:%M:%SZ}")
        assert f"--as-of: {who} carbon of GB in the 30 d to " in early

    def test_one_of_which_nothing_came_yet(self, told: Callable[..., str], tmp_path: Path) -> None:
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        first = series(np.full(24, 200.0), start=now + HOUR, known_at=now, source="neso", **self.CARBON)
        said = told("score", *stored(tmp_path, first), "--zone", "GB")
        assert "GB carbon by neso: nobody says yet what came of it." in said
        assert "--database: nothing has come yet of what was forecast of GB. hint: Ask again when" in said

    def test_only_what_was_measured(self, told: Callable[..., str], tmp_path: Path) -> None:
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        came = series([210.0], start=now - HOUR, known_at=now, kind=Kind.ACTUAL, **self.CARBON)
        said = told("score", *stored(tmp_path, came), "--zone", "GB")
        assert "nobody forecast" in said
        assert "What was cleared or measured is no forecast" in said


def test_a_signal_of_which_a_source_says_nothing_is_left_out(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that `--source` does what it says where others speak of more."""
    for name, column in (("desk", "price_per_mwh"), ("grid", "carbon_g_per_kwh")):
        rows = [HEAD.replace("price_per_mwh", column)]
        for issued in range(4):
            for h in range(max(issued - 1, 0), issued + 4):
                at, end, known = (f"2026-01-01T{n:02d}:00:00Z" for n in (h, h + 1, issued))
                rows.append(f"GB,{known},{at},{end},{50 + h}")
        (tmp_path / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    given = [word for n in ("desk", "grid") for word in ("--forecasts", str(tmp_path / f"{n}.csv"))]
    assert (
        call(
            "forecasts", "score", *given, "--zone", "GB", "--source", "desk", "--job", "1h", "--within", "2h"
        )
        == 0
    )
    shown = capsys.readouterr()
    assert "GB price [EUR/MWh] by desk" in shown.out
    assert "carbon" not in shown.out
    assert "Left out: the carbon of GB, of which desk says nothing." in shown.err
