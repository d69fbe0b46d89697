"""`make demo` in a terminal: Ctrl-C ends the demo, and make with it, as if nothing had gone wrong."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

MAKEFILE = Path(__file__).parents[2] / "Makefile"
STAND_IN = """
import os, signal, sys, time
def say(text):  # a signal may come in the midst of a print, which would not bear another one
    os.write(1, text.encode() + b"\\n")
def end(number, _):
    say("ended by " + signal.Signals(number).name)
    sys.exit({code})
for one in (signal.SIGINT, signal.SIGTERM):
    signal.signal(one, end)
signal.signal(signal.SIGCONT, lambda *_: say("goes on"))
say("is running")
for _ in range(600):
    time.sleep(0.05)  # a signal just before a long sleep would be looked at after it
"""


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvp(command[0], command)
        self.shown = ""

    def wait_for(self, text: str, after: str = "") -> None:
        """Until it is on the screen, below the last `after`."""
        until = time.monotonic() + 20
        while text not in self.shown.rpartition(after)[2] if after else text not in self.shown:
            assert time.monotonic() < until, self.shown
            if select.select([self.screen], [], [], 0.5)[0]:
                self.shown += os.read(self.screen, 4096).decode()

    def press(self, keys: str) -> None:
        """As if they were typed."""
        os.write(self.screen, keys.encode())

    def end(self) -> int:
        """Its exit code, once it has ended; negative for a signal."""
        while True:
            try:
                data = os.read(self.screen, 4096)
            except OSError:  # Linux: nobody is left at the other end
                data = b""
            if not data:
                break
            self.shown += data.decode()
        os.close(self.screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Makefile with the recipe of the real one, whose demo is a stand-in."""
    found = re.search(r"^demo: .*\n\t(.*)$", MAKEFILE.read_text(), re.MULTILINE)
    assert found is not None
    recipe = (
        found[1].replace("$(BIN)/python", sys.executable).replace("$(BIN)/shifter demo $(ARGS)", "./stand-in")
    )
    (tmp_path / "Makefile").write_text(f"demo:\n\t{recipe}\n")
    return tmp_path


def _write(folder: Path, code: int) -> None:
    (folder / "stand-in").write_text(f"#!{sys.executable}\n{STAND_IN.format(code=code)}")
    (folder / "stand-in").chmod(0o755)


@pytest.mark.parametrize("code", [0, 3])
def test_ctrl_c_ends_make_as_the_demo_ends(folder: Path, code: int) -> None:
    _write(folder, code)
    terminal = Terminal(["make", "demo"], folder)
    terminal.wait_for("is running")
    terminal.press("\x03")
    assert terminal.end() == (0 if code == 0 else 2), terminal.shown
    assert "ended by SIGINT" in terminal.shown
    assert ("Error 3" in terminal.shown) is (code == 3)


def test_the_terminal_is_given_back_and_ctrl_z_stops_it(folder: Path) -> None:
    _write(folder, 0)
    terminal = Terminal(["bash", "--norc", "-i"], folder)
    terminal.press("PS1='#':; make demo\n")
    terminal.wait_for("is running")
    terminal.press("\x1a")
    terminal.wait_for("Stopped")
    terminal.wait_for(
        "#:", after="Stopped"
    )  # what is typed before the shell has its terminal back may be lost
    terminal.press("echo $((6*7)); fg\n")
    terminal.wait_for("42")
    terminal.wait_for("goes on", after="42")
    terminal.press("\x03")
    terminal.wait_for("ended by SIGINT")
    terminal.wait_for("#:", after="ended by SIGINT")
    terminal.press("echo code $?; read x; echo read $x\n")
    terminal.wait_for("code 0")
    terminal.press("this\n")
    terminal.wait_for("read this")
    terminal.press("exit\n")
    assert terminal.end() == 0


def test_who_ends_make_ends_the_demo(folder: Path) -> None:
    import signal

    _write(folder, 0)
    terminal = Terminal(["make", "demo"], folder)
    terminal.wait_for("is running")
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.wait_for("ended by SIGTERM")
    assert terminal.end() == -signal.SIGTERM


def test_without_a_terminal_it_is_the_command_itself(folder: Path) -> None:
    import signal
    import subprocess

    _write(folder, 0)
    recipe = (folder / "Makefile").read_text().splitlines()[1].strip().removeprefix("@")
    process = subprocess.Popen(
        ["bash", "-c", recipe],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "is running\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "ended by SIGINT\n"
    assert process.returncode == 0
