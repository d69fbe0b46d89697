"""Servers of one model that are scraped: what arrives at all of them together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from shifter.meters.base import Place, Told, client
from shifter.meters.window import Came, Seen, Window, summed


class ScrapedServers:
    """Base of meters that scrape the servers of a model; a kind says how one of them is looked at.

    All of them are needed: what arrives at one that does not answer is not known, and is not zero.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        urls: Sequence[str],
        *,
        every_s: float = 10.0,
        window_s: float = 60.0,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.place, self.every_s = name, place, every_s
        self.pool: tuple[str, str] | None = (place.site, place.pool)
        self._windows = {url: Window(max(window_s, 2 * every_s)) for url in urls}
        self._http = client(timeout_s)
        self._clock = clock
        self._lengths: tuple[float, float] | None = None

    def look(self, url: str) -> Seen:
        """What one server has counted. Raises SourceUnavailable."""
        raise NotImplementedError

    def requests(self, came: Came) -> float:
        """How many requests ended in it."""
        return came.ended

    def arrived(self, came: Came) -> float:
        """How many requests came in it."""
        return came.arrived

    def lengths(self, came: Came) -> tuple[float, float] | None:
        """Mean tokens of prompt and output; None where that cannot be told."""
        ended = self.requests(came)
        return (came.prompt_tokens / ended, came.output_tokens / ended) if ended > 0 else None

    def read(self, now: datetime) -> list[Told]:
        """See `Meter.read`. Nothing before the second look at each server.

        The rate is the larger of that at which requests come and that at which their output is written: requests that
        take longer than the window load a server though none has come in it.
        """
        try:
            for url, window in self._windows.items():
                seen = self.look(url)
                window.add(self._clock(), seen)
        finally:
            self._http.close()
        lately = [came for w in self._windows.values() if (came := w.lately()) is not None]
        long = [came for w in self._windows.values() if (came := w.long()) is not None]
        if len(lately) < len(self._windows):
            return []
        self._lengths = self.lengths(summed(long, 1.0)) or self._lengths
        arriving = sum(max(0.0, self.arrived(came)) / came.seconds for came in lately)
        written_per_s = sum(came.output_tokens / came.seconds for came in lately)
        if self._lengths is None:
            # Nobody knows how long requests are: where there are any, that is not told.
            return [] if arriving > 0 or written_per_s > 0 else self.place.told(now, 0.0, None, None)
        prompt, output = self._lengths
        return self.place.told(now, max(arriving, written_per_s / max(1.0, output)), prompt, output)
