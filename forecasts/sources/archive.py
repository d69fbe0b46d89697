"""Zips that arrive as a reply, unpacked in memory and never onto the disk: a member's name is only a label."""

from __future__ import annotations

import zipfile
import zlib
from io import BytesIO

from forecasts.errors import SourceUnavailable
from forecasts.sources.http import excerpt

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members may be packed: the others unpack in one go, however much comes out."""


def unzip(body: bytes, what: str, *, most_members: int, most_bytes: int) -> list[tuple[str, bytes]]:
    """The files in the zip `body`, each as its name and its bytes, in their order.

    `what`, such as a URL, names the zip in errors. Raises SourceUnavailable where it is not a zip, cut off or
    damaged, where it has more than `most_members` members, and where one unpacks to more than `most_bytes`.
    """
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            members = archive.infolist()
            if len(members) > most_members:
                raise SourceUnavailable(
                    f"{what} holds {len(members)} files, more than {most_members}.",
                    hint="No forecast does: check the URL.",
                )
            files = [
                m for m in members if not m.filename.endswith("/")
            ]  # is_dir() fails where there is no name
            return [(m.filename, _read(archive, m, what, most_bytes)) for m in files]
    # An unknown way to pack is a NotImplementedError, a password a RuntimeError, a member cut off an EOFError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as e:
        raise SourceUnavailable(
            f"{what} answered with something that is not a whole zip ({e}): {excerpt(body)}",
            hint="Cut off, or a page of HTML in its place; it is asked again at the next poll.",
        ) from e


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str, most_bytes: int) -> bytes:
    if member.compress_type not in _METHODS:
        raise NotImplementedError(f"{member.filename} is packed in a way that is not supported")
    with archive.open(member) as file:
        data = file.read(most_bytes + 1)  # what it says of its own size may be a lie
    if len(data) > most_bytes:
        raise SourceUnavailable(
            f"{what}: {member.filename} unpacks to more than {most_bytes} bytes.",
            hint="No forecast is so large: check the URL.",
        )
    return data
