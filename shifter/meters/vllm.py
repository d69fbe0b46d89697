"""vLLM: its servers' /metrics, counters of requests and tokens and gauges of what is running and waiting.

https://docs.vllm.ai/en/stable/usage/metrics/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forecasts.errors import SourceUnavailable
from shifter.meters.base import Place, sound
from shifter.meters.exposition import Series, scrape
from shifter.meters.servers import ScrapedServers
from shifter.meters.window import Seen

ENDED = "vllm:request_success_total"
PROMPT = "vllm:prompt_tokens_total"
OUTPUT = "vllm:generation_tokens_total"
IN_FLIGHT = ("vllm:num_requests_running", "vllm:num_requests_waiting")


class VllmMeter(ScrapedServers):
    """What arrives at servers of vLLM. `served_model` is the label `model_name` that counts; None: there is one only.

    Engines of a server, and the reasons for which requests ended, are summed.
    """

    def __init__(
        self, name: str, place: Place, urls: Sequence[str], served_model: str | None = None, **given: Any
    ) -> None:
        super().__init__(name, place, urls, **given)
        self._served = served_model

    def look(self, url: str) -> Seen:
        """See `ScrapedServers.look`."""
        found = scrape(self._http, url, (ENDED, PROMPT, OUTPUT, *IN_FLIGHT))
        total = {name: self._total(url, name, series) for name, series in found.items()}
        return Seen(total[ENDED], total[PROMPT], total[OUTPUT], sum(total[name] for name in IN_FLIGHT))

    def _total(self, url: str, name: str, series: Series) -> float:
        models = sorted({labels.get("model_name", "") for labels, _ in series})
        if self._served is None and len(models) > 1:
            raise SourceUnavailable(
                f"{url} serves several models: {', '.join(models)}.",
                hint="Set served_model to the one meant, and give the others meters of their own.",
            )
        if self._served is not None and self._served not in models:
            raise SourceUnavailable(
                f"{url} serves {', '.join(m for m in models if m) or 'no model that it names'}, and not "
                f"{self._served}.",
                hint="Check served_model: it is the label model_name.",
            )
        return sum(
            sound(value, f"{name} of {url}")
            for labels, value in series
            if self._served in (None, labels.get("model_name", ""))
        )
