"""plan.json: written whole or not at all, and read back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from shifter.domain.plan import Plan
from shifter.errors import InputError
from shifter.files.places import Loc, Place, json_path, raise_all
from shifter.files.text import PathLike, read_text

MAX_BYTES = 2 * 2**30


def write_plan(plan: Plan, path: PathLike) -> None:
    """Writes plan.json. A reader sees the file that was there or the new one, never a part of either.

    Raises InputError where the file cannot be written.
    """
    write_atomically((*plan.json_parts(), "\n"), path)


def write_atomically(text: str | Iterable[str], path: PathLike) -> None:
    """Writes a text file (or its parts) whole or not at all, through to the disk. Raises InputError."""
    target = Path(path)
    if target.is_dir():
        raise InputError("this is a folder, not a file.", field=str(path), hint="Name a file in it.")
    if not target.parent.is_dir():
        raise InputError(
            f"the folder {target.parent} does not exist.",
            field=str(path),
            hint="Make it, or write elsewhere.",
        )
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fchmod(file.fileno(), _mode(target))
            os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105 - of the same folder, so that it is atomic
        temporary = None
        _sync_folder(target.parent)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            f"the file cannot be written: {reason}.",
            field=str(path),
            hint="Check the disk and the permissions.",
        ) from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those that a new file would get."""
    with suppress(OSError):
        return target.stat().st_mode & 0o777
    mask = os.umask(0o022)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot; the file itself is on the disk
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_plan(path: PathLike) -> Plan:
    """A plan.json. Raises InputError with line and column, or the JSON path, of what is wrong."""
    text = read_text(path, MAX_BYTES)
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        cut_off = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        raise Place(str(path), line=error.lineno, column=error.colno).error(
            f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}.",
            "The file ends too early: is it cut off?" if cut_off else "Is it a plan.json?",
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"this is not a plan: {error}.", field=str(path), hint="Is it a plan.json?"
        ) from None
    return plan_of(raw, str(path))


def plan_of(raw: object, source: str) -> Plan:
    """A plan from plain JSON values. Raises InputError with the JSON path of what is wrong, under
    `source`.
    """
    hint = "Is it a plan.json of this version of shifter?"
    if not isinstance(raw, dict):
        raise InputError("a plan is a JSON object.", field=source, hint=hint)
    try:
        plan = Plan.from_dict(raw)
    except KeyError as error:
        raise InputError(f"`{error.args[0]}` is missing.", field=source, hint=hint) from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise_all(Place(source, json_path(d["loc"])).error(f"{d['msg'].rstrip('.')}.", hint) for d in details)
        raise
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise InputError(f"this is not a plan: {error}.", field=source, hint=hint) from None
    raise_all(Place(source, json_path(loc)).error(what, hint) for loc, what in _unread(raw, plan.to_dict()))
    return plan


def _unread(raw: object, read: object, loc: Loc = ()) -> Iterator[tuple[Loc, str]]:
    """What stands in the JSON, and not in the plan that was read from it: where, and why."""
    if isinstance(raw, dict) and isinstance(read, dict):
        for key, value in raw.items():
            if key in read:
                yield from _unread(value, read[key], (*loc, key))
            else:
                yield (*loc, key), "unknown key."
    elif isinstance(raw, list) and isinstance(read, list):
        if len(raw) != len(read):
            yield loc, "something is listed twice."
            return
        for i, (value, of_plan) in enumerate(zip(raw, read, strict=True)):
            yield from _unread(value, of_plan, (*loc, i))
