"""llama.cpp's server: its /metrics, shown where it was started with --metrics.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server. It counts tokens and no requests. How many there are is
told by the tokens that it writes and how many a request has written of it on average, which the settings say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forecasts.errors import SourceUnavailable
from shifter.meters.base import Place, sound
from shifter.meters.exposition import scrape
from shifter.meters.servers import ScrapedServers
from shifter.meters.window import Came, Seen

PROMPT = "llamacpp:prompt_tokens_total"
OUTPUT = "llamacpp:tokens_predicted_total"
IN_FLIGHT = ("llamacpp:requests_processing", "llamacpp:requests_deferred")


class LlamaCppMeter(ScrapedServers):
    """What arrives at servers of llama.cpp whose answers have `output_tokens` on average."""

    def __init__(
        self, name: str, place: Place, urls: Sequence[str], output_tokens: float, **given: Any
    ) -> None:
        super().__init__(name, place, urls, **given)
        self._output_tokens = output_tokens

    def look(self, url: str) -> Seen:
        """See `ScrapedServers.look`."""
        found = scrape(self._http, url, (PROMPT, OUTPUT, *IN_FLIGHT))
        for name, series in found.items():
            if len(series) > 1:
                raise SourceUnavailable(
                    f"{url} shows {len(series)} series of {name}.",
                    hint="Name the /metrics of each server itself, one server an address.",
                )
        total = {name: sound(series[0][1], f"{name} of {url}") for name, series in found.items()}
        return Seen(0.0, total[PROMPT], total[OUTPUT], sum(total[name] for name in IN_FLIGHT))

    def requests(self, came: Came) -> float:
        """As many as would have written what was written."""
        return came.output_tokens / self._output_tokens

    def arrived(self, came: Came) -> float:
        """They, and by how many more are in flight."""
        return self.requests(came) + came.arrived
