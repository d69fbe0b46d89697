"""Prometheus, or whatever answers its HTTP API: rates by instant queries.

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from forecasts.errors import SourceUnavailable
from forecasts.sources.http import join_url, redact
from forecasts.sources.keys import KeyOptions, body_of
from shifter.errors import InputError
from shifter.meters.base import Place, Told, client, sound
from shifter.views import TelemetrySample

ENV = "PROMETHEUS_TOKEN"
WHERE = "Whoever runs it gives out bearer tokens."
RATES = ("requests_query", "prompt_tokens_query", "output_tokens_query")


class PrometheusMeter:
    """What arrives at a pool by three rates [1/s], of requests, prompt tokens and output tokens; or by one query for
    the accelerators that it uses, where `accelerators_query` stands alone.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        url: str,
        queries: Mapping[str, str],
        *,
        key: KeyOptions | None = None,
        every_s: float = 10.0,
        timeout_s: float = 5.0,
    ) -> None:
        self.name, self.place, self.every_s = name, place, every_s
        self.pool: tuple[str, str] | None = (place.site, place.pool)
        self._url = join_url(url, "api/v1/query")
        self._queries, self._key = queries, key
        self._http = client(timeout_s)
        self._lengths: tuple[float, float] | None = None

    def read(self, now: datetime) -> list[Told]:
        """See `Meter.read`."""
        try:
            found = {name: self._value(name, query) for name, query in self._queries.items()}
        finally:
            self._http.close()
        if "accelerators_query" in found:
            load = found["accelerators_query"]
            return [Told(TelemetrySample(self.place.site, now, self.place.pool, load))]
        requests, prompt, output = (found[name] for name in RATES)
        if requests > 0:
            self._lengths = prompt / requests, output / requests
        elif output > 0:  # written for requests that came before: as many as write so much
            if self._lengths is None or self._lengths[1] <= 0:
                raise SourceUnavailable(
                    "tokens are written, and no request has ended.",
                    hint="Give the rates of requests_query and the others a longer range, such as [5m].",
                )
            requests = output / self._lengths[1]
        return self.place.told(now, requests, *(self._lengths or (None, None)))

    def _value(self, name: str, query: str) -> float:
        headers = {}
        secret = ""
        if self._key is not None:
            secret = self._key.key(self.name, ENV, WHERE)
            headers["Authorization"] = f"Bearer {secret}"
        reply = self._http.get(self._url, {"query": query}, headers)
        where = redact(self._url)
        if reply.status in {401, 403}:
            raise SourceUnavailable(
                f"{where} answered {reply.status}.", hint="It wants another bearer token: see api_key_file."
            )
        body = body_of(reply)
        if not isinstance(body, Mapping) or body.get("status") not in {"success", "error"}:
            raise SourceUnavailable(
                f"{where} answered {reply.status} with something that no Prometheus says.", hint="Check url."
            )
        if body["status"] == "error":
            said = str(body.get("error", ""))[:200]
            if secret:
                said = said.replace(secret, "***")
            raise InputError(f"Prometheus refuses it: {said}.", field=name, hint=f"It is asked `{query}`.")
        return sound(self._only(name, query, body), f"what {name} gives")

    @staticmethod
    def _only(name: str, query: str, body: Mapping[str, Any]) -> float:
        """The one value of an answer."""
        try:
            data = body["data"]
            result = [{"value": data["result"]}] if data["resultType"] == "scalar" else data["result"]
            if data["resultType"] not in {"scalar", "vector"}:
                raise InputError(
                    f"it gives a {data['resultType']}.",
                    field=name,
                    hint="Ask for one value of now: a rate(...[5m]), not the series itself.",
                )
            values = [float(one["value"][1]) for one in result]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SourceUnavailable(
                "it answered in another form than Prometheus does.", hint="Check url."
            ) from error
        if not values:
            raise SourceUnavailable(
                f"{name} gives nothing.",
                hint=f"No series is like `{query}`, or none was scraped lately; that is not taken for zero. Where it "
                "is, say `or vector(0)`.",
            )
        if len(values) > 1:
            raise InputError(
                f"it gives {len(values)} series, and one value is wanted.",
                field=name,
                hint=f"Sum over them: sum({query}).",
            )
        return values[0]
