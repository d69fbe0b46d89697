"""How this command line is called from where a person stands, so that every hint works as typed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from shifter.cli.options import DEFAULT_URL

NAME = "shifter"
_QUOTED = re.compile(rf"(?<=`){NAME}(?= )")


def program() -> str:
    """`shifter` where that finds this very installation, else the path to it: from here, where it lies below."""
    script = _script()
    if script is None:
        return f"{_from_here(Path(sys.executable))} -m {NAME}"
    found = shutil.which(NAME)
    if found is not None and Path(found).resolve() == script.resolve():
        return NAME
    return _from_here(script)


def command(*args: str, url: str | None = None) -> str:
    """A command to type; where it talks to a daemon, the one at `url`, named where it is not the usual one."""
    usual = os.environ.get("SHIFTER_URL") or DEFAULT_URL
    at = [] if url in (None, usual) else ["--url", url]
    return f"{program()} {shlex.join([*args, *at])}"


def as_typed(text: str) -> str:
    """The text with its commands (`shifter slots`, in backticks) as they are typed here."""
    return _QUOTED.sub(lambda _: program(), text)


def _script() -> Path | None:
    """The installed command that this process is, or belongs to."""
    for file in (Path(sys.argv[0]), Path(sys.executable).parent / NAME):
        if file.name == NAME and file.is_file():
            return file.absolute()
    return None


def _from_here(file: Path) -> str:
    here = os.path.relpath(file)
    if here.startswith(os.pardir):
        here = str(file)
    return shlex.quote(here if os.sep in here else f"{os.curdir}{os.sep}{here}")
