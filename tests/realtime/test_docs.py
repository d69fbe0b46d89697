"""The examples of the pages about real-time load."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "concepts"


@pytest.mark.parametrize("page", ["realtime-load.md"])
def test_the_examples_are_right(page: str) -> None:
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert (failed, tried > 8) == (0, True)
