"""What is said of plans, quotes and daemons that are not as usual: from answers, without a daemon."""

from __future__ import annotations

from typing import Any

import pytest

from shifter.cli import quote, status
from shifter.cli.demo import carbon_saved, why_more_carbon
from shifter.cli.summary import best
from shifter.cli.work import _accepted

HEALTH: dict[str, Any] = {
    "status": "failing",
    "version": "0.1.0",
    "now": "2026-01-10T00:00:00Z",
    "simulated_clock": False,
    "speed": 1.0,
    "plan_id": None,
    "sources": [],
    "faults": [],
    "last_cycle": {"error": "fx: no rate from USD to EUR is given."},
}


class Daemon:
    """Answers as a daemon that has made no plan."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults

    def health(self) -> dict[str, Any]:
        return HEALTH | {"faults": self.faults}

    def workloads(self, **_: Any) -> list[Any]:
        return []


@pytest.mark.parametrize("faults", [[], ["No plan: fx: no rate from USD to EUR is given."]])
def test_status_says_why_there_is_no_plan(
    faults: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "connect", lambda _: Daemon(faults))
    status.status()
    told = capsys.readouterr().err
    assert "There is no plan yet." in told
    assert told.count("no rate from USD to EUR") == 1


def _option(**given: Any) -> dict[str, Any]:
    usual = {
        "deadline": "2026-01-10T08:30:00Z",
        "finish": "2026-01-10T08:30:00Z",
        "cost": 2.56,
        "run_now_cost": 1.9,
        "carbon_kg": 9.0,
        "feasible": True,
        "unplaced_accelerator_hours": 0.0,
    }
    return usual | given


def test_a_quote_compares_with_at_once_only_where_that_would_be_in_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = {
        "options": [_option(run_now_cost=None), _option(deadline="2026-01-10T20:00:00Z", cost=1.52)],
        "currency": "EUR",
        "class": "deferrable",
        "reason": {"text": "It can wait."},
        "earliest_feasible_deadline": None,
    }
    quote._print(answer, {"id": "w"})
    shown = capsys.readouterr()
    first, second = [line.split() for line in shown.out.splitlines() if line.endswith("in time ")]
    assert first.count("–") == 2
    assert "20.0" in second
    assert "it would miss that deadline" in shown.err


def test_what_is_sent_again_is_not_accepted_again() -> None:
    assert _accepted(2, 0) == "Accepted 2 workloads."
    assert _accepted(3, 1) == "Accepted 2 workloads. 1 was there already, unchanged."
    assert _accepted(2, 2) == "Already there, unchanged: 2 workloads."


def test_more_carbon_is_called_more() -> None:
    assert carbon_saved(-9.1) == "causes 9.1 kg CO2e more"
    assert carbon_saved(16.94) == "16.9 kg CO2e"
    assert "80 EUR per tonne" in why_more_carbon(9.1, 80, "EUR")
    assert why_more_carbon(-16.9, 80, "EUR") == ""


def test_a_proof_is_never_told_as_nothing() -> None:
    assert best({"relative_gap": 0.0, "unplaced": []}) == "less than 0.01 % above the best possible"
    assert best({"relative_gap": 0.0023, "unplaced": []}) == "at most 0.23 % above the best possible"
