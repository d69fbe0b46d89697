"""Settings of what comes from the grid: forecasts of price and carbon, how they are learnt from, and power limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from forecasts.calibrate import MIN_ROUNDS
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.models.days import MAX_DAYS
from forecasts.series import Signal
from forecasts.sources.base import is_address
from shifter.domain.fields import Name, Positive
from shifter.settings.section import Hours, Minutes, Section

PlannedSignal = Literal[Signal.PRICE, Signal.CARBON]
HistoryDays = Annotated[int, Field(ge=7, le=MAX_DAYS)]
PastDays = Annotated[int, Field(ge=MIN_ROUNDS, le=MAX_DAYS)]
AdaptRate = Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)]
ZoneOrAll = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._:/-]*)$", max_length=128)]


def _or_nothing(raw: Any) -> Any:
    """A section within another whose every line is commented out reads as null, too."""
    return {} if raw is None else raw


class SourceSettings(Section):
    """One forecast source, and what is asked of it."""

    name: Name
    """A registered source, such as csv, neso or entsoe: `shifter forecasts sources` lists them."""

    zones: tuple[Name, ...] = ()
    """Grid zones to ask it for; empty: every zone of the fleet that it knows."""

    signals: tuple[Signal, ...] = ()
    """Signals to take from it: price, carbon, load, wind, solar; empty: price and carbon. The others are in no plan:
    they are kept for forecasts of price and carbon.
    """

    poll_minutes: Minutes | None = None
    """[min] How often it is asked; null: when something new is due, by what the source says of its publication."""

    shadow: bool = False
    """true: on trial. It is asked, kept and scored as any other, and nothing is planned by it nor learnt from it."""

    options: Mapping[str, Any] = Field(default_factory=dict)
    """What this source needs besides, e.g. `path` of csv; see docs/concepts/forecasts.md."""


class LearningSettings(Section):
    """The rules by which forecasts are learnt; `shifter forecasts tune` tells what others would bring."""

    history_days: HistoryDays = BY_DEFAULT.history_days
    """[d] How much of the past our models learn from: 400 at most, since nothing older is looked at."""

    past_days: PastDays = BY_DEFAULT.past_days
    """[d] Over which what was said is held against what came, for weights and quantiles."""

    adapt_rate: AdaptRate = BY_DEFAULT.adapt_rate
    """How fast quantiles follow what came: more follows sooner, and is less even (0..0.5)."""

    weigh_sources: bool = BY_DEFAULT.weigh_sources
    """Whether sources are weighed against our models by their record; false: a source speaks alone where it speaks."""

    @property
    def rules(self) -> Learning:
        """As forecasts know them."""
        return Learning(**self.model_dump())


class CandidateSettings(Section):
    """Other rules of learning, on trial: of `learning`, only what differs."""

    history_days: HistoryDays | None = None
    """[d] How much of the past our models learn from: 400 at most, since nothing older is looked at; null: as live."""

    past_days: PastDays | None = None
    """[d] Over which what was said is held against what came; null: as live."""

    adapt_rate: AdaptRate | None = None
    """How fast quantiles follow what came (0..0.5); null: as live."""

    weigh_sources: bool | None = None
    """Whether sources are weighed against our models by their record; null: as live."""


class ForecastSettings(Section):
    """Where price and carbon come from."""

    sources: tuple[SourceSettings, ...] = ()
    """In order of preference: where two say something about one slot, the first wins."""

    order: Mapping[ZoneOrAll, Mapping[PlannedSignal, tuple[Name, ...]]] = Field(default_factory=dict)
    """Another order of preference by zone and signal, such as {DE-LU: {price: [entsoe, energy_charts]}}; zone "*" is
    every zone without an entry of its own. Sources that are not named come after, in the order above.
    """

    max_age_hours: Hours = 48.0
    """[h] A vintage older than this is stale: it yields to a source further down that is not. Where there is none it
    is still used, and marked.
    """

    max_age_hours_by_zone: Mapping[ZoneOrAll, Mapping[PlannedSignal, Hours]] = Field(default_factory=dict)
    """[h] The same by zone and signal where it differs, such as {GB: {carbon: 3}}; zone "*" as in `order`."""

    fx: Mapping[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Positive] = Field(default_factory=dict)
    """What one unit of another currency is worth in the fleet's, e.g. {GBP: 1.17}. None is guessed."""

    learn: Literal["on", "shadow", "off"] = "on"
    """Whether months of vintages teach: our models beyond what is published, weights of sources by their record,
    quantiles by what came of it. off: as sources say, and yesterday where they say nothing. shadow: learnt and kept,
    so that it can be scored, and nothing is planned by it.
    """

    history_days: Annotated[float, Field(ge=0, le=365, allow_inf_nan=False)] = 60.0
    """[d] How far back a source that keeps its past is asked once, when it has first answered; 0: never."""

    learning: Annotated[
        LearningSettings, BeforeValidator(_or_nothing, json_schema_input_type=LearningSettings)
    ] = Field(default_factory=LearningSettings)

    candidate: CandidateSettings | None = None
    """Other rules on trial beside those of `learning`, such as {past_days: 90, adapt_rate: 0.05}: forecasts are also
    learnt by them, and what would have been planned by is kept and scored as the source shifter:candidate. Nothing is
    planned by it. It doubles what learning costs; null: none.
    """

    share_restricted: bool = False
    """Whether `/v1/forecasts` hands out values whose licence forbids passing them on. Only where all who can
    reach it are within what that licence allows.
    """

    @property
    def candidate_rules(self) -> Learning | None:
        """The rules on trial: where they say nothing, those in force. None where there are none."""
        if self.candidate is None:
            return None
        return replace(self.learning.rules, **self.candidate.model_dump(exclude_none=True))

    @model_validator(mode="after")
    def _tries_something(self) -> Self:
        if self.candidate_rules == self.learning.rules:
            raise ValueError(
                "candidate differs in nothing from learning: change a field of it, or take it out if it is in force now"
            )
        return self


