"""What we make of a zone's signal by ourselves: our models beyond what is published, how far each source is to be
believed at each lead time, and how far outcomes may lie from both.

An outlook is made at a moment from what was known then, and nothing else: it asks the store as of that moment, and of
earlier moments as of those. So it can be made again at any time, and comes out the same.

    outcomes of the past      -> models (`forecasts.models`), blended by day of lead       -> ours
    ours, and what each source said at the same time of the last 60 days, against outcomes -> weights by lead time
    errors of what was combined                                                           -> bands by lead time
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from forecasts.blend import blend, combine
from forecasts.calibrate import MIN_ROUNDS, PROBABILITIES, bands, stretches
from forecasts.known import AHEAD, Knowledge, Meaning, Record
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.models.base import Beside, Question
from forecasts.models.days import HOURS, MAX_HOLE_HOURS, SCALE_DAYS, Days, Scale, days_of
from forecasts.models.ensemble import Foreseen, foresee
from forecasts.provenance import NOBODY, Said, together
from forecasts.series import PLANNED, Basis, Signal
from forecasts.slots import Floats
from forecasts.surprise import Voice

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HORIZON_DAYS = AHEAD // DAY
"""[d] How far past the moment it is made an outlook reaches."""
OURS = "our models"
BESIDE_FRESH = 2 * DAY
"""A zone's other signal that ended longer ago tells nothing of this one."""
TINY = np.finfo(float).tiny
"""However little it counts: it has the rest where nobody else can."""
MIN_DAYS = 7
"""[d] Less history than this tells nothing of a usual day."""

Answered = Callable[[Question], Foreseen]


@dataclass(frozen=True, eq=False)
class Outlook:
    """Hours `[start + h, start + h + 1)`, every array (n_hours,); values on `scale`, made at `start`.

    `ours` is NaN where the outcome was known already. `weights` by source, and of `OURS`, sum to 1 in each hour: what
    each counts for by its record, in its senses; a source that is not in it has no record yet. `bands` by probability
    are what to add to the value; NaN where too little is known of errors. `basis` is what its carbon means.
    """

    zone: str
    signal: Signal
    unit: str
    basis: Basis | None
    start: datetime
    scale: Scale
    ours: Floats
    weights: Mapping[str, Floats]
    bands: Mapping[float, Floats]
    models: Mapping[str, Floats]
    """By model, its share of ours in each hour."""
    voices: Mapping[str, Voice]
    """By source with a record, what it is taken to say at `start`."""
    errors: Floats
    """On the scale, of what was combined in each earlier round in the first two days, (n_rounds, 48), the oldest first;
    NaN where not known."""
    terms: Said = NOBODY
    """Attribution and licence of all that was learnt from."""

    @property
    def n_hours(self) -> int:
        """How far it reaches [h]."""
        return len(self.ours)


def make_outlook(
    knowledge: Knowledge,
    zone: str,
    signal: Signal,
    at: datetime,
    order: Sequence[str] = (),
    rules: Learning = BY_DEFAULT,
    answered: Answered = foresee,
) -> Outlook | None:
    """The outlook made at `at`, on a whole hour; None where there is less than a week of outcomes, or none for a week.

    `order` is of sources, the best first: their outcomes go before those of others. `answered` is what our models make
    of a question.
    """
    asked = _Asked(knowledge, zone, at, tuple(order), rules, answered)
    learnt = asked.learn(signal)
    if learnt is None:
        return None
    errors = learnt.came - learnt.combined
    record, shift = learnt.record, _hours(learnt.record.end - at)
    shares = np.repeat(learnt.foreseen.weights, HOURS, axis=0)
    return Outlook(
        zone,
        signal,
        record.unit,
        record.basis,
        at,
        learnt.scale,
        learnt.ours,
        learnt.weights,
        dict(zip(PROBABILITIES, bands(errors, rate=rules.adapt_rate), strict=True)),
        {
            name: _moved(shares[:, k], shift, HORIZON_DAYS * HOURS)
            for k, name in enumerate(learnt.foreseen.names)
        },
        learnt.voices,
        errors[:, : 2 * HOURS],
        learnt.terms,
    )


