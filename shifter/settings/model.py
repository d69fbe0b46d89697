"""Every setting of shifter: its name, unit, default and meaning, in one place.

`config/shifter.yaml`, `config/shifter.schema.json` and `shifter config check` are made from these models, so
they cannot drift. `shifter.settings.load` reads them from the command line, the environment and a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from forecasts.calibrate import MIN_ROUNDS
from forecasts.learning import BY_DEFAULT, Learning
from forecasts.models.days import MAX_DAYS
from forecasts.series import Signal
from forecasts.slots import SLOT_MINUTES, to_utc
from shifter.domain.fields import Name, Positive
from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.classify.policy import Policy

__all__ = [
    "AdmissionSettings",
    "DispatcherSettings",
    "ForecastSettings",
    "GridEventSettings",
    "LearningSettings",
    "LeaseSettings",
    "LogSettings",
    "PlanningSettings",
    "RealtimeSettings",
    "RetentionSettings",
    "Settings",
    "SourceSettings",
    "TelemetrySettings",
    "VtnSettings",
]

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=8_784, allow_inf_nan=False)]
PlannedSignal = Literal[Signal.PRICE, Signal.CARBON]
ZoneOrAll = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._:/-]*)$", max_length=128)]
Minutes = Annotated[float, Field(ge=1, le=10_080, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What `repr` and logs show: no secret."""
        for name, value in super().__repr_args__():
            yield name, without_secrets(value, name or "")


def _slot_minutes(minutes: int) -> int:
    if minutes not in SLOT_MINUTES:
        raise ValueError(f"must be one of {', '.join(map(str, SLOT_MINUTES))}, not {minutes}")
    return minutes


def _clock(text: str) -> str:
    time, _, speed = text.partition("x")
    try:
        to_utc(datetime.fromisoformat(time))
        ok = not speed or 0 < float(speed) <= 1e6
    except (ValueError, InputError, OverflowError):
        ok = False
    if not ok:
        raise ValueError(
            f"`{text[:60]}` is not a clock: write 2026-01-10T00:00:00Z, or 2026-01-10T00:00:00Zx60"
        )
    return text


def _or_nothing(raw: Any) -> Any:
    """A section within another whose every line is commented out reads as null, too."""
    return {} if raw is None else raw


def _path_or_profile(raw: Any) -> Any:
    return {"path": raw} if isinstance(raw, str) else raw


class SourceSettings(_Section):
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


class DispatcherSettings(_Section):
    """What hands leases to whatever runs the work."""

    name: Name
    """A registered dispatcher: file."""

    options: Mapping[str, Any] = Field(default_factory=dict)
    """What it needs besides, e.g. `path` of file; see docs/concepts/dispatch.md."""


class LearningSettings(_Section):
    """The rules by which forecasts are learnt; `shifter forecasts tune` tells what others would bring."""

    history_days: Annotated[int, Field(ge=7, le=MAX_DAYS)] = BY_DEFAULT.history_days
    """[d] How much of the past our models learn from."""

    past_days: Annotated[int, Field(ge=MIN_ROUNDS, le=MAX_DAYS)] = BY_DEFAULT.past_days
    """[d] Over which what was said is held against what came, for weights and quantiles."""

    adapt_rate: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)] = BY_DEFAULT.adapt_rate
    """How fast quantiles follow what came: more follows sooner, and is less even (0..0.5)."""

    weigh_sources: bool = BY_DEFAULT.weigh_sources
    """Whether sources are weighed against our models by their record; false: a source speaks alone where it speaks."""

    @property
    def rules(self) -> Learning:
        """As forecasts know them."""
        return Learning(**self.model_dump())


class ForecastSettings(_Section):
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

    share_restricted: bool = False
    """Whether `/v1/forecasts` hands out values whose licence forbids passing them on. Only where all who can
    reach it are within what that licence allows.
    """


