"""Prometheus' text, as a server shows it at /metrics: a few figures of it, by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from forecasts.errors import SourceUnavailable
from forecasts.sources.http import HttpClient, excerpt, redact

Series = list[tuple[Mapping[str, str], float]]


def scrape(http: HttpClient, url: str, names: Collection[str]) -> dict[str, Series]:
    """Labels and value of every series of these names; each name has at least one.

    Raises SourceUnavailable where it does not answer, answers with something else, or lacks one of them.
    """
    reply = http.get(url, headers={"Accept": "text/plain; version=0.0.4"})
    if not reply.ok:
        raise SourceUnavailable(
            f"{reply.url} answered {reply.status}.", hint="Is that the address of its /metrics?"
        )
    found = _parsed(reply.body, names, reply.url)
    for name in names:
        if not found[name]:
            others = b"# TYPE" in reply.body
            raise SourceUnavailable(
                f"{redact(url)} shows no {name}.",
                hint="It shows other metrics: is that the server meant, and of a version that has it?"
                if others
                else f"It shows no metrics at all: {excerpt(reply.body)}.",
            )
    return found


def _parsed(body: bytes, names: Collection[str], url: str) -> dict[str, Series]:
    from prometheus_client.parser import text_string_to_metric_families

    wanted = tuple(names)
    text = "\n".join(line for line in body.decode("utf-8", "replace").splitlines() if line.startswith(wanted))
    found: dict[str, Series] = {name: [] for name in names}
    try:
        for family in text_string_to_metric_families(text + "\n"):
            for sample in family.samples:
                if sample.name in found:
                    found[sample.name].append((sample.labels, sample.value))
    except (ValueError, IndexError) as error:
        raise SourceUnavailable(
            f"{url} shows metrics that cannot be read: {error}.", hint="They are not Prometheus' text."
        ) from error
    return found
