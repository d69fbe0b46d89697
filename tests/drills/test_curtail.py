"""What `shifter drill curtail` asks of which site, and what it takes for broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shifter.drills.asked import has_room, taken_kw, with_room
from shifter.drills.curtail import Seen
from tests.drills.conftest import Call, served


def test_where_a_quarter_cannot_be_cut_a_limit_is_asked_that_is_kept(tmp_path: Path, call: Call) -> None:
    """Nothing but real-time load runs: none of it can be cut."""
    with served(tmp_path, 600, n_work=0) as client:
        code, found, words = call("curtail", "--hours", "0.25", "--url", client.base_url)
    assert code == 0, (words, [c for c in found["checks"] if not c["kept"]])
    assert "at most" in words
    assert "25 % less would leave real-time load no room to grow" in words
    assert "cannot be met" not in words
    [limit] = [
        c for c in found["checks"] if c["promise"].startswith("The plan keeps the limit in every slot")
    ]
    [through] = [c for c in found["checks"] if "to the end" in c["promise"]]
    assert (limit["kept"], through["kept"]) == (True, True), (limit["seen"], through["seen"])


QUOTED: dict[str, Any] = {
    "met": True,
    "slots": [
        {"part": "event", "limit_kw": 8.0, "realtime_kw": 6.0, "without_kw": 9.0, "with_kw": 7.0}
        | {"at_quantile_kw": 8.0, "over_kw": 0.0},
        {"part": "event", "limit_kw": 8.0, "realtime_kw": 7.0, "without_kw": 9.0, "with_kw": 7.0}
        | {"at_quantile_kw": 8.0, "over_kw": 0.0},
        {"part": "rebound", "limit_kw": 12.0, "realtime_kw": 7.0, "without_kw": 11.0, "with_kw": 11.0}
        | {"at_quantile_kw": 12.0, "over_kw": 0.0},
    ],
}


def test_the_limit_of_a_drill_leaves_room_for_real_time_load_that_is_forecast_higher() -> None:
    assert has_room(QUOTED)
    tight, missed, *_ = (dict(QUOTED, slots=[dict(s) for s in QUOTED["slots"]]) for _ in range(2))
    tight["slots"][1]["realtime_kw"] = 7.9
    assert not has_room(tight)
    missed["slots"][1] |= {"at_quantile_kw": 9.0, "over_kw": 1.0}  # work that may not be interrupted is there
    assert with_room(missed) == {"limit_kw": 9.9, "rebound_limit_kw": 13.2}
    assert with_room(tight) == {"limit_kw": 8.7, "rebound_limit_kw": 13.2}
    assert taken_kw(tight, 8.7) == pytest.approx(2 * 1.3)


@pytest.mark.parametrize(
    ("deferrable", "charge_kw", "kept"), [(0.0, 0.0, None), (2.0, 0.0, False), (0.0, 1.0, False)]
)
def test_a_limit_that_real_time_load_alone_exceeds_is_not_seen_as_broken(
    deferrable: float, charge_kw: float, kept: bool | None
) -> None:
    seen = Seen()
    row = {"start": "2026-01-10T00:00:00Z", "charge_kw": charge_kw, "discharge_kw": 0.0}
    seen.look(row, [{"deferrable": deferrable}], 0.5)
    assert seen.kept is kept
    assert ("real-time load alone" in seen.words(1)) == (kept is None)
    seen.look(row | {"start": "2026-01-10T00:15:00Z"}, [{"deferrable": 0.0}], -0.5)
    assert seen.kept is (kept is None)
