"""Every setting of shifter: its name, unit, default and meaning; those of the grid are in `grid`.

`config/shifter.yaml`, `config/shifter.schema.json` and `shifter config check` are made from these models, so
they cannot drift. `shifter.settings.load` reads them from the command line, the environment and a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from forecasts.slots import SLOT_MINUTES, to_utc
from shifter.domain.fields import Name, NonNegative, Utc
from shifter.errors import InputError
from shifter.settings.grid import ForecastSettings, GridEventSettings
from shifter.settings.meters import MeterSettings, check_made_up, listed
from shifter.settings.section import Days, Hours, Minutes, PositiveSeconds, Section

if TYPE_CHECKING:
    from shifter.classify.policy import Policy


def _slot_minutes(minutes: int) -> int:
    if minutes not in SLOT_MINUTES:
        raise ValueError(f"must be one of {', '.join(map(str, SLOT_MINUTES))}, not {minutes}")
    return minutes


def _plain_file(url: str) -> str:
    """Lock, backup and messages name the file: SQLite's own file: URLs would hide which it is."""
    if url.startswith("sqlite:///file:"):
        raise ValueError("names a file: URL of SQLite: give the path alone, as sqlite:///shifter.db")
    return url


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


def _path_or_profile(raw: Any) -> Any:
    return {"path": raw} if isinstance(raw, str) else raw


# In a section that may be a path, pydantic is strict with what was read from JSON already: only as it reads JSON itself
# does it take a list for a tuple, and text for a date.


def _listed(raw: Any) -> Any:
    return tuple(raw) if isinstance(raw, list) else raw


def _date(raw: Any) -> Any:
    return date.fromisoformat(raw) if isinstance(raw, str) else raw


def _moment(raw: Any) -> Any:
    return datetime.fromisoformat(raw) if isinstance(raw, str) else raw


LocalDate = Annotated[date, BeforeValidator(_date, json_schema_input_type=date)]
Moment = Annotated[Utc, BeforeValidator(_moment, json_schema_input_type=datetime)]


class DispatcherSettings(Section):
    """What hands leases to whatever runs the work."""

    name: Name
    """A registered dispatcher: file."""

    options: Mapping[str, Any] = Field(default_factory=dict)
    """What it needs besides, e.g. `path` of file; see docs/concepts/dispatch.md."""


PRIORS = ("whole_pool", "typical")


