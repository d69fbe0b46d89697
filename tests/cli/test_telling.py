"""What is said of plans, quotes and daemons that are not as usual: from answers, without a daemon."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shifter.cli import events, explain, quote, status
from shifter.cli.demo import carbon_saved, why_more_carbon
from shifter.cli.serve import store
from shifter.cli.shown import is_hopeless, print_one, print_workloads, why_hopeless
from shifter.cli.summary import best, cost_items, print_summary, saved
from shifter.cli.text import local
from shifter.cli.work import accepted
from shifter.cycle import plan_cycle
from tests.schedule.build import cycle_inputs, work

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


def test_pieces_that_overlap_are_told_as_what_is_held_when() -> None:
    pieces = [
        _piece("09:00", "10:00", 1),
        _piece("09:00", "11:30", 3),
        _piece("10:00", "11:00", 1),
        _piece("11:00", "11:30", 4, "h100"),
        _piece("15:00", "16:00", 3),
    ]
    found = explain.stretches(pieces)
    assert [(a.strftime("%H:%M"), b.strftime("%H:%M"), dict(on)) for a, b, on in found] == [
        ("09:00", "11:00", {"london/l40s": 4}),
        ("11:00", "11:30", {"london/l40s": 3, "london/h100": 4}),
        ("15:00", "16:00", {"london/l40s": 3}),
    ]


def test_explain_has_a_row_for_each_stretch_of_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TZ", "UTC")
    pieces = [
        _piece("09:00", "11:00", 3),
        {**_piece("09:00", "10:00", 4, "h100"), "model": "m", "cap_kw": 0.4},
    ]
    explain._print_slots(
        {"allocations": pieces, "stale": False, "valid_until": "2026-01-10T09:30:00Z", "version": 3}
    )
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if "10 Jan" in line]
    assert rows == [
        "Sat 10 Jan 09:00 Sat 10 Jan 10:00 4 on london/h100 (m, capped at 0.4 kW), 3 on london/l40s 7",
        "Sat 10 Jan 10:00 Sat 10 Jan 11:00 london/l40s 3",
    ]


@pytest.mark.parametrize("faults", [[], ["No plan: fx: no rate from USD to EUR is given."]])
def test_status_says_why_there_is_no_plan(
    faults: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "connect", lambda _: Daemon(faults))
    status.status()
    told = capsys.readouterr().err
    assert "There is no plan yet." in told
    assert told.count("no rate from USD to EUR") == 1


def test_status_says_when_a_source_is_asked_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = {"last_success_at": "2026-01-09T23:30:00Z", "failures": 2, "error": "503"}
    sources = [
        {"name": "entsoe", "up": True, "next_due_at": "2026-01-10T05:50:00Z", **seen},
        {"name": "neso", "up": False, "next_due_at": None, **seen},
    ]
    daemon = Daemon([])
    monkeypatch.setattr(daemon, "health", lambda: HEALTH | {"sources": sources})
    monkeypatch.setattr(status, "connect", lambda _: daemon)
    status.status()
    told = capsys.readouterr().err
    assert "source entsoe: last answer 30 min ago, next in 5 h 50 min\n" in told
    assert "source neso: last answer 30 min ago: down, 2 failures. 503" in told


def _piece(start: str, end: str, accelerators: int = 1, pool: str = "l40s") -> dict[str, Any]:
    return {
        "workload_id": "w",
        "site": "london",
        "pool": pool,
        "start": f"2026-01-10T{start}:00Z",
        "end": f"2026-01-10T{end}:00Z",
        "accelerators": accelerators,
    }


def _glance(
    view: dict[str, Any],
    pieces: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> list[str]:
    """The line of `w` in `shifter status` at 8:00, in columns."""
    monkeypatch.setenv("COLUMNS", "200")
    plan = {"allocations": pieces, "workloads": []}
    if view["state"] == "running":
        status._print_running([view], plan, "2026-01-10T08:00:00Z", "")
    else:
        status._print_next([view], plan, "2026-01-10T08:00:00Z", "")
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["w"]]
    return re.split(r" {2,}", line.strip())


def test_status_adds_up_the_pieces_of_a_pool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [_piece("07:30", "08:30"), _piece("08:00", "09:00", 21), _piece("08:00", "09:00", 3, "h100")]
    over = [_piece("07:00", "08:00", 5), _piece("08:30", "09:00", 7)]
    view = _view(state="running", **SERVED)
    assert _glance(view, now + over, monkeypatch, capsys)[1] == "22 on london/l40s, 3 on london/h100"


@pytest.mark.parametrize(
    ("starts", "told"),
    [
        ([("07:00", "07:30"), ("11:00", "11:30"), ("09:15", "09:30")], "2026-01-10T09:15:00Z"),
        ([("07:00", "07:30")], None),
        ([("08:00", "08:30")], "2026-01-10T08:00:00Z"),
    ],
    ids=["paused", "nothing ahead", "now"],
)
def test_status_tells_the_next_start_of_what_waits(
    starts: list[tuple[str, str]],
    told: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = _view(state="planned", **SERVED)
    line = _glance(view, [_piece(*s) for s in starts], monkeypatch, capsys)
    assert line[1] == local(told)


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
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
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


def test_a_quote_of_real_time_work_says_that_there_is_nothing_to_move(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer: dict[str, Any] = {
        "options": [],
        "currency": "EUR",
        "class": "real_time",
        "reason": {"text": "Real-time: it has no deadline."},
        "earliest_feasible_deadline": None,
        "synthetic": True,
    }
    quote._print(answer, {"id": "chat"})
    shown = capsys.readouterr()
    assert "chat is real-time work: it runs when it arrives, and there is nothing to move." in shown.err
    assert "Real-time: it has no deadline." in shown.err
    assert "None of these" not in shown.err
    assert "synthetic" not in shown.err, "nothing was priced"
    assert shown.out == ""


def test_what_is_sent_again_is_not_accepted_again() -> None:
    assert accepted(2, 0) == "Accepted 2 workloads."
    assert accepted(3, 1) == "Accepted 2 workloads. 1 was there already, unchanged."
    assert accepted(2, 2) == "Already there, unchanged: 2 workloads."


def test_more_carbon_is_called_more() -> None:
    assert carbon_saved(-9.1) == "causes 9.1 kg CO2e more"
    assert carbon_saved(16.94) == "16.9 kg CO2e"
    assert "80 EUR per tonne" in why_more_carbon(9.1, 80, "EUR")
    assert why_more_carbon(-16.9, 80, "EUR") == ""


def test_an_explanation_tells_shares_as_its_sentences_do(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"currency": "EUR", "cost": 8.34, "run_now_cost": 10.0, "carbon_kg": 3.0, "run_now_carbon_kg": 4.0}
    explain._print_savings({**told, "in_slots": None, "in_window": None})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[-2:] for row in rows if row[-1:] == ["%"]] == [["17", "%"], ["25", "%"]]


def test_a_proof_is_never_told_as_nothing() -> None:
    assert best({"relative_gap": 0.0, "unplaced": []}) == "less than 0.01 % above the best possible"
    assert best({"relative_gap": 0.0023, "unplaced": []}) == "at most 0.23 % above the best possible"


def test_every_item_of_the_bill_that_is_in_use_is_told_and_new_ones_by_their_names() -> None:
    plain = {"energy": 3.0, "carbon": 0.0, "demand_charge": 0.0, "battery_wear": 0.0, "total": 3.0}
    assert cost_items(plain) == [("energy", 3.0), ("carbon at its price", 0.0), ("demand charge", 0.0)]
    all_of = {
        **plain,
        "battery_wear": 0.5,
        "generation": 0.2,
        "export": -1.0,
        "late_fees": 7.0,
        "unused": 0.0,
        "further": {"grid_fee": 2.0},
    }
    assert cost_items(all_of)[3:] == [
        ("battery wear", 0.5), ("own generation", 0.2), ("export", -1.0), ("late fees", 7.0), ("grid fee", 2.0),
    ]  # fmt: skip


def test_work_without_a_place_is_told_with_what_would_help_most(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_cycle(cycle_inputs([work("w", 40, 2), work("v", 10, 20)])).to_dict()
    print_summary(plan)
    told = " ".join(capsys.readouterr().out.split())
    assert plan["unplaced"][0]["limits"][0]["kind"] == "deadline"
    assert "w A deadline one hour later would do 10 accelerator-hours more of it." in told
    assert "above the best possible" in told


def _plan(cost: float, work: float, *workloads: str) -> dict[str, Any]:
    """Of 100 EUR at once, of which deferrable work is 40."""
    return {
        "currency": "EUR",
        "cost": {"total": cost},
        "power": [{"charge_kw": 0.0, "discharge_kw": 2.0}],
        "slots": [{"off": None}],
        "deferrable_total": work,
        "baseline": {"total": 100.0, "deferrable_total": 40.0},
        "workloads": workloads,
    }


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (_plan(90, 30, "w"), "saves 10.00 EUR, 25.0 % of what deferrable work costs"),
        (
            _plan(85, 30, "w"),
            (
                "saves 15.00 EUR: by deferrable work it saves 10.00 EUR, 25.0 % of what that costs; "
                "by the battery it saves 5.00 EUR"
            ),
        ),
        (_plan(95, 40), "saves 5.00 EUR, all of it by the battery; no deferrable work is planned"),
        (_plan(95, 35), "saves 5.00 EUR, all of it by the battery; no deferrable work is planned"),
        (_plan(100, 40), "the same, because no deferrable work is planned"),
        (_plan(103, 43, "w"), "costs 3.00 EUR more, 7.5 % of what deferrable work costs"),
    ],
)
def test_what_is_saved_and_by_what(plan: dict[str, Any], told: str) -> None:
    assert saved(plan) == told


@pytest.mark.parametrize(
    ("power", "off", "churn", "told"),
    [
        ({"generated_kw": 4.0}, 0.0, 0.0, "its own plant"),
        ({}, 3.0, 0.0, "powering down"),
        ({"charge_kw": 1.0, "generated_kw": 4.0}, 3.0, 0.0, "the battery, its own plant and powering down"),
        ({}, None, 0.2, "moving what was announced"),
    ],
)
def test_a_fleet_without_a_battery_saves_nothing_by_one(
    power: dict[str, Any], off: float | None, churn: float, told: str
) -> None:
    plan = _plan(85, 30, "w")
    plan["power"] = [{"charge_kw": 0.0, "discharge_kw": 0.0, **power}]
    plan["slots"], plan["cost"] = [{"off": off}], {"total": 85, "churn": churn}
    assert f"; by {told} it saves 5.00 EUR" in saved(plan)
    assert ("by deferrable work at the grid's price" in saved(plan)) is ("generated_kw" in power)


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert store("sqlite:///shifter.db") == f"in the file {tmp_path}/shifter.db"
    assert store("sqlite:////var/lib/shifter.db") == "in the file /var/lib/shifter.db"
    assert store("sqlite:///conf/../shifter.db?timeout=3") == f"in the file {tmp_path}/shifter.db"
    shown = store("postgresql+psycopg://me:hunter2@db/shifter")
    assert shown == "postgresql+psycopg://me:***@db/shifter"


NOW = datetime(2026, 1, 10, 8, tzinfo=UTC)


def _view(**given: Any) -> dict[str, Any]:
    """A workload as it is answered before a plan holds it."""
    usual = {
        "id": "w",
        "tenant": "default",
        "state": "accepted",
        "class": "deferrable",
        "reason": {"text": "It can wait."},
        "amount": 8.0,
        "unit": "accelerator_hours",
        "done": 0.0,
        "progress_ratio": 0.0,
        "progress_source": "planned",
        "submitted_at": "2026-01-10T08:00:00Z",
        "earliest_start": "2026-01-10T08:00:00Z",
        "deadline": "2026-01-10T12:00:00Z",
        "latest_start": "2026-01-10T09:00:00Z",
        "planned_start": None,
        "planned_finish": None,
        "cost": None,
        "run_now_cost": None,
        "feasible": True,
        "note": "It is accepted; the next plan places it.",
    }
    return usual | given


LEFT = "8.0 accelerator-hours cannot be done by its deadline: At 1 accelerator it needs 8.0 h."
LATE, SERVED = {"latest_start": "2026-01-10T07:00:00Z"}, {"planned_start": "2026-01-10T07:00:00Z"}


@pytest.mark.parametrize(
    ("given", "hopeless", "latest"),
    [
        ({}, False, local("2026-01-10T09:00:00Z")),
        (LATE, True, "too late for its deadline"),
        ({"feasible": False, "note": LEFT, "state": "planned"}, True, "too late for its deadline"),
        ({**LATE, **SERVED, "state": "running", "planned_finish": "2026-01-10T11:00:00Z"}, False, None),
        ({**LATE, "state": "cancelled"}, False, None),
        ({"latest_start": None, "deadline": None, "state": "real_time"}, False, None),
    ],
    ids=["in time", "no plan yet", "no place", "runs as planned", "cancelled", "real-time"],
)
def test_a_latest_start_is_never_a_time_that_is_past(
    given: dict[str, Any],
    hopeless: bool,
    latest: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    view = _view(**given)
    assert is_hopeless(view, NOW) is hopeless
    print_one(view, "EUR", NOW)
    told = re.findall(r"latest start +(.*?) *$", capsys.readouterr().out, re.MULTILINE)
    assert told == ([] if latest is None else [latest])


def test_the_mark_of_hopeless_work_has_a_legend_where_it_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    hopeless = _view(feasible=False, note=LEFT, state="running")
    print_workloads([_view(), hopeless], "EUR")
    shown = capsys.readouterr()
    assert "running !" in shown.out
    assert shown.err == "!: cannot be done in time; what fits before the deadline is planned.\n"
    print_workloads([_view(), hopeless | {"state": "late"}], "EUR")
    assert capsys.readouterr().err == ""


def test_why_work_is_hopeless() -> None:
    width = {"max_accelerators": 1}
    assert why_hopeless(_view(feasible=False, note=LEFT), width) == f"w: {LEFT}"
    told = why_hopeless(_view(feasible=False, note=LEFT), {})
    assert "max_accelerators was not given, and the default is 1" in told
    told = why_hopeless(_view(**LATE), width)
    due = local("2026-01-10T12:00:00Z")
    assert f"by its deadline, {due}, not even at full width from now on" in told


def test_an_event_of_a_drill_says_so_and_why_work_returns() -> None:
    data = {"site": "fra", "pool": "h100", "workloads": {"w": 8}, "by": "plan"}
    event = {"id": 7, "at": "2026-01-10T00:00:00Z", "kind": "guard.returned", "data": data | {"drill": True}}
    assert events._line(event).plain.endswith("site=fra  pool=h100  by=plan  a drill")
    assert events._line(event | {"data": data}).plain.endswith("by=plan")
