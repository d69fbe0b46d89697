"""`shifter forecasts sources` and `fetch`; `show` is in `test_demo.py`, beside a daemon."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from forecasts.slots import SlotGrid
from forecasts.testing import Asked, ReplyServer, Said
from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.clock import ManualClock
from tests.cli.helpers import DATA, answer
from tests.contract.payloads import as_json, ec_carbon, ec_price, ec_times
from tests.service import world
from tests.service.world import T0, service

Call = Callable[..., int]
WINDOW = ("--start", "2026-01-10T00:00:00Z", "--for", "24h")


def test_sources_tell_what_they_have(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "sources") == 0
    table = capsys.readouterr().out
    assert "neso" in table
    assert "synthetic" in table
    found = {s["name"]: s for s in answer("forecasts", "sources")}
    assert found["neso"]["signals"] == ["carbon"]
    assert found["typical"]["synthetic"]
    assert found["neso"]["publication"] == "every 30 min, 1 min past"
    assert found["energy_charts"]["publication"].startswith(
        "daily from 12:55 Europe/Berlin, every 10 min until"
    )
    assert found["energy_charts"]["publications"] == {"carbon": "every 1 h"}
    assert found["energy_charts"]["poll_s"] == 600
    assert found["csv"]["zones"] == ["*"]
    assert found["neso"]["licence"] == "CC BY 4.0"
    assert "National Energy System Operator" in found["neso"]["attribution"]
    assert "National Energy System Operator" in table


def test_fetch_shows_writes_and_plan_reads_it(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "forecasts.csv"
    assert call("forecasts", "fetch", "typical", "--zone", "DE-LU", "--for", "25h", "--out", str(out)) == 0
    shown = capsys.readouterr()
    assert "price (EUR/MWh)" in shown.out
    assert "synthetic" in shown.out
    assert "made up" in shown.err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) >= 25
    assert {r["zone"] for r in rows} == {"DE-LU"}
    assert all(float(r["carbon_g_per_kwh"]) > 0 for r in rows)

    work, start = tmp_path / "work.jsonl", datetime.now(UTC) + timedelta(seconds=1)
    deadline = (start + timedelta(hours=20)).isoformat()
    work.write_text(json.dumps({"id": "w-1", "accelerator_hours": 2, "deadline": deadline}))
    fleet = str(DATA / "fleet.yaml")
    files = ("--fleet", fleet, "--workloads", str(work), "--forecasts", str(out))
    plan = answer("plan", *files, "--start", start.isoformat(), "--horizon", "24h")
    assert plan["cost"]["energy"] > 0
    assert not plan["unplaced"]


def test_fetch_writes_one_file_of_a_fleet(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several zones, one currency, as if asked then; and a plan made from it knows that it is made up."""
    out = tmp_path / "forecasts.csv"
    zones = ("--zone", "DE-LU", "--zone", "CAISO-NP15", "--as-of", WINDOW[1], *WINDOW[2:])
    assert call("forecasts", "fetch", "typical", *zones, "--out", str(out)) == 2
    told = capsys.readouterr().err
    assert "prices are in EUR and USD" in told
    assert "--currency EUR --fx USD=0.86" in told
    assert not out.exists()
    euros = ("--currency", "EUR", "--fx", "USD=0.5")
    assert call("forecasts", "fetch", "typical", *zones, *euros, "--out", str(out)) == 0
    shown = capsys.readouterr()
    assert f"Wrote {out}, prices in EUR." in shown.err.replace("\n", "")
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [r["zone"] for r in rows] == ["CAISO-NP15"] * 24 + ["DE-LU"] * 24
    assert {r["issued_at"] for r in rows} == {WINDOW[1]}
    assert {r["kind"] for r in rows} == {"synthetic"}
    [dollars] = [
        s["values"][0]["value"]
        for s in answer("forecasts", "fetch", "typical", *zones)
        if (s["zone"], s["signal"]) == ("CAISO-NP15", "price")
    ]
    assert float(rows[0]["price_per_mwh"]) == pytest.approx(dollars / 2)
    work = tmp_path / "work.jsonl"
    work.write_text('{"id": "w", "accelerator_hours": 2, "deadline": "2026-01-10T20:00:00Z"}')
    files = ("--fleet", str(DATA / "fleet.yaml"), "--workloads", str(work), "--forecasts", str(out))
    plan = answer("plan", *files, "--start", WINDOW[1], "--horizon", "24h")
    assert plan["synthetic"]