class AnnouncedSettings(Section):
    """What is known to come: in `[start, end)` the load is `factor` times as much, and `added_accelerators` more."""

    name: Name
    """How it is called where it is told."""

    start: Moment
    """From when on."""

    end: Moment
    """Until when, exclusive."""

    factor: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)] = 1.0
    """How many times the load that there would be."""

    added_accelerators: NonNegative = 0.0
    """So many more, in each pool that is concerned."""

    site: Name | None = None
    """Of this site only."""

    pool: Name | None = None
    """Of the pools of this name only."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.end <= self.start:
            raise ValueError("ends no later than it starts")
        return self


class RealtimeSettings(Section):
    """Real-time load: a file of quantiles, or a profile. Neither means that there is none."""

    path: str | None = None
    """A realtime.csv: site, pool, start, end, accelerators_p50, accelerators_pNN."""

    profile: Literal["typical", "measured"] | None = None
    """`typical`: a made-up daily shape, always labelled synthetic. `measured`: forecast from what POST /v1/telemetry
    measures.
    """

    prior: Annotated[str, Field(min_length=1)] = "whole_pool"
    """With `measured`, what is held until a week was measured, less of it day by day: `whole_pool`, `typical`, or
    the path of a realtime.csv.
    """

    holidays: Annotated[
        tuple[LocalDate, ...], BeforeValidator(_listed, json_schema_input_type=tuple[date, ...])
    ] = ()
    """With `measured`, local dates that are as Sundays."""

    announced: Annotated[
        tuple[AnnouncedSettings, ...],
        BeforeValidator(_listed, json_schema_input_type=tuple[AnnouncedSettings, ...]),
    ] = ()
    """With `measured`, what is known to come, e.g. [{name: launch, start: 2026-11-27T00:00:00Z, end:
    2026-11-28T00:00:00Z, factor: 1.8, site: frankfurt}].
    """

    meters: Annotated[
        tuple[MeterSettings, ...], BeforeValidator(listed, json_schema_input_type=tuple[MeterSettings, ...])
    ] = ()
    """What the daemon asks by itself for the load that arrives, beside POST /v1/telemetry; see docs/concepts/meters.md.
    """

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.path is not None and self.profile is not None:
            raise ValueError("has both path and profile: keep one")
        if self.profile != "measured":
            for name in ("prior", "holidays", "announced"):
                if name in self.model_fields_set:
                    raise ValueError(f"has {name} without profile: measured, which alone looks at it")
        check_made_up(self.profile, self.meters)
        return self


class PlanningSettings(Section):
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


class LeaseSettings(Section):
    """How long a reader may trust what it was told."""

    ttl_s: PositiveSeconds = 900.0
    """[s] An allocation holds this long without being renewed; a reader that lost the daemon follows it until
    then.
    """


class AdmissionSettings(Section):
    """What a submission waits for."""

    wait_s: Annotated[float, Field(ge=0, le=3_600, allow_inf_nan=False)] = 10.0
    """[s] A submission waits this long for the plan that holds it; after that it answers `accepted`."""

    max_workloads: Annotated[int, Field(ge=1, le=10_000_000)] = 1_000_000
    """Live workloads at one time; more are refused."""


class TelemetrySettings(Section):
    """What measured load is worth."""

    max_age_s: PositiveSeconds = 300.0
    """[s] A pool that reported and fell silent for longer is stale: no less than it last measured counts, for 24 h."""


class GuardSettings(Section):
    """What happens between plans when real-time load outgrows what is planned for it."""

    hold_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 300.0
    """[s] Work that yielded comes back once measured load has been low enough for this long."""


class RetentionSettings(Section):
    """How long the store keeps what is over."""

    plans_days: Days = 30.0
    """[d] Earlier plans and their inputs; the current plan is always kept."""

    forecasts_days: Days = 730.0
    """[d] Vintages of forecasts."""

    workloads_days: Days = 90.0
    """[d] Workloads that are done, cancelled or late."""

    telemetry_days: Days = 7.0
    """[d] Measured load and power, each sample."""

    load_days: Days = 400.0
    """[d] Measured real-time load by five minutes, which its forecast is learnt from."""

    events_days: Days = 30.0
    """[d] The event log that `/v1/events` replays."""

    audit_days: Days = 365.0
    """[d] Who did or decided what."""


class LogSettings(Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""

    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, JSON lines elsewhere."""


class Settings(Section):
    """Settings of the daemon. Precedence: command line, environment (SHIFTER_...), file, default."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    """Interface to listen on. Anyone who reaches it may submit work: keep it local, or put a proxy before it.
    """

    port: Annotated[int, Field(ge=0, le=65_535)] = 8321
    """TCP port of the API and the dashboard; 0 takes a free one."""

    allowed_hosts: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = ()
    """Dotted host names under which a proxy may reach this daemon, e.g. shifter.example.com or *.example.com.
    """

    database: Annotated[
        str, Field(pattern=r"^(sqlite:///|sqlite://$|postgresql\+psycopg://)"), AfterValidator(_plain_file)
    ] = "sqlite:///shifter.db"
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
    """Real-time load: the path of a realtime.csv, {profile: typical}, or {profile: measured}, a forecast from telemetry
    with `prior`, `holidays` and `announced`; and `meters` that are asked for it; see docs/concepts/realtime-load.md.
    """

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
    guard: GuardSettings = Field(default_factory=GuardSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    clock: Annotated[str, AfterValidator(_clock)] | None = None
    """A simulated clock for replays: T, or TxN to run N times as fast. null: the real time."""

    def classification_policy(self) -> Policy:
        """The policy that `policy` spells; an empty one is the default policy. Raises InputError."""
        from shifter.classify.policy import default_policy, parse_policy

        return parse_policy(self.policy) if self.policy else default_policy()
