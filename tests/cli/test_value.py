"""`shifter value` against a daemon's answers over HTTP, and `shifter plan --value` from files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.cli.value import print_deadlines, print_worth
from shifter.cycle import plan_cycle
from shifter.domain.fleet import Pool
from shifter.domain.resilience import Resilience
from shifter.schedule.value import fleet_worth
from shifter.views import to_plain
from tests.cli.helpers import PLAN_FILES
from tests.schedule.build import cycle_inputs, site, work
from tests.web.fake_service import FakeService


@pytest.fixture(scope="module")
def daemon() -> Iterator[ApiServer]:
    with ApiServer(create_app(FakeService(12)), port=0) as server:
        yield server


def worth(**given: Any) -> dict[str, Any]:
    """Of ten accelerators that lack room in the cheap hour."""
    inputs = cycle_inputs(
        [work("w", given.pop("hours", 16), 4, max_accelerators=20)],
        sites=[site(**given)],
        prices=[10.0, 100.0, 100.0, 100.0],
        hours=4,
    )
    told: dict[str, Any] = to_plain(fleet_worth(plan_cycle(inputs), inputs.fleet))
    return told


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TZ", "UTC")


@pytest.mark.usefixtures("wide")
def test_each_limit_has_a_line_with_its_unit_its_worth_and_when(capsys: pytest.CaptureFixture[str]) -> None:
    print_worth(worth(power_limit_kw=6.0, demand_charge_per_kw=0.01))
    told = capsys.readouterr()
    [kw] = [line.split() for line in told.out.splitlines() if "kW of power limit" in line]
    assert kw[:5] == ["a", "kW", "of", "power", "limit"]
    assert float(kw[5]) == pytest.approx(6 * float(kw[6]), rel=1e-2)  # a day is six times these four hours
    assert float(kw[7]) >= 1.0
    assert "Sat 10 Jan 00:00" in " ".join(kw)
    assert "saves a day (EUR)" in told.out
    assert "once" in next(line for line in told.out.splitlines() if "kW of peak" in line)
    assert "kWh of a new battery, with 0.5 kW" in told.out
    assert "p accelerator" in told.out
    assert "1. a" in told.out
    assert "100 kW more" in told.out
    assert "A second one saves no more than the first" in told.err


@pytest.mark.usefixtures("wide")
def test_what_a_site_promises_by_itself_is_told_with_its_cost(capsys: pytest.CaptureFixture[str]) -> None:
    print_worth(worth(pools=(Pool("p", "X", 10, failure_domains=5),), resilience=Resilience(lose_domains=1)))
    [line] = [line for line in capsys.readouterr().out.splitlines() if "promise" in line]
    assert line == "promise: surviving the loss of 1 failure domain of each pool at a costs nothing"
    print_worth(worth())
    assert "promise" not in capsys.readouterr().out


@pytest.mark.usefixtures("wide")
def test_where_nothing_is_short_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_worth(worth(hours=1))
    told = capsys.readouterr()
    assert "never" in told.out
    assert "No step is worth anything" in told.err


@pytest.mark.usefixtures("wide")
def test_late_work_gets_a_column_and_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_worth(worth(hours=60))
    told = capsys.readouterr()
    assert "does late work (h)" in told.out
    assert "have no place in time" in told.err


@pytest.mark.usefixtures("wide")
def test_a_plan_without_a_program_says_that_nothing_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    print_worth({**worth(), "sites": [], "energise_next": [], "notes": ["No program was solved."]})
    assert "No program was solved." in capsys.readouterr().err


def test_deadlines_that_do_not_fit_have_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "workload_id": "w",
        "tenant": "t",
        "deadline": "2026-01-10T04:00:00Z",
        "planned_cost": 1.0,
        "deadline_costs": None,
        "hour_later_saves": None,
    }
    print_deadlines([row], "EUR")
    assert capsys.readouterr().out.split()[-2:] == ["–", "–"]
    print_deadlines([], "EUR")
    assert "shifts no work" in capsys.readouterr().err


def test_it_asks_the_daemon(
    call: Callable[..., int], ask: Callable[..., Any], daemon: ApiServer, capsys: Any
) -> None:
    told = ask("value", "--url", daemon.url)
    assert [one["site"] for one in told["sites"]] == ["lulea", "frankfurt", "lyon-edge"]
    assert [s["site"] for s in ask("value", "--site", "lulea", "--url", daemon.url)["sites"]] == ["lulea"]
    rows = ask("value", "--workloads", "-n", "3", "--url", daemon.url)
    assert len(rows) == 3
    assert call("value", "--workloads", "--url", daemon.url) == 0
    assert "an hour more saves (EUR)" in capsys.readouterr().out
    assert call("status", "--url", daemon.url) == 0
    assert (
        "promise: surviving the loss of 1 failure domain of each pool at frankfurt" in capsys.readouterr().out
    )
    assert call("value", "--url", daemon.url) == 0
    assert "energise next" in capsys.readouterr().out


def test_a_site_that_is_not_there_and_options_that_do_not_go_together(
    call: Callable[..., int], daemon: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("value", "--site", "oslo", "--url", daemon.url) == 1
    assert "oslo" in capsys.readouterr().err
    assert call("value", "--site", "lulea", "--workloads", "--url", daemon.url) == 2
    assert "leave --site out" in " ".join(capsys.readouterr().err.split())


def test_a_plan_from_files_says_the_same(
    call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("plan", *PLAN_FILES, "--value") == 0
    told = capsys.readouterr().out
    assert "What one more would save, at the most" in told
    assert "the deadline costs (EUR)" in told
    assert call("plan", *PLAN_FILES, "--value", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["site"] for one in shown["value"]["sites"]] == ["hall"]
    assert {row["workload_id"] for row in shown["deadlines"]} == {"embed", "evals"}
