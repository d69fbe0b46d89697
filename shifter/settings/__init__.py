"""Settings: what they are (`model`), where they come from (`load`), and their documented file
(`reference`).
"""

from shifter.settings.check import Problem, check_config
from shifter.settings.grid import ForecastSettings, SourceSettings
from shifter.settings.load import Provenance, load_settings, settings_provenance
from shifter.settings.model import (
    AdmissionSettings,
    LeaseSettings,
    LogSettings,
    PlanningSettings,
    RealtimeSettings,
    RetentionSettings,
    Settings,
    TelemetrySettings,
)
from shifter.settings.schema import json_schema
from shifter.settings.section import without_secrets

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
