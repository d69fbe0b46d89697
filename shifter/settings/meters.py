"""Settings of meters: what the daemon asks by itself for the real-time load that arrives."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from forecasts.sources.base import is_address
from shifter.domain.fields import Name
from shifter.settings.section import PositiveSeconds, Section
from shifter.views.pools import Scv

Address = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
Query = Annotated[str, Field(min_length=1, max_length=10_000)]
EverySeconds = Annotated[float, Field(ge=1, le=3_600, allow_inf_nan=False)]
Timeout = Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)]


def listed(raw: Any) -> Any:
    """In a section that may be a path, pydantic takes no list of what was read for a tuple by itself."""
    return tuple(raw) if isinstance(raw, list) else raw


class _Asked(Section):
    """What all kinds of meters have."""

    every_s: EverySeconds = 10.0
    """[s] How often it is asked."""


class _OfPool(_Asked):
    site: Name
    """Where."""

    pool: Name
    """At which pool of it; all its meters together tell all real-time load of it."""

    timeout_s: Timeout = 5.0
    """[s] It has to answer within this."""

    prompt_scv: Scv = 1.0
    """Variance over squared mean of prompt lengths, by which it is sized."""

    output_scv: Scv = 1.0
    """The same of output lengths."""

    arrival_scv: Scv = 1.0
    """The same of times between arrivals: 1 is a Poisson stream."""


class PrometheusMeterSettings(_OfPool):
    """A Prometheus, asked by instant queries: three rates of a model, or the accelerators that a pool uses."""

    kind: Literal["prometheus"]
    """What is asked."""

    model: Name | None = None
    """Whose requests the three rates are of."""

    url: Address
    """Of the server, without api/v1/query."""

    requests_query: Query | None = None
    """PromQL for requests [1/s], e.g. sum(rate(vllm:request_success_total[1m]))."""

    prompt_tokens_query: Query | None = None
    """PromQL for prompt tokens [1/s]."""

    output_tokens_query: Query | None = None
    """PromQL for output tokens [1/s]."""

    accelerators_query: Query | None = None
    """Or, in place of model and the three: PromQL for the accelerators that all real-time load of the pool uses."""

    api_key_file: Annotated[str, Field(min_length=1)] | None = None
    """A file that holds a bearer token and nothing else, read anew each time; null: none is sent."""

    api_key_env: Annotated[str, Field(min_length=1)] | None = None
    """Or the environment variable that holds it."""

    @property
    def queries(self) -> dict[str, str]:
        """Those that are given, by name."""
        names = (name for name in type(self).model_fields if name.endswith("_query"))
        return {name: query for name in names if (query := getattr(self, name)) is not None}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        rates = self.queries.keys() - {"accelerators_query"}
        if self.accelerators_query is not None:
            if rates or self.model is not None:
                raise ValueError(
                    "has accelerators_query, which tells all: leave out model and the other queries"
                )
        elif len(rates) < 3 or self.model is None:
            raise ValueError(
                "needs model, requests_query, prompt_tokens_query and output_tokens_query, or accelerators_query alone"
            )
        if self.api_key_file is not None and self.api_key_env is not None:
            raise ValueError("has both api_key_file and api_key_env: keep one")
        _check_address("url", self.url)
        return self


class _Scraped(_OfPool):
    model: Name
    """To which model of the fleet the requests are."""

    urls: Annotated[
        tuple[Address, ...],
        BeforeValidator(listed, json_schema_input_type=list[Address]),
        Field(min_length=1, max_length=1000),
    ]
    """The /metrics of each of its servers, e.g. [http://10.0.0.7:8000/metrics]. All have to answer."""

    window_s: PositiveSeconds = 60.0
    """[s] Rates are over this, mean lengths over ten times this; at least twice every_s."""

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        for i, url in enumerate(self.urls):
            _check_address(f"urls[{i}]", url)
            if url in self.urls[:i]:
                raise ValueError(f"urls[{i}] comes twice, and would be counted twice")
        return self


class VllmMeterSettings(_Scraped):
    """Servers of vLLM, scraped."""

    kind: Literal["vllm"]
    """What is scraped."""

    served_model: Annotated[str, Field(min_length=1)] | None = None
    """The label model_name that counts; null: each server has one only."""


class LlamaCppMeterSettings(_Scraped):
    """Servers of llama.cpp that were started with --metrics, scraped. They count no requests."""

    kind: Literal["llama_cpp"]
    """What is scraped."""

    output_tokens: Annotated[float, Field(ge=1, le=1e9, allow_inf_nan=False)]
    """Mean length of an answer [tokens]: so many that are written are one request."""


class CsvMeterSettings(_Asked):
    """A file that grows, of any pools: at,site,pool,model,requests_per_s,prompt_tokens,output_tokens, or
    at,site,pool,realtime_accelerators.
    """

    kind: Literal["csv"]
    """What is read."""

    path: Annotated[str, Field(min_length=1)]
    """Where it is."""


class TypicalMeterSettings(_Asked):
    """Load that is made up for a demonstration, always labelled synthetic: of all pools, around `profile: typical`,
    with a surge every six hours. Nothing is measured; it stands alone.
    """

    kind: Literal["typical"]
    """What makes it up."""

    seed: int = 0
    """Another one makes up another load."""


def check_made_up(profile: str | None, meters: tuple[MeterSettings, ...]) -> None:
    """Raises ValueError where load that is made up would be taken for measured, or stand beside what is."""
    if any(meter.kind == "typical" for meter in meters):
        if profile != "typical":
            raise ValueError("has a meter of kind typical, whose load is made up, without profile: typical")
        if len(meters) > 1:
            raise ValueError("has a meter of kind typical, which makes up all pools, and another one")


def _check_address(name: str, url: str) -> None:
    if not is_address(url):
        raise ValueError(f"{name} is no address that begins with http:// or https://")


MeterSettings = Annotated[
    PrometheusMeterSettings
    | VllmMeterSettings
    | LlamaCppMeterSettings
    | CsvMeterSettings
    | TypicalMeterSettings,
    Field(discriminator="kind"),
]
