"""The one façade over everything the product does: the API, the demo and the tests call this and nothing
below it.
"""

from __future__ import annotations

from shifter.service.config import ServiceConfig
from shifter.service.facade import Service

__all__ = ["Service", "ServiceConfig"]
