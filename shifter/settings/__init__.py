"""Settings: what they are (`model`), where they come from (`load`), and their documented file
(`reference`).
"""

from shifter.settings.check import Problem, check_config
from shifter.settings.load import Provenance, load_settings, settings_provenance
from shifter.settings.model import (
    AdmissionSettings,
    ForecastSettings,
    LeaseSettings,
    LogSettings,
    PlanningSettings,
    RealtimeSettings,
    RetentionSettings,
    Settings,
    SourceSettings,
    TelemetrySettings,
    without_secrets,
)
from shifter.settings.schema import json_schema

__all__ = [
    "AdmissionSettings",
    "ForecastSettings",
    "LeaseSettings",
    "LogSettings",
    "PlanningSettings",
    "Problem",
    "Provenance",
    "RealtimeSettings",
    "RetentionSettings",
    "Settings",
    "SourceSettings",
    "TelemetrySettings",
    "check_config",
    "json_schema",
    "load_settings",
    "settings_provenance",
    "without_secrets",
]
