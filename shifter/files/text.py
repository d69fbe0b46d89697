"""Bytes of a file as text, or one clear error: missing, a folder, too large, not UTF-8."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shifter.errors import InputError
from shifter.files.places import Place

BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")

PathLike = str | os.PathLike[str]


def read_text(path: PathLike, max_bytes: int) -> str:
    """The text of a UTF-8 file, without its byte order mark. Raises InputError."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if len(raw) > max_bytes:
        raise InputError(
            f"the file is larger than {_megabytes(max_bytes)}.",
            field=str(path),
            hint="Is it the right file? Nothing like this is that large.",
        )
    return decode(raw, str(path))


def read_lines(path: PathLike, max_line_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
    """Each line of a file with its number from 1, and whether it ends as a line should. Raises InputError.

    Reads one line at a time, so that the file may be larger than the memory.
    """
    try:
        with Path(path).open("rb") as file:
            number = 0
            while line := file.readline(max_line_bytes + 1):
                number += 1
                if len(line) > max_line_bytes:
                    raise Place(str(path), line=number).error(
                        f"the line is longer than {_megabytes(max_line_bytes)}.",
                        "Put one workload on a line, and each on a line of its own.",
                    )
                if number == 1:
                    _refuse_utf16(line, str(path))
                    line = line.removeprefix(BOM)
                yield number, line, line.endswith(b"\n")
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def decode(raw: bytes, source: str, line: int = 1) -> str:
    """Bytes that begin on `line` of `source` as text. Raises InputError naming the line that is not UTF-8."""
    _refuse_utf16(raw, source)
    raw = raw.removeprefix(BOM)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before) - before.rfind(b"\n")
        raise Place(source, line=line + before.count(b"\n"), column=column).error(
            f"the byte 0x{raw[error.start]:02x} is not UTF-8.", "Save the file as UTF-8."
        ) from None


def unreadable(path: PathLike, error: Exception) -> InputError:
    """What the operating system said about a file, for a person."""
    if isinstance(error, FileNotFoundError):
        return InputError("there is no such file.", field=str(path), hint="Check the path.")
    if isinstance(error, IsADirectoryError):
        return InputError("this is a folder, not a file.", field=str(path), hint="Name a file in it.")
    if isinstance(error, PermissionError):
        return InputError("this file may not be read.", field=str(path), hint="Check its permissions.")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(
        f"the file cannot be read: {reason}.", field=repr(str(path))[1:-1], hint="Check the path."
    )


def _refuse_utf16(raw: bytes, source: str) -> None:
    if raw.startswith(UTF16):
        raise Place(source, line=1, column=1).error("the file is UTF-16.", "Save the file as UTF-8.")


def _megabytes(count: int) -> str:
    return f"{count / 2**20:g} MiB"
