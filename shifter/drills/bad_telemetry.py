"""`bad-telemetry`: samples as broken meters send them: each is refused by its field, or changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

from shifter.connection import Connection, Json
from shifter.drills.base import ACTOR, Check, Scene, stop_in_words
from shifter.drills.target import fresh, targets
from shifter.errors import ShifterError

REFUSED = {"invalid_input", "invalid_request", "malformed_body", "not_found"}
"""Codes that say so. NaN is no JSON: there the whole is refused, since it has no fields."""
PAST = 2.0
"""How many holds ago what comes late was measured."""


class BadTelemetry:
    """See the module."""

    promise = "A broken meter changes nothing: what it sends is refused by its field, or has no effect."

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def prepare(self) -> str:
        """See `Drill`."""
        self._target = fresh(targets(self.scene)[0])
        return (
            f"Samples that are wrong are sent for {self._target.name}, and one that is right: the load of this moment, "
            f"{self._target.load:.1f} accelerators. {stop_in_words(0, 0, 0)}"
        )

    def run(self) -> Iterator[Check]:
        """See `Drill`."""
        scene, key = self.scene, self._target.key
        scene.play(scene.say(key, self._target.load))
        level = scene.capacity(key)["realtime_accelerators"]
        good = scene.say(key, self._target.load)
        count = self._target.count
        future = (scene.clock.now() + timedelta(hours=1)).isoformat()
        refused: tuple[tuple[str, str, Json], ...] = (
            ("not a number (NaN)", "", {**good, "realtime_accelerators": float("nan")}),
            ("infinite", "", {**good, "realtime_accelerators": float("inf")}),
            ("negative", "realtime_accelerators", {**good, "realtime_accelerators": -1}),
            (
                "of more than ten pools",
                "realtime_accelerators",
                {**good, "realtime_accelerators": 10 * count + 1},
            ),
            (
                "of more accelerators than the pool has",
                "available_accelerators",
                {**good, "available_accelerators": 10 * count + 1},
            ),
            ("an hour in the future", "at", {**good, "at": future}),
            ("without a time zone", "at", {**good, "at": "2026-01-10T00:00:00"}),
            ("of a site that is not there", "site", {**good, "site": "drill-nowhere"}),
            ("of a pool that is not there", "pool", {**good, "pool": "drill-nothing"}),
            ("with a name that is misspelt", "", {**good, "realtime_accelerator": 1}),
        )
        for words, field, sample in refused:
            yield self._refused(words, field, sample, level)
        yield self._refused(
            "one good sample beside a bad one",
            "realtime_accelerators",
            [
                {**good, "realtime_accelerators": min(count, level + 1)},
                {**good, "realtime_accelerators": -1},
            ],
            level,
        )
        late = scene.say(key, float(count), at=scene.clock.now() - timedelta(seconds=PAST * scene.hold_s))
        older = scene.say(key, 0.0, at=scene.clock.now() - timedelta(seconds=scene.hold_s / 10))
        last = scene.say(key, self._target.load)
        for words, samples in (
            ("late, and high", [late]),
            ("the same three times", [last, last, last]),
            ("out of order", [last, older]),
        ):
            yield self._without_effect(words, samples, level)

    def _refused(self, words: str, field: str, body: Json | list[Json], level: float) -> Check:
        promise = (
            f"A sample {words} is refused, and told what is wrong"
            if isinstance(body, dict)
            else f"Of {words} nothing is kept"
        )
        connection = Connection(self.scene.client.base_url, actor=ACTOR)
        try:
            connection.send(
                "POST",
                "/v1/telemetry",
                data=json.dumps(body),  # as it is: a client of Python's would not send what is no number
                headers={"Content-Type": "application/json"},
            )
        except ShifterError as error:
            if error.code not in REFUSED:
                return Check(promise, f"{error.code}: {error.detail}", False)
            where = error.field
            same = self._level() == level
            seen = f"{where or 'the whole'}: {error.detail}" + (
                "" if same else " And yet the load is another now."
            )
            return Check(promise, seen, field in where and same)
        finally:
            connection.close()
        return Check(promise, "it was taken", False)

    def _without_effect(self, words: str, samples: list[Json], level: float) -> Check:
        self.scene.play(*samples)
        now = self._level()
        figures = {"before_accelerators": round(level, 3), "after_accelerators": round(now, 3)}
        return Check(
            f"Samples that come {words}: the load stays",
            f"load {level:.1f} before, {now:.1f} after",
            now == level,
            figures,
        )

    def _level(self) -> float:
        found: float = self.scene.capacity(self._target.key)["realtime_accelerators"]
        return found
