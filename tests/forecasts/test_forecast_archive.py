"""Unpacking what somebody else packed."""

from __future__ import annotations

import tracemalloc
import zipfile
from io import BytesIO

import pytest

from forecasts.errors import SourceUnavailable
from forecasts.sources.archive import unzip


def packed(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def unpacked(body: bytes, most_members: int = 3, most_bytes: int = 1000) -> list[tuple[str, bytes]]:
    return unzip(body, "http://x/a.zip", most_members=most_members, most_bytes=most_bytes)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_in_their_order(method: int) -> None:
    members = [("b.csv", b"1,2"), ("a.csv", b""), ("c.csv", b"x" * 1000)]
    assert unpacked(packed(*members, method=method)) == members


def test_folders_are_no_files_and_names_are_only_labels() -> None:
    assert unpacked(packed(("a/", b""), ("../../a.csv", b"1"))) == [("../../a.csv", b"1")]


def test_a_member_without_a_name() -> None:
    assert unpacked(packed(("@", b"1")).replace(b"@", b"\0")) == [("", b"1")]


def test_nothing_in_it() -> None:
    assert unpacked(packed()) == []


def test_too_many_members() -> None:
    body = packed(*((f"{i}.csv", b"") for i in range(4)))
    with pytest.raises(SourceUnavailable, match="4 files, more than 3"):
        unpacked(body)


def test_one_byte_too_many() -> None:
    with pytest.raises(SourceUnavailable, match=r"a\.csv unpacks to more than 1000 bytes"):
        unpacked(packed(("a.csv", b"x" * 1001)))


@pytest.mark.parametrize("says_bytes", [None, 10, 2**31 - 1], ids=["honest", "too little", "too much"])
def test_a_bomb_costs_no_more_than_is_allowed(says_bytes: int | None) -> None:
    """64 MiB of zeros in 64 KiB, whatever it says of its size."""
    body = bytearray(packed(("a.csv", bytes(2**26))))
    if says_bytes is not None:
        directory = body.index(b"PK\x01\x02")
        for at in (22, directory + 24):
            body[at : at + 4] = says_bytes.to_bytes(4, "little")
    tracemalloc.start()
    try:
        with pytest.raises(SourceUnavailable):
            unpacked(bytes(body))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_in_another_way(method: int) -> None:
    with pytest.raises(SourceUnavailable, match="not supported"):
        unpacked(packed(("a.csv", b"1"), method=method))


def test_every_way_to_be_cut_off() -> None:
    body = packed(("a.csv", b"1,2,3\n" * 50), ("b.csv", b"x"))
    for length in range(len(body)):
        with pytest.raises(SourceUnavailable, match="not a whole zip"):
            unpacked(body[:length])


def test_damaged() -> None:
    body = bytearray(packed(("a.csv", b"1,2,3"), method=zipfile.ZIP_STORED))
    body[body.index(b"1,2,3")] = ord("9")
    with pytest.raises(SourceUnavailable, match="CRC"):
        unpacked(bytes(body))


def test_behind_a_password() -> None:
    body = bytearray(packed(("a.csv", b"1,2,3")))
    for at in (6, body.index(b"PK\x01\x02") + 8):
        body[at] |= 1
    with pytest.raises(SourceUnavailable, match="password"):
        unpacked(bytes(body))


def test_a_page_of_html() -> None:
    with pytest.raises(SourceUnavailable, match="Down for maintenance"):
        unpacked(b"<html>Down for maintenance</html>")
