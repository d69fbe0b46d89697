"""The day of a market: midnight to midnight where the market is, so 23, 24 or 25 hours of UTC."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

from forecasts.slots import to_utc


def market_day(day: date, tz: tzinfo) -> tuple[datetime, datetime]:
    """Start and end of the local `day`, half-open, in UTC.

    >>> from zoneinfo import ZoneInfo
    >>> start, end = market_day(date(2026, 10, 25), ZoneInfo("Europe/Berlin"))
    >>> (end - start).total_seconds() / 3600
    25.0
    """
    midnight = datetime.min.time()
    start = datetime.combine(day, midnight, tz)
    end = datetime.combine(day + timedelta(days=1), midnight, tz)
    return to_utc(start), to_utc(end)


def local_day(moment: datetime, tz: tzinfo) -> date:
    """The local day that holds `moment`."""
    return to_utc(moment).astimezone(tz).date()


def last_local_day(end: datetime, tz: tzinfo) -> date:
    """The local day that holds the instant before `end`, an exclusive end."""
    return local_day(to_utc(end) - timedelta(microseconds=1), tz)
