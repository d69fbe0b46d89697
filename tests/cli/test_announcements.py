"""`shifter realtime announce`, `announcements` and `withdraw`, against a real server on a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shifter.api.app import create_app
from shifter.api.server import ApiServer
from shifter.realtime.announced import AnnouncedLoad
from tests.service.test_announcements import measured
from tests.service.world import HOUR, T0

LAUNCH = ("announce", "launch", "--start", "2026-01-10T08:00:00Z", "--factor", "1.8")


@pytest.fixture
def told(
    sqlite_url: str, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """`shifter realtime ARGS` against a daemon that measures, with a holiday in its settings."""
    world = measured(sqlite_url, announced=[AnnouncedLoad("holiday", T0, T0 + 9 * HOUR, 0.5)])
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TZ", "UTC")
    with ApiServer(create_app(world.service), port=0) as server:
        monkeypatch.setenv("SHIFTER_URL", server.url)
        yield lambda *args: call("realtime", *args)
    world.service.core.db.close()


def test_announced_listed_shown_and_withdrawn(
    told: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(*LAUNCH, "--hours", "10", "--site", "fra") == 0
    words = (
        "launch-20260110T0800 is announced: x 1.8 at fra, from Sat 10 Jan 08:00 UTC to Sat 10 Jan 18:00 UTC."
    )
    assert words in capsys.readouterr().err
    assert told("announcements") == 0
    shown = capsys.readouterr().out
    for word in ("launch-20260110T0800", "x 1.8", "at fra", "holiday", "everywhere", "the settings, fixed"):
        assert word in shown, word
    assert told() == 0
    assert "announced: holiday, x 0.5; announced: launch, x 1.8" in " ".join(capsys.readouterr().err.split())
    assert told("fra/h100") == 0
    assert "p99" in capsys.readouterr().out
    assert told("--json") == 0
    assert capsys.readouterr().out.startswith("[")
    assert told("withdraw", "launch-20260110T0800") == 0
    assert "is withdrawn" in capsys.readouterr().err
    assert told("withdraw", "launch-20260110T0800") == 1
    error = capsys.readouterr().err
    assert "there is no announcement launch-20260110T0800" in error
    assert "realtime announcements`" in error


def test_what_is_wrong_names_the_option(told: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(*LAUNCH) == 2
    assert "give one of --end and --hours" in capsys.readouterr().err
    assert told(*LAUNCH, "--end", "2026-01-10T18:00:00Z", "--hours", "1") == 2
    capsys.readouterr()
    assert told(*LAUNCH, "--hours", "1", "--site", "muc") == 1
    assert "--site" in capsys.readouterr().err
    assert told(*LAUNCH, "--hours", "0") == 2
    assert "--hours: the window ends at" in capsys.readouterr().err
    assert told(*LAUNCH, "--end", "2026-01-10T07:00:00Z") == 2
    assert "--end: the window ends at" in capsys.readouterr().err
    assert told(*LAUNCH[:-1], "1", "--hours", "1") == 2
    assert "neither --factor nor --added-accelerators changes the load" in capsys.readouterr().err
    assert told("muc/h100") == 1
    assert "SITE/POOL: there is no site muc" in capsys.readouterr().err
    assert told("announce", "launch", "--start", "soon", "--hours", "1") == 2
    assert "--start" in capsys.readouterr().err
    assert told("announcements") == 0
    assert "launch" not in capsys.readouterr().out
