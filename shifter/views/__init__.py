"""What the service answers: frozen values whose field names are the contract's, and how they become JSON.

The API, the CLI and the dashboard serialise these and nothing else. `to_plain(view)` makes plain JSON values:
datetimes end in Z, mappings and tuples become objects and arrays, and `decided` is written as `class` (which
Python keeps for itself).
"""

from shifter.domain.value import FleetWorth, Slack
from shifter.views.daemon import (
    AuditEntry,
    CycleView,
    Event,
    EventKind,
    Health,
    LearntView,
    ShareView,
    SourceView,
)
from shifter.views.grid import (
    EventPayer,
    EventSide,
    EventSlot,
    GridEventQuote,
    GridEventReport,
    ReportSlot,
    WouldMeet,
)
from shifter.views.loads import AnnouncementView, LoadCoverage, LoadSlot, LoadView, ModelLoad
from shifter.views.plain import to_plain
from shifter.views.pools import Capacity, ModelTraffic, SlotView, TelemetrySample
from shifter.views.reasons import BindingLimit, ChainLink, Explanation, MeanSignals, Quote, QuoteOption
from shifter.views.workloads import (
    LIVE_STATES,
    Admission,
    AdmissionState,
    Lease,
    ProgressSource,
    Submitted,
    WorkloadState,
    WorkloadView,
)

__all__ = [
    "LIVE_STATES",
    "Admission",
    "AdmissionState",
    "AnnouncementView",
    "AuditEntry",
    "BindingLimit",
    "Capacity",
    "ChainLink",
    "CycleView",
    "Event",
    "EventKind",
    "EventPayer",
    "EventSide",
    "EventSlot",
    "Explanation",
    "FleetWorth",
    "GridEventQuote",
    "GridEventReport",
    "Health",
    "LearntView",
    "Lease",
    "LoadCoverage",
    "LoadSlot",
    "LoadView",
    "MeanSignals",
    "ModelLoad",
    "ModelTraffic",
    "ProgressSource",
    "Quote",
    "QuoteOption",
    "ReportSlot",
    "ShareView",
    "Slack",
    "SlotView",
    "SourceView",
    "Submitted",
    "TelemetrySample",
    "WorkloadState",
    "WorkloadView",
    "WouldMeet",
    "to_plain",
]