@pytest.fixture
def aemo() -> Iterator[ReplyServer]:
    """NEMWEB with one run, of now, of which the price is missing."""
    begins = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        ("NSW1", "0", f"{begins + timedelta(hours=10, minutes=30 * k):%Y/%m/%d %H:%M:%S}", 7000 + k, 800, 0)
        for k in range(1, 60)
    ]
    columns = "REGIONID,INTERVENTION,DATETIME,TOTALDEMAND,SS_WIND_UIGF,SS_SOLAR_UIGF"
    lines = [f"I,PREDISPATCH,REGION_SOLUTION,4,{columns}"]
    lines += ["D,PREDISPATCH,REGION_SOLUTION,4," + ",".join(map(str, row)) for row in rows]
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("a.CSV", "\n".join(lines))
    name = f"PUBLIC_PREDISPATCHIS_{begins + timedelta(hours=10):%Y%m%d%H%M}_20260101000000.zip"

    def reply(asked: Asked) -> Said:
        return Said(body.getvalue() if asked.path.endswith(".zip") else f"<a href={name}>".encode())

    with ReplyServer(reply) as server:
        yield server


class TestSignals:
    """Price and carbon, unless others are named."""

    def test_others_are_told_where_they_are_named(self, aemo: ReplyServer) -> None:
        option = ("--zone", "NSW1", "--option", f"base_url={aemo.url}", "--for", "4h")
        told = answer("forecasts", "fetch", "aemo", *option, "--signal", "wind", "--signal", "load")
        assert [(s["signal"], s["unit"], s["values"][0]["value"]) for s in told] == [
            ("load", "MW", 7001.0),
            ("wind", "MW", 800.0),
        ]

    def test_and_not_where_they_are_not(
        self, call: Call, aemo: ReplyServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert call("forecasts", "fetch", "aemo", "--zone", "NSW1", "--option", f"base_url={aemo.url}") == 1
        assert "no table PREDISPATCH,REGION_PRICES" in " ".join(capsys.readouterr().err.split())

    @pytest.mark.parametrize(
        ("source", "signal", "why"),
        [
            (("neso", "GB"), "load", "neso tells no load. hint: It tells carbon."),
            (("neso", "GB"), "price", "neso tells no price"),
            (("aemo", "NSW1"), "wind", "a forecasts.csv holds no wind"),
            (("aemo", "NSW1"), "rain", "'rain' is no signal. hint: There are price, carbon"),
        ],
    )
    def test_what_cannot_be_had(
        self,
        call: Call,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        source: tuple[str, str],
        signal: str,
        why: str,
    ) -> None:
        out = tmp_path / "f.csv"
        name, zone = source
        assert call("forecasts", "fetch", name, "--zone", zone, "--signal", signal, "--out", str(out)) == 2
        assert why in " ".join(capsys.readouterr().err.replace("│", " ").split())
        assert not out.exists()


def test_a_real_source_cannot_be_asked_what_it_said_then(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", "neso", "--zone", "GB", "--as-of", WINDOW[1]) == 2
    assert "cannot be asked what it said then" in capsys.readouterr().err


@pytest.mark.parametrize("down", ["/price", "/co2eq"])
def test_one_signal_that_fails_leaves_the_other(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], down: str
) -> None:
    out = tmp_path / "forecasts.csv"
    body, failed = (ec_carbon(), "price") if down == "/price" else (ec_price(), "carbon")
    body["unix_seconds"] = ec_times(192, datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))

    def reply(asked: Asked) -> Said:
        return as_json({"detail": "no content available"}, 404) if asked.path == down else as_json(body)

    with ReplyServer(reply) as server:
        option = ("--option", f"base_url={server.url}", "--out", str(out))
        code = call("forecasts", "fetch", "energy_charts", "--zone", "CH", "--for", "1h", *option)
        shown = capsys.readouterr()
    assert code == 0, shown.err
    assert f"energy_charts tells no {failed} of CH: " in shown.err
    [row, *_] = csv.DictReader(out.read_text().splitlines())
    assert bool(row["price_per_mwh"]) is (failed == "carbon")
    assert bool(row["carbon_g_per_kwh"]) is (failed == "price")


