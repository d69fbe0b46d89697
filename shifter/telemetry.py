"""Logs and metrics: what happens, as lines; what is now, as Prometheus gauges. What is planned is in our
own JSON.

Names follow Prometheus' practice: base units in the name, counters end in `_total`. Every daemon has a
registry of its own, so that several can live in one process.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import IO, Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

CYCLE_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
BEAT_JOB = "beat"
"""What the daemon's regular look at what time brings is called among its jobs."""
_SECRET_KEY = re.compile(r"pass|secret|token$|api_?key|authorization|credential|private", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):([^@\s]*)@")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+")
_QUERY = re.compile(r"(?i)([?&](?:[a-z_]*(?:token|key|secret|password))=)[^&\s]+")


def redact(value: Any, key: str = "") -> Any:
    """The same value without what must not be logged.

    >>> redact({"api_key": "abc", "url": "https://me:pw@host/x?securityToken=s3"})
    {'api_key': '***', 'url': 'https://me:***@host/x?securityToken=***'}
    """
    if key and _SECRET_KEY.search(key) and value is not None:
        return "***"
    if isinstance(value, Mapping):
        return {k: redact(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(v) for v in value]
    if isinstance(value, str):
        value = _URL_PASSWORD.sub(r"\1:***@", value)
        return _QUERY.sub(r"\1***", _BEARER.sub(r"\1 ***", value))
    return value


def _redact_line(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {k: redact(v, k) for k, v in line.items()}


def configure_logging(
    level: str = "info",
    style: Literal["auto", "text", "json"] = "auto",
    stream: IO[str] | None = None,
) -> None:
    """Lines to the standard error: for people on a terminal, JSON elsewhere; secrets are never in them.

    What the libraries log through `logging` goes the same way.
    """
    out = stream or sys.stderr
    as_text = style == "text" or (style == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact_line,
    ]
    # Without the variables of each frame: they may hold anything, and to print them takes seconds.
    plain = structlog.dev.plain_traceback
    as_data = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    last: list[Any] = (
        [
            structlog.processors.format_exc_info,
            _redact_line,
            structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=plain),
        ]
        if as_text
        else [
            structlog.processors.ExceptionRenderer(as_data),
            _redact_line,
            structlog.processors.JSONRenderer(default=str),
        ]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("apscheduler", "urllib3", "alembic", "sqlalchemy.engine"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("apscheduler.scheduler").addFilter(_is_news)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the scheduler says more than that a beat waits for the one before it.

    With a fast clock beats are due more often than a busy machine can do them, and a lease bears some that are late.
    One that is late for longer than that is told as a fault: `service.health`.
    """
    job = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return getattr(job, "id", None) != BEAT_JOB or "maximum number of running instances" not in record.msg


def get_logger(name: str) -> Any:
    """A structured logger: `log.info("what happened", key=value)`."""
    return structlog.stdlib.get_logger(name)


class Metrics:
    """Everything that is counted while it happens; gauges of the moment come from `watch`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.cycle_seconds = Histogram(
            "shifter_cycle_duration_seconds",
            "Real time a planning cycle took, by what became of it.",
            ["outcome"],
            buckets=CYCLE_BUCKETS_S,
            registry=self.registry,
        )
        self.learning_seconds = Histogram(
            "shifter_learning_duration_seconds",
            "Real time that learning from vintages took, by what became of it.",
            ["outcome"],
            buckets=CYCLE_BUCKETS_S,
            registry=self.registry,
        )
        self.cycle_failures = Counter(
            "shifter_cycle_failures_total",
            "Planning cycles that published nothing, by the error's code.",
            ["code"],
            registry=self.registry,
        )
        self.events = Counter(
            "shifter_events_total", "Events told, by kind.", ["kind"], registry=self.registry
        )
        self.ingests = Counter(
            "shifter_forecast_ingests_total",
            "Fetches of forecast sources, by source and outcome.",
            ["source", "outcome"],
            registry=self.registry,
        )

    def watch(self, reader: GaugeReader) -> None:
        """Read `reader` whenever the metrics are asked for, so that what is told is what is now."""
        self.registry.register(reader)


class GaugeReader:
    """A collector: each scrape calls `read`, which yields (name, help, labels, value)."""

    def __init__(self, read: Any) -> None:
        self._read = read

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not read anything."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The gauges of this moment."""
        from prometheus_client.core import GaugeMetricFamily

        families: dict[str, GaugeMetricFamily] = {}
        for name, text, labels, value in self._read():
            family = families.get(name)
            if family is None:
                family = families[name] = GaugeMetricFamily(name, text, labels=tuple(labels))
            family.add_metric(tuple(str(v) for v in labels.values()), float(value))
        yield from families.values()


__all__ = ["BEAT_JOB", "Gauge", "GaugeReader", "Metrics", "configure_logging", "get_logger", "redact"]
