"""`python -m shifter.demo.foreground COMMAND...`: the command alone in the terminal's foreground, for `make demo`.

Ctrl-C goes to every process of the foreground group. make would end with 130 of it, however well the demo ends; so
the demo gets a group of its own and the terminal, until it ends or is stopped with Ctrl-Z.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

TERMINAL = 0
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(command: list[str]) -> None:
    """Runs it, and ends as it does; without a terminal of ours to hand over, it takes the place of this process."""
    if not (os.isatty(TERMINAL) and os.tcgetpgrp(TERMINAL) == os.getpgrp()):
        os.execvp(command[0], command)
    code = run(command)
    sys.exit(code if code >= 0 else 128 - code)


def run(command: list[str]) -> int:
    """The exit code of the command, negative where a signal ended it."""
    child = os.posix_spawnp(command[0], command, os.environ, setpgroup=0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # or taking the terminal back would stop this process

    def pass_on(number: int, _frame: Any) -> None:
        os.kill(child, number)

    for one in PASSED_ON:
        signal.signal(one, pass_on)
    while True:
        os.tcsetpgrp(TERMINAL, child)
        os.killpg(child, signal.SIGCONT)
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(TERMINAL, os.getpgrp())
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.killpg(os.getpgrp(), signal.SIGTSTP)  # make too, so that the shell has its turn; `fg` goes on here


if __name__ == "__main__":
    main(sys.argv[1:])
