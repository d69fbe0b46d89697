"""What shifter is measured by: `make bench DATA=../shared/data`, or `python -m benchmarks --help`.

Each module with a `run` is one benchmark and yields figures, printed beside a target and beside a peer or a
bound that is computed or published elsewhere. No timed test asserts them, and the product imports none of it.

What the product logs while it is measured is no figure: warnings go to the standard error, and the rest nowhere. That
is set up here since processes that benchmarks spawn import this, and no runner.
"""

import sys
from typing import Any

import structlog


def _warnings(_: Any, level: str, line: Any) -> Any:
    if level in {"debug", "info"}:
        raise structlog.DropEvent
    return line


structlog.configure(
    processors=[_warnings, *structlog.get_config()["processors"]],
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # the one of now, which tests replace
)