class VtnSettings(Section):
    """A VTN of OpenADR 3 that tells how much a site may draw."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    """What it is called here: its grid events, their audit and its health are of `openadr3:<name>`."""

    base_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    """Where it is, with all before /programs."""

    ask_targets: bool = True
    """Whether events are asked for by target, as 3.1 wants it; false for a VTN of 3.0, which shows an account all."""

    client_id: Annotated[str, Field(min_length=1)] | None = None
    """The client's id; null: nobody logs in."""

    api_key_file: Annotated[str, Field(min_length=1)] | None = None
    """A file that holds the client's secret and nothing else, read anew for each token."""

    api_key_env: Annotated[str, Field(min_length=1)] | None = None
    """Or the environment variable that holds it; neither: OPENADR3_CLIENT_SECRET."""

    token_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    """Where tokens are given; null: auth/token of base_url."""

    scope: str | None = None
    """What to ask for with a token, where the VTN wants one."""

    programs: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Names or ids of the programs to follow; empty: all that may be read."""

    site: Name | None = None
    """The site that events without targets limit; null: none."""

    targets: Mapping[Annotated[str, Field(min_length=1)], Name] = Field(default_factory=dict)
    """The site that each target limits (a target of 3.1, or a value of one of 3.0), e.g. {meter-17: frankfurt}."""

    poll_s: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = 60.0
    """[s] How often it is asked."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("base_url", "token_url"):
            if (url := getattr(self, name)) is not None and not is_address(url):
                raise ValueError(f"{name} is no address that begins with http:// or https://")
        if self.api_key_file is not None and self.api_key_env is not None:
            raise ValueError("has both api_key_file and api_key_env: keep one")
        if self.client_id is None and (self.api_key_file or self.api_key_env):
            raise ValueError("has a key and no client_id: say whose secret it is")
        if self.site is None and not self.targets:
            raise ValueError("limits no site: give site, or targets")
        return self


class GridEventSettings(Section):
    """What a grid asks by itself, or in a file; other grid events are sent to POST /v1/grid-events."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """A file of grid events (.jsonl, or a YAML or JSON list), followed as it changes; null: none."""

    openadr3: tuple[VtnSettings, ...] = ()
    """VTNs of OpenADR 3 whose IMPORT_CAPACITY_LIMIT events are followed; see docs/concepts/grid-events.md."""
