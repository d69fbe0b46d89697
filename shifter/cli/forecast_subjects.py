"""What `shifter forecasts score` and `compare` score: the signals of a zone that were forecast, and by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shifter.cli.console import say, utc
from shifter.cli.forecast_inputs import ACTUALS, check_named, files_of, no_zone, opened
from shifter.cli.forecast_options import Given, as_options, span_of
from shifter.cli.text import duration, local, parse_time
from shifter.errors import InputError

if TYPE_CHECKING:
    from forecasts.scores.subject import Subject
    from forecasts.series import Signal
    from forecasts.store import ForecastStore


def subjects(
    given: Given,
    signals: Sequence[Signal],
    *,
    sources: Mapping[str, str] | None = None,
    outcomes_of: str | None = None,
) -> list[Subject]:
    """Each of the signals of the zone of which anything was forecast. Where `sources` are named, each by an option,
    only they are scored, and only signals of which all of them speak. Raises InputError where there is none.
    """
    given.check()
    sources = sources or {}
    with as_options():
        if given.database:
            return _stored(given, signals, sources, outcomes_of)
        return _filed(given, signals, sources, outcomes_of)


def _wanted(
    given: Given, signals: Sequence[Signal], named: Mapping[str, str], spoken: Iterable[tuple[str, Signal]]
) -> list[Signal]:
    """Those of the signals of which all `named` speak, as `spoken` has it; what is left out is told.

    Raises InputError where there is none, and somebody else speaks.
    """
    who: dict[Signal, set[str]] = {}
    for name, signal in spoken:
        who.setdefault(signal, set()).add(name)
    there = [s for s in signals if s in who]
    found = [s for s in there if set(named) <= who[s]]
    if there and not found:
        check_named(named, set().union(*who.values()), given.zone)
        check_named(named, who[there[0]], f"the {there[0]} of {given.zone}")
    for signal in (s for s in there if s not in found):
        silent = ", ".join(name for name in named if name not in who[signal])
        say(f"Left out: the {signal} of {given.zone}, of which {silent} says nothing.", "dim")
    return found


def _filed(
    given: Given, signals: Sequence[Signal], sources: Mapping[str, str], outcomes_of: str | None
) -> list[Subject]:
    from forecasts.scores.subject import from_series

    told = files_of(given)
    judge = {outcomes_of: "--outcomes"} if outcomes_of else {ACTUALS: "--actuals"} if given.actuals else {}
    spoken = [(name, s.signal) for name, said in told.items() for s in said if s.zone == given.zone]
    forecast = {signal for name, signal in spoken if name != ACTUALS}
    found = [
        from_series(
            given.zone,
            signal,
            told,
            slot_minutes=given.slot_minutes,
            sources=tuple(sources),
            outcomes_of=next(iter(judge), None),
        )
        for signal in _wanted(given, [s for s in signals if s in forecast], {**sources, **judge}, spoken)
    ]
    found = [s for s in found if s.forecasts or s.unjudged]
    if not found:
        raise _not_forecast(given, signals)
    return found


def _not_forecast(given: Given, signals: Sequence[Signal]) -> InputError:
    return InputError(
        f"nobody forecast {' or '.join(signals)} of {given.zone}.",
        field="--zone",
        hint="What was cleared or measured is no forecast; `shifter forecasts fetch` and a daemon keep vintages.",
    )


def _stored(
    given: Given, signals: Sequence[Signal], sources: Mapping[str, str], outcomes_of: str | None
) -> list[Subject]:
    assert given.database is not None
    named = {**sources, **({outcomes_of: "--outcomes"} if outcomes_of else {})}
    with opened(given.database) as store:
        spoken = [(a.source, a.signal) for a in store.ages(datetime.now(UTC)) if a.zone == given.zone]
        if not spoken:
            raise no_zone(store, given.zone)
        wanted = _wanted(given, signals, named, spoken)
        found = [_one_stored(store, given, signal, tuple(sources), outcomes_of, named) for signal in wanted]
        found = [s for s in found if s.forecasts or s.unjudged]
        if not found:
            raise _too_old(store, given, wanted) if wanted else _not_forecast(given, signals)
        return found


def _one_stored(
    store: ForecastStore,
    given: Given,
    signal: Signal,
    sources: Sequence[str],
    outcomes_of: str | None,
    named: Iterable[str],
) -> Subject:
    """A signal of a database. Raises InputError for a source of which the period has nothing."""
    from forecasts.scores.stored import heard
    from forecasts.scores.subject import PERSISTS, from_store

    since, now = _period(store, given, signal)
    there = heard(store, given.zone, signal, since - PERSISTS, now) if named else {}
    for name in named:
        if name not in there:
            raise _too_old(store, given, [signal], name)
    return from_store(
        store,
        given.zone,
        signal,
        since=since,
        now=now,
        slot_minutes=given.slot_minutes or 30,
        sources=sources,
        outcomes_of=outcomes_of,
    )


def _period(store: ForecastStore, given: Given, signal: Signal) -> tuple[datetime, datetime]:
    """Since when forecasts are scored, and by what was known when."""
    if given.as_of:
        now = parse_time(given.as_of, "--as-of")
    else:  # a store of a simulated clock may be ahead of this machine's
        newest = store.vintages(zone=given.zone, signal=signal, limit=1)
        now = max([datetime.now(UTC), *(v.known_at for v in newest)])
    return now - span_of(given.back, "--for"), now


def _too_old(store: ForecastStore, given: Given, signals: Sequence[Signal], source: str = "") -> InputError:
    """Nobody, or a source, says anything in the period: what the database has of it, and how to reach that."""
    from forecasts.scores.stored import MOST_VINTAGES
    from forecasts.series import FACTS

    known = [
        v.known_at
        for signal in signals
        for v in store.vintages(zone=given.zone, signal=signal, source=source or None, limit=MOST_VINTAGES)
        if v.status == "accepted" and (source or v.kind not in FACTS)
    ]
    if not known:
        return _not_forecast(given, signals)
    since, now = max(_period(store, given, signal) for signal in signals)
    first, last = min(known), max(known)
    what = f"{' or '.join(signals)} of {given.zone} in the {duration((now - since).total_seconds())} to {local(now)}"
    return InputError(
        f"{source} says nothing of {what}: the database has it from {local(first)} to {local(last)}."
        if source
        else f"nobody forecast {what}: the database has forecasts from {local(first)} to {local(last)}.",
        field="--as-of" if first > now else "--for",
        hint=f"Ask by what was known then, with --as-of {utc(last)}; --for says how far back from there.",
    )
