"""Settings of what is on trial, and of what is learnt: what they may say, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import create_engine

from forecasts.store import ForecastStore
from shifter.errors import InputError
from shifter.files import read_fleet
from shifter.settings import Settings, load_settings
from shifter.wiring import frame_maker, outlooks_of, polled_sources
from tests.daemon.world import settings


def made(folder: Path, *sources: dict[str, Any], **more: Any) -> Any:
    given = settings(folder, forecasts={"sources": list(sources), **more})
    fleet = read_fleet(folder / "fleet.yaml")
    polled = polled_sources(given, fleet)
    store = ForecastStore(create_engine("sqlite://"))
    return frame_maker(given, fleet, store, polled), outlooks_of(given, fleet, store, polled)


def csv(name: str, **more: Any) -> dict[str, Any]:
    return {"name": "csv", "options": {"name": name, "path": "forecasts.csv"}, **more}


def test_nothing_is_learnt_where_it_is_off(tmp_path: Path) -> None:
    assert made(tmp_path, csv("desk"), learn="off")[1] is None
    assert made(tmp_path, csv("desk"), learn="shadow")[1] is not None
    assert made(tmp_path, csv("desk"))[1] is not None


def test_who_is_in_shadow_cannot_be_preferred(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        made(tmp_path, csv("desk"), csv("wild", shadow=True), order={"*": {"price": ["wild"]}})
    assert (caught.value.field, caught.value.hint) == (
        "forecasts.order.*.price[0]",
        "Take it out of the order, or set shadow: false for it.",
    )


def test_nobody_can_have_our_name(tmp_path: Path) -> None:
    """It would be taken for what we said ourselves, and never be heeded."""
    with pytest.raises(InputError) as caught:
        made(tmp_path, csv("shifter"))
    assert caught.value.field == "forecasts.sources[0].options.name"


@pytest.mark.parametrize("text", ["on", "shadow", "off"])
def test_a_file_says_it_in_a_word(tmp_path: Path, text: str) -> None:
    """YAML 1.2: on and off are words there, and no truth values."""
    file = tmp_path / "shifter.yaml"
    file.write_text(f"forecasts:\n  learn: {text}\n  history_days: 0\n", encoding="utf-8")
    given = load_settings(file, environ={})
    assert (given.forecasts.learn, given.forecasts.history_days) == (text, 0)
    assert load_settings(environ={"SHIFTER_FORECASTS__LEARN": text}).forecasts.learn == text


@pytest.mark.parametrize(
    "forecasts",
    [{"learn": True}, {"learn": "sometimes"}, {"history_days": -1}, {"history_days": 1000}, {"shadow": True}],
)
def test_what_it_cannot_be_is_refused(forecasts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"forecasts": forecasts})
