"""A headless Chromium for the report."""

from tests.web.conftest import browser

__all__ = ["browser"]
