"""Moments as sentences say them: whole minutes, with the weekday, in UTC. Programs get ISO 8601 instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def in_words(moment: datetime) -> str:
    """The minute that a moment lies in. The names of days and months do not depend on the locale.

    >>> in_words(datetime(2026, 4, 15, 3, 0, 59, 999, tzinfo=UTC))
    'Wed 15 Apr 2026 03:00 UTC'
    """
    at = moment.astimezone(UTC)
    return f"{_DAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M} UTC"


def by_in_words(moment: datetime) -> str:
    """The first whole minute at or after a moment: what is done by then is done, and a deadline then works.

    >>> by_in_words(datetime(2026, 4, 15, 2, 59, 0, 1, tzinfo=UTC))
    'Wed 15 Apr 2026 03:00 UTC'
    """
    minute = moment.replace(second=0, microsecond=0)
    return in_words(minute if minute == moment else minute + timedelta(minutes=1))