class RealtimeSettings(_Section):
    """Real-time load: a file of quantiles, or a profile. Neither means that there is none."""

    path: str | None = None
    """A realtime.csv: site, pool, start, end, accelerators_p50, accelerators_pNN."""

    profile: Literal["typical"] | None = None
    """`typical`: a made-up daily shape, always labelled synthetic."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.path is not None and self.profile is not None:
            raise ValueError("has both path and profile: keep one")
        return self


class VtnSettings(_Section):
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
        if self.api_key_file is not None and self.api_key_env is not None:
            raise ValueError("has both api_key_file and api_key_env: keep one")
        if self.client_id is None and (self.api_key_file or self.api_key_env):
            raise ValueError("has a key and no client_id: say whose secret it is")
        if self.site is None and not self.targets:
            raise ValueError("limits no site: give site, or targets")
        return self


class GridEventSettings(_Section):
    """Power limits that a grid tells by itself; others are sent to POST /v1/grid-events."""

    openadr3: tuple[VtnSettings, ...] = ()
    """VTNs of OpenADR 3 whose IMPORT_CAPACITY_LIMIT events are followed; see docs/concepts/daemon.md."""


class PlanningSettings(_Section):
    """The planning grid, and when it is planned anew."""

    horizon_hours: Hours = 48.0
    """[h] How far ahead is planned. It grows on its own up to `max_horizon_hours` where a deadline lies
    further out.
    """

    max_horizon_hours: Hours = 168.0
    """[h] How far the horizon may grow."""

    slot_minutes: Annotated[
        int, AfterValidator(_slot_minutes), Field(json_schema_extra={"enum": list(SLOT_MINUTES)})
    ] = 30
    """[min] Length of one slot: 5, 10, 15, 30 or 60."""

    replan_minutes: Minutes = 30.0
    """[min] A new plan at least this often; new work, forecasts and grid events cause one in between."""

    debounce_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 2.0
    """[s] How long changes are gathered before they cause one new plan."""

    deadline_margin_minutes: Annotated[float, Field(ge=0, le=10_080, allow_inf_nan=False)] = 15.0
    """[min] Work that has twice the time it needs is planned to end this long before its deadline, so that
    running a little slow does not make it late. Other work may use its window to the last second.
    """

    hold_gap_ratio: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] = 0.0025
    """What was announced stands, and only what is new is placed, while the relative gap of the plan that this makes
    is at most this much above that of the last one that was solved. -1 solves every cycle anew.
    """

    cycle_deadline_s: PositiveSeconds = 60.0
    """[s] A cycle that takes longer is abandoned, and the last good plan stays."""

    memory_limit_gib: Annotated[float, Field(ge=0.5, le=65_536, allow_inf_nan=False)] | None = None
    """[GiB] What a planning process may take of memory; there are two, one for plans and one for quotes. A plan that
    would need more is made by a coarser program, or without one, and says so. null: as much as there is.
    """

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.horizon_hours > self.max_horizon_hours:
            raise ValueError(
                f"horizon_hours {self.horizon_hours:g} exceeds max_horizon_hours {self.max_horizon_hours:g}"
            )
        if self.cycle_deadline_s > self.replan_minutes * 60:
            raise ValueError(
                f"cycle_deadline_s {self.cycle_deadline_s:g} exceeds replan_minutes {self.replan_minutes:g}: "
                "a cycle would still run when the next is due"
            )
        return self


class LeaseSettings(_Section):
    """How long a reader may trust what it was told."""

    ttl_s: PositiveSeconds = 900.0
    """[s] An allocation holds this long without being renewed; a reader that lost the daemon follows it until
    then.
    """


class AdmissionSettings(_Section):
    """What a submission waits for."""

    wait_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 10.0
    """[s] A submission waits this long for the plan that holds it; after that it answers `accepted`."""

    max_workloads: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000
    """Live workloads at one time; more are refused."""


class TelemetrySettings(_Section):
    """What measured load is worth."""

    max_age_s: PositiveSeconds = 300.0
    """[s] A pool that reported and fell silent for longer is stale: no less than it last measured counts, for 24 h."""


class RetentionSettings(_Section):
    """How long the store keeps what is over."""

    plans_days: Days = 30.0
    """[d] Earlier plans and their inputs; the current plan is always kept."""

    forecasts_days: Days = 730.0
    """[d] Vintages of forecasts."""

    workloads_days: Days = 90.0
    """[d] Workloads that are done, cancelled or late."""

    telemetry_days: Days = 7.0
    """[d] Measured load and power."""

    events_days: Days = 30.0
    """[d] The event log that `/v1/events` replays."""

    audit_days: Days = 365.0
    """[d] Who did or decided what."""


class LogSettings(_Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""

    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, JSON lines elsewhere."""


class Settings(_Section):
    """Settings of the daemon. Precedence: command line, environment (SHIFTER_...), file, default."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Interface to listen on. Anyone who reaches it may submit work: keep it local, or put a proxy before it.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8321
    """TCP port of the API and the dashboard; 0 takes a free one."""

    allowed_hosts: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = ()
    """Dotted host names under which a proxy may reach this daemon, e.g. shifter.example.com or *.example.com.
    """

    database: Annotated[str, Field(pattern=r"^(sqlite:///|sqlite://$|postgresql\+psycopg://)")] = (
        "sqlite:///shifter.db"
    )
    """URL of the store: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME. A relative FILE is relative
    to the settings file that names it; from the command line, the environment or by default, to where the daemon is
    started. `shifter run` says where it is.
    """

    fleet: Annotated[str, Field(min_length=1)] | None = None
    """The fleet.yaml with sites, pools, batteries and models."""

    realtime: Annotated[
        RealtimeSettings,
        BeforeValidator(_path_or_profile, json_schema_input_type=str | RealtimeSettings),
    ] = Field(default_factory=RealtimeSettings)
    """Real-time load: the path of a realtime.csv, or {profile: typical}."""

    forecasts: ForecastSettings = Field(default_factory=ForecastSettings)
    grid_events: GridEventSettings = Field(default_factory=GridEventSettings)
    planning: PlanningSettings = Field(default_factory=PlanningSettings)
    leases: LeaseSettings = Field(default_factory=LeaseSettings)
    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)

    dispatchers: tuple[DispatcherSettings, ...] = ()
    """Who is handed the leases at every change, e.g. [{name: file, options: {path: orders.json}}]; empty:
    whoever asks the API.
    """

    policy: Mapping[str, Any] = Field(default_factory=dict)
    """What makes a workload real-time or deferrable, as ordered rules: see docs/concepts/classification.md.
    """

    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    clock: Annotated[str, AfterValidator(_clock)] | None = None
    """A simulated clock for replays: T, or TxN to run N times as fast. null: the real time."""

    def classification_policy(self) -> Policy:
        """The policy that `policy` spells; an empty one is the default policy. Raises InputError."""
        from shifter.classify.policy import default_policy, parse_policy

        return parse_policy(self.policy) if self.policy else default_policy()


SECRET = re.compile(r"password|passwd|secret|token|api_?key|credential|authorization|private", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):([^@\s]*)@")


def without_secrets(value: Any, key: str = "") -> Any:
    """The same value for a person to read: what a key calls secret, and passwords in URLs, are `***`."""
    if isinstance(value, Mapping):
        return {k: without_secrets(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(v, key) for v in value]
    if SECRET.search(key) and value is not None:
        return "***"
    return _URL_PASSWORD.sub(r"\1:***@", value) if isinstance(value, str) else value