class TestTerms:
    """Whose terms the values stand under is said wherever they are shown."""

    OPTIONS = ("licence=internal use only", "attribution=EPEX", "restricted=true")

    @pytest.fixture
    def options(self, tmp_path: Path) -> list[str]:
        rows = ["zone,issued_at,start,end,price_per_mwh"]
        rows += [f"DE-LU,{WINDOW[1]},{WINDOW[1]},2026-01-12T00:00:00Z,61.5"]
        (tmp_path / "f.csv").write_text("\n".join(rows))
        return [a for o in (f"path={tmp_path / 'f.csv'}", *self.OPTIONS) for a in ("--option", o)]

    def test_fetch(self, call: Call, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
        assert call("forecasts", "fetch", "csv", "--zone", "DE-LU", *WINDOW, *options) == 0
        assert "EPEX (internal use only) Not to be passed on." in capsys.readouterr().err
        assert call("forecasts", "fetch", "csv", "--zone", "DE-LU", *WINDOW, *options, "--json") == 0
        [series] = json.loads(capsys.readouterr().out)
        assert (series["licence"], series["attribution"], series["restricted"]) == (
            "internal use only",
            "EPEX",
            True,
        )

    def test_a_window_that_is_too_long_is_told_of_its_option(
        self, call: Call, capsys: pytest.CaptureFixture[str], sqlite_url: str
    ) -> None:
        made = service(sqlite_url, ManualClock(T0))
        with ApiServer(create_app(made), port=0) as server:
            at = ("--zone", "DE-LU", "--url", server.url)
            assert call("forecasts", "show", "--for", "9000d", *at) == 2
        made.core.db.close()
        assert "--for: the window holds more than" in capsys.readouterr().err

    def test_show(self, call: Call, capsys: pytest.CaptureFixture[str], sqlite_url: str) -> None:
        made = service(sqlite_url, ManualClock(T0))
        frame = world.frame(SlotGrid(T0, 60, 24), T0)
        price = replace(
            frame.signals[0],
            licence=("internal use only",) * 24,
            attribution=("EPEX",) * 24,
            restricted=(True,) * 24,
        )
        made.core.frame = lambda grid, as_of: replace(frame, signals=(price, frame.signals[1]))
        server = ApiServer(create_app(made), port=0)
        server.start()
        try:
            assert call("forecasts", "show", "--zone", "DE-LU", "--for", "24h", "--url", server.url) == 0
        finally:
            server.stop()
            made.core.db.close()
        shown = capsys.readouterr()
        assert "withheld EUR/MWh" in shown.out
        assert "given forecast, withheld" in shown.out
        assert "300.0" in shown.out, "the carbon is not"
        assert "EPEX (internal use only) Not to be passed on." in shown.err
        assert "24 of 24 slots are withheld" in shown.err


def test_fetch_as_json(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("forecasts", "fetch", "typical", "--zone", "GB", *WINDOW, "--json") == 0
    series = json.loads(capsys.readouterr().out)
    assert [s["signal"] for s in series] == ["price", "carbon"]
    assert series[0]["values"][0]["start"] == "2026-01-10T00:00:00Z"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("tipical", "--zone", "GB"), "Did you mean 'typical'?"),
        (("typical", "--zone", "DE"), "--zone: the source typical does not know the zone"),
        (("typical", "--zone", "GB", "--option", "seed"), "KEY=VALUE"),
        (("typical", "--zone", "GB", "--option", "sead=1"), "sead"),
        (("typical", "--zone", "GB", "--for", "long"), "--for"),
    ],
)
def test_wrong_calls_exit_2(
    args: tuple[str, ...], told: str, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("forecasts", "fetch", *args) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_a_source_that_does_not_answer_exits_1(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    option = ("--option", "base_url=http://127.0.0.1:9")
    assert call("forecasts", "fetch", "neso", "--zone", "GB", *option) == 1
    assert "\nerror: " in capsys.readouterr().err, "after what it tried"