@dataclass(frozen=True, eq=False)
class _Learnt:
    """What was learnt of one signal. Arrays are on `scale`, by hours from the moment on; rounds are the days before.

    `ours` (n_hours,), `came` and `combined` (n_rounds, n_hours), `heard` by source with a record what it said in each
    round, NaN where it was mad, (n_rounds, n_hours).
    """

    record: Record
    scale: Scale
    foreseen: Foreseen
    ours: Floats
    came: Floats
    combined: Floats
    heard: Mapping[str, Floats]
    weights: Mapping[str, Floats]
    voices: Mapping[str, Voice]
    terms: Said

    def expected(self) -> Floats:
        """What was expected in each round and is now, (n_rounds + 1, n_hours), where a source spoke; else NaN."""
        if not self.voices:
            return np.full((len(self.combined) + 1, len(self.ours)), np.nan)
        now = expected_now(self.ours, self.weights, self.voices)
        spoken = [
            np.isfinite(np.vstack([self.heard[name], voice.said])) for name, voice in self.voices.items()
        ]
        rounds = np.concatenate([self.combined, now[None, :]])
        return np.where(np.any(spoken, axis=0), rounds, np.nan)


@dataclass(frozen=True)
class _Asked:
    """One moment of one zone."""

    knowledge: Knowledge
    zone: str
    at: datetime
    order: tuple[str, ...]
    rules: Learning
    answered: Answered

    def learn(self, signal: Signal) -> _Learnt | None:
        """See `make_outlook`."""
        record = self.knowledge.hours(self.zone, signal, self.at, self.order)
        days = None if record is None else days_of(record.end, record.hourly, self.rules.history_days)
        if record is None or days is None or days.n_days < MIN_DAYS:
            return None
        horizon_h, shift = HORIZON_DAYS * HOURS, _hours(record.end - self.at)
        n_ahead = -(-(horizon_h - shift) // HOURS)
        if n_ahead < 1 or shift < -MAX_HOLE_HOURS:
            return None
        beside, terms = self._beside(signal, days, n_ahead)
        foreseen = self.answered(Question(days, n_ahead, self.rules.past_days, beside))
        ours, past, came = (
            _moved(values, shift, horizon_h) for values in (foreseen.z, foreseen.past, foreseen.outcomes)
        )
        told = {
            source: np.where(
                np.isfinite(ours),  # what is over, or cleared, is no forecast
                days.scale.to_z(self._said(signal, source, len(past), record.meaning)),
                np.nan,
            )
            for source in record.forecasters
            if self.rules.weigh_sources
        }
        if not record.measured and any(_repeats(said[:-1], came) for said in told.values()):
            return None
        weights, voices, heard, combined = _weighted(ours, past, came, told)
        whole = together([record.terms, *terms], None)
        return _Learnt(record, days.scale, foreseen, ours, came, combined, heard, weights, voices, whole)

    def _said(self, signal: Signal, source: str, n_past: int, meaning: Meaning) -> Floats:
        return self.knowledge.said(self.zone, signal, source, self.at, n_past, HORIZON_DAYS * HOURS, meaning)

    def _beside(self, signal: Signal, days: Days, n_ahead: int) -> tuple[Beside | None, list[Said]]:
        """The zone's other signal beside these days, and its terms: its outcomes, and beside a price what is expected
        of carbon. What a price is expected to be is not asked for beside carbon: each would wait for the other.
        """
        (other,) = (s for s in PLANNED if s is not signal)
        record = self.knowledge.hours(self.zone, other, self.at, self.order)
        if record is None or record.end < self.at - BESIDE_FRESH:
            return None, []
        first = days.end - days.n_days * DAY
        hourly = np.full((days.n_days + n_ahead) * HOURS, np.nan)
        _lay(hourly, record.hourly, _hours(record.end - first) - len(record.hourly))
        inside = hourly[np.isfinite(hourly)]
        if len(inside) < MIN_DAYS * HOURS:
            return None, []
        scale, expected = Scale.of(inside[-SCALE_DAYS * HOURS :]), None
        learnt = self.learn(other) if other is Signal.CARBON and record.forecasters else None
        if learnt is not None:
            scale = learnt.scale
            rows = _moved(learnt.expected(), _hours(self.at - days.end), n_ahead * HOURS)
            expected = rows if np.isfinite(rows).any() else None
        known_hours = min(_hours(record.end - days.end), n_ahead * HOURS)
        return Beside(scale.to_z(hourly), known_hours, expected), [record.terms]


def _repeats(said: Floats, came: Floats) -> bool:
    """Whether a source only said again what it had said: then nobody knows what came."""
    both = np.isfinite(said) & np.isfinite(came)
    return bool(both.any(axis=1).sum() >= MIN_ROUNDS and (np.abs(said - came)[both] < 1e-9).all())


def _weighted(
    ours: Floats, past: Floats, came: Floats, told: Mapping[str, Floats]
) -> tuple[dict[str, Floats], dict[str, Voice], dict[str, Floats], Floats]:
    """The weights of each source and of ours by hour ahead, by source what it is taken to say and what it said in each
    round in its senses, and what they would have said together in each round.

    `told` by source (n_rounds + 1, n_hours), the last row what is said now. A source with fewer than `MIN_ROUNDS`
    rounds on record is left out. Of rounds in which one was mad nothing is learnt: little was planned by them.
    """
    n_hours = len(ours)
    known = {
        source: Voice.of(said, np.vstack([past, ours]), came)
        for source, said in told.items()
        if (np.isfinite(said[:-1]) & np.isfinite(came)).any(axis=1).sum() >= MIN_ROUNDS
    }
    voices = {source: voice for source, (voice, _) in known.items()}
    heard = {source: rounds for source, (_, rounds) in known.items()}
    if all_at_once(voices[name].age_days != 0 for name in voices if np.isfinite(told[name][-1]).any()):
        voices = {name: Voice(voice.habit, told[name][-1]) for name, voice in voices.items()}
    if not voices:
        return {OURS: np.ones(n_hours)}, {}, {}, past
    members = np.stack([past, *heard.values()])
    parts = stretches(n_hours)
    width = max(last - first for first, last in parts)
    delays = [-(-last // HOURS) for _, last in parts]
    prior = np.ones(len(members))
    taught = blend(_folded(members, parts, width), _folded(came, parts, width), prior, delays)
    combined = _unfolded(taught.combined, parts)
    weights = np.repeat(taught.weights, [last - first for first, last in parts], axis=0).T
    weights = weights * np.array([1.0, *(voice.habit.belief for voice in voices.values())])[:, None]
    weights /= weights.sum(axis=0)
    return dict(zip([OURS, *voices], weights, strict=True)), voices, heard, combined


def all_at_once(mad: Iterable[bool]) -> bool:
    """Whether several sources, and all of them, are mad: then none is, and something has happened."""
    each = list(mad)
    return len(each) > 1 and all(each)


def expected_now(ours: Floats, weights: Mapping[str, Floats], voices: Mapping[str, Voice]) -> Floats:
    """What our models and what each source is taken to say come to together, (n_hours,)."""
    shares = aged(weights, {name: voice.age_days for name, voice in voices.items()})
    said = [ours if name == OURS else voices[name].said for name in shares]
    return combine(np.stack(said)[:, :, None], np.stack(list(shares.values())).T)[:, 0]


def aged(weights: Mapping[str, Floats], ages_days: Mapping[str, int | None]) -> dict[str, Floats]:
    """Weights (n_hours,) by source and of `OURS`, where what a source said so many days ago stands in for it: 0 is now,
    and None where nothing does.

    What was said a day ago is a day further ahead, and what the others say is not: they learnt their weights beside it
    when they knew as little. So each day leaves half of its share to it, and the others have the rest.
    """
    old = {
        name: _ahead(weights[name], age_days) * 0.5**age_days
        for name, age_days in ages_days.items()
        if age_days
    }
    if not old:
        return dict(weights)
    rest = 1.0 - np.sum(list(old.values()), axis=0)
    fresh = {name: np.maximum(share, TINY) for name, share in weights.items() if name not in old}
    total = np.sum(list(fresh.values()), axis=0)
    return {name: old[name] if name in old else fresh[name] / total * rest for name in weights}


def _ahead(weights: Floats, days: int) -> Floats:
    return weights[np.minimum(np.arange(len(weights)) + days * HOURS, len(weights) - 1)]


def _folded(values: Floats, parts: Sequence[tuple[int, int]], width: int) -> Floats:
    """Hours (..., n_hours) as stretches (..., n_stretches, width), NaN beyond the end of each."""
    folded = np.full((*values.shape[:-1], len(parts), width), np.nan)
    for k, (first, last) in enumerate(parts):
        folded[..., k, : last - first] = values[..., first:last]
    return folded


def _unfolded(values: Floats, parts: Sequence[tuple[int, int]]) -> Floats:
    """The inverse of `_folded`."""
    return np.concatenate([values[..., k, : last - first] for k, (first, last) in enumerate(parts)], axis=-1)


def _moved(values: Floats, shift: int, n: int) -> Floats:
    """Hours (..., m) that begin `shift` hours after the first of the `n` wanted; NaN where there is none."""
    moved = np.full((*values.shape[:-1], n), np.nan)
    first, last = max(shift, 0), min(shift + values.shape[-1], n)
    moved[..., first:last] = values[..., first - shift : last - shift]
    return moved


def _lay(into: Floats, values: Floats, at: int) -> None:
    """Write `values` from index `at` on, as far as they fit."""
    first, last = max(at, 0), min(at + len(values), len(into))
    if last > first:
        into[first:last] = values[first - at : last - at]


def _hours(span: timedelta) -> int:
    return span // HOUR
