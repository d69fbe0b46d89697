"""A planning process that hangs, dies or breaks the contract while a file says so, and else plans as it
should.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from shifter.domain.effort import Effort
from shifter.errors import PlanRejected
from shifter.planner import _plan_text, serve


def plan_text(text: str, effort: Effort) -> str:
    """A plan, or the trouble that the file names."""
    flag = Path(sys.argv[1])
    trouble = flag.read_text() if flag.exists() else ""
    if trouble == "hang":
        time.sleep(600)
    if trouble == "die":
        os._exit(139)
    if trouble == "reject":
        raise PlanRejected("the plan breaks 1 conditions.", violations=["capacity: fra/h100: over by 3"])
    return _plan_text(text, effort)


if __name__ == "__main__":
    serve(plan_text)
