"""Meters: what the daemon asks by itself for the real-time load that arrives; one file a kind."""

from collections.abc import Callable, Mapping

from shifter.meters.base import Meter, Place, Told
from shifter.meters.csv import CsvMeter
from shifter.meters.llama_cpp import LlamaCppMeter
from shifter.meters.polling import Metering
from shifter.meters.prometheus import PrometheusMeter
from shifter.meters.typical import TypicalMeter
from shifter.meters.vllm import VllmMeter

KINDS: Mapping[str, Callable[..., Meter]] = {
    "prometheus": PrometheusMeter,
    "vllm": VllmMeter,
    "llama_cpp": LlamaCppMeter,
    "csv": CsvMeter,
    "typical": TypicalMeter,
}
"""A kind more is a file more, a line here, and its settings."""

__all__ = ["KINDS", "Meter", "Metering", "Place", "Told"]
