"""What `shifter drill lose-site` says of what the plan holds for the loss."""

from __future__ import annotations

import pytest

from shifter.client import Client
from shifter.drills.base import Options, Scene
from shifter.drills.lose_site import LoseSite


@pytest.mark.parametrize(
    ("missing_accelerators", "missing_slots", "kept", "words"),
    [
        (20.1, 3, None, "; the plan said beforehand: surviving it costs nothing"),
        (None, 0, None, "; the plan said beforehand: surviving it costs nothing; whether all of it is held"),
        (0.0, 0, False, "beyond what is held: nothing"),
    ],
)
def test_a_loss_that_the_plan_did_not_hold_whole_is_no_broken_promise(
    missing_accelerators: float | None,
    missing_slots: int,
    kept: bool | None,
    words: str,
    idle: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drill = LoseSite(Scene(idle, Options(site="ber")))
    drill.prepare()
    assert drill._held().kept
    drill._nowhere |= {"H100": 20.1, "L40S": 4.0}
    assert drill._held().kept is False
    said = {"missing_accelerators": missing_accelerators, "missing_slots": missing_slots}
    promises = [
        {"kind": "site", "name": "fra", "group": "de", "text": "another", "missing_slots": 3} | said,
        {"kind": "site", "name": "ber", "group": "de", "text": "surviving it costs nothing"} | said,
    ]
    plan = idle.plan() | {"resilience": {"promises": promises}}
    monkeypatch.setattr(idle, "plan", lambda plan_id=None: plan)
    check = drill._held()
    assert check.kept is kept
    assert "without room: 20.1 H100 + 4.0 L40S; " in check.seen, "each kind by itself"
    assert words in check.seen
    assert check.figures["missing_accelerators"] == 24.1
