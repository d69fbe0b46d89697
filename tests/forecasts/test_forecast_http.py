from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from forecasts.errors import SourceUnavailable
from forecasts.sources.http import HttpClient, join_url, redact, shared_client, sharing
from forecasts.sources.pace import Retry, RetryPolicy, TokenBucket, in_haste
from forecasts.testing import Asked, FakeTime, ReplyServer, Said


def in_turn(*said: Said) -> Callable[[Asked], Said]:
    """Each of `said` once, the last for ever."""
    left = list(said)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


OK = Said(b'{"fine": true}')


def test_it_says_who_it_is(http: HttpClient, server: ReplyServer) -> None:
    server.reply = in_turn(OK)
    assert http.get_json(server.url + "/a", {"zone": "DE-LU", "unit": "EUR / MWh"}) == (200, {"fine": True})
    (asked,) = server.asked
    assert asked.query == {"zone": "DE-LU", "unit": "EUR / MWh"}
    assert asked.headers["user-agent"].startswith("shifter/")
    assert asked.headers["accept-encoding"] == "gzip"


def test_gzip(http: HttpClient, server: ReplyServer) -> None:
    body = gzip.compress(b"[1, 2]")
    server.reply = in_turn(Said(body, headers={"Content-Encoding": "gzip"}))
    assert http.get_json(server.url)[1] == [1, 2]


def test_retry_after_in_seconds_is_kept(http: HttpClient, server: ReplyServer, fake_time: FakeTime) -> None:
    server.reply = in_turn(Said(status=429, headers={"Retry-After": "20"}), OK)
    assert http.get(server.url).ok
    assert 20 in fake_time.slept
    assert len(server.asked) == 2


def test_retry_after_as_a_date(http: HttpClient, server: ReplyServer, fake_time: FakeTime) -> None:
    at = "Thu, 01 Jan 2026 00:00:30 GMT"  # FakeTime begins at midnight
    server.reply = in_turn(Said(status=503, headers={"Retry-After": at}), OK)
    assert http.get(server.url).ok
    assert 30 in fake_time.slept


def test_a_long_retry_after_is_reported_and_not_slept(
    http: HttpClient, server: ReplyServer, fake_time: FakeTime
) -> None:
    server.reply = in_turn(Said(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceUnavailable, match="3600 s"):
        http.get(server.url)
    assert len(server.asked) == 1
    assert sum(fake_time.slept) < 60


def test_backoff_is_exponential_and_ends(http: HttpClient, server: ReplyServer, fake_time: FakeTime) -> None:
    server.reply = in_turn(Said(status=500))
    with pytest.raises(SourceUnavailable, match="status 500"):
        http.get(server.url)
    assert len(server.asked) == 4
    assert [s for s in fake_time.slept if s >= 1] == [1, 2, 4]  # jitter is 1 in tests


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_change_is_not_asked_again(http: HttpClient, server: ReplyServer, status: int) -> None:
    server.reply = in_turn(Said(b'{"detail": "no"}', status))
    reply = http.get(server.url)
    assert (reply.status, reply.ok, reply.json()) == (status, False, {"detail": "no"})
    assert len(server.asked) == 1


def test_nobody_listens(http: HttpClient) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(SourceUnavailable, match="did not answer"):
        http.get(f"http://127.0.0.1:{port}/?api_key=hush")


def test_a_body_cut_short_is_tried_again(http: HttpClient, server: ReplyServer) -> None:
    server.reply = in_turn(Said(b'{"fine', headers={"Content-Length": "14", "Connection": "close"}), OK)
    assert http.get_json(server.url) == (200, {"fine": True})


def test_the_breaker_opens_and_closes(http: HttpClient, server: ReplyServer, fake_time: FakeTime) -> None:
    server.reply = in_turn(Said(status=500))
    for _ in range(5):
        with pytest.raises(SourceUnavailable, match="did not answer"):
            http.get(server.url)
    asked = len(server.asked)
    with pytest.raises(SourceUnavailable, match="5 calls in a row failed"):
        http.get(server.url)
    assert len(server.asked) == asked, "left in peace"
    fake_time.elapsed_s += 301
    server.reply = in_turn(OK)
    assert http.get(server.url).ok
    assert http.get(server.url).ok


def test_etag(http: HttpClient, server: ReplyServer) -> None:
    def reply(asked: Asked) -> Said:
        if asked.headers.get("if-none-match") == '"v1"':
            return Said(status=304)
        return Said(b'{"v": 1}', headers={"ETag": '"v1"'})

    server.reply = reply
    assert http.get_json(server.url + "/x") == http.get_json(server.url + "/x") == (200, {"v": 1})
    assert "if-none-match" not in server.asked[0].headers
    assert server.asked[1].headers["if-none-match"] == '"v1"'
    http.get(server.url + "/y")
    assert "if-none-match" not in server.asked[2].headers


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_too_large_is_not_read(server: ReplyServer, fake_time: FakeTime, packed: bool) -> None:
    body = b"x" * 300_000
    server.reply = in_turn(
        Said(gzip.compress(body), headers={"Content-Encoding": "gzip"}) if packed else Said(body)
    )
    http = HttpClient(max_bytes=100_000, clock=fake_time.clock, sleep=fake_time.sleep)
    with pytest.raises(SourceUnavailable, match="more than 100000 bytes"):
        http.get(server.url)
    http.close()


@pytest.mark.parametrize("body", [b"<html>down for maintenance</html>", b"", b"\xff\xfe", b'{"cut": '])
def test_not_json(http: HttpClient, server: ReplyServer, body: bytes) -> None:
    server.reply = in_turn(Said(body))
    with pytest.raises(SourceUnavailable, match="not JSON"):
        http.get_json(server.url)


def test_the_hosts_pace(server: ReplyServer, fake_time: FakeTime) -> None:
    server.reply = in_turn(OK)
    http = HttpClient(rates={"127.0.0.1": 1 / 25}, clock=fake_time.clock, sleep=fake_time.sleep)
    for _ in range(4):
        http.get(server.url)
    assert fake_time.elapsed_s == pytest.approx(75)
    http.close()


class TestHaste:
    """What must not keep anybody waiting: once, soon, and at nobody's cost."""

    def test_it_is_tried_once(self, http: HttpClient, server: ReplyServer, fake_time: FakeTime) -> None:
        server.reply = in_turn(Said(status=503))
        for _ in range(9):
            with in_haste(5), pytest.raises(SourceUnavailable, match="status 503"):
                http.get(server.url)
            fake_time.elapsed_s += 60
        assert len(server.asked) == 9, "no failure of these leaves the host in peace"
        server.reply = in_turn(Said(status=503), OK)
        assert http.get(server.url).ok, "afterwards as before"

    def test_it_has_so_long_altogether(self, server: ReplyServer) -> None:
        over = threading.Event()

        def reply(asked: Asked) -> Said:
            over.wait(20)
            return OK

        server.reply, http, began = reply, HttpClient(), time.monotonic()
        with in_haste(0.3):
            for why in ("no answer within 0.3 s", "there is no time left"):
                with pytest.raises(SourceUnavailable, match=why):
                    http.get(server.url)
        assert time.monotonic() - began < 2
        over.set()
        http.close()

    def test_it_waits_for_no_turn_that_comes_too_late(self, server: ReplyServer, fake_time: FakeTime) -> None:
        server.reply = in_turn(OK)
        http = HttpClient(rates={"127.0.0.1": 1 / 25}, clock=fake_time.clock, sleep=fake_time.sleep)
        http.get(server.url)
        with in_haste(5), pytest.raises(SourceUnavailable, match="there is no time left"):
            http.get(server.url)
        assert (len(server.asked), fake_time.elapsed_s) == (1, 0)
        fake_time.elapsed_s = 25
        http.get(server.url)
        assert fake_time.elapsed_s == 25, "the turn was not used up"
        http.close()

    def test_a_body_that_trickles(self, server: ReplyServer) -> None:
        began = time.monotonic()
        with socket.create_server(("127.0.0.1", 0)) as slow:

            def serve() -> None:
                peer, _ = slow.accept()
                with peer, contextlib.suppress(OSError):
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    for _ in range(100):
                        peer.sendall(b" ")
                        time.sleep(0.05)

            trickling = threading.Thread(target=serve, daemon=True)
            trickling.start()
            http = HttpClient()
            with in_haste(0.4), pytest.raises(SourceUnavailable, match="its body took longer than 0"):
                http.get(f"http://127.0.0.1:{slow.getsockname()[1]}/")
            http.close()
            assert time.monotonic() - began < 2
            trickling.join()


def test_a_proxy_that_refuses_says_why(monkeypatch: pytest.MonkeyPatch, fake_time: FakeTime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve() -> None:
            for _ in range(4):
                peer, _ = proxy.accept()
                with peer:
                    peer.recv(4096)
                    peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", f"http://me:hush@127.0.0.1:{proxy.getsockname()[1]}")
        http = HttpClient(clock=fake_time.clock, sleep=fake_time.sleep)
        with pytest.raises(
            SourceUnavailable, match=r"by the proxy \(.*407 Proxy Authentication.*\)\."
        ) as caught:
            http.get("https://grid.example.org/")
        assert "hush" not in str(caught.value)
        http.close()
        serving.join()


class TestTold:
    """Whoever waits hears of each failure after which it is tried again, with the host and why, and no secret."""

    def client(self, fake_time: FakeTime, told: list[Retry], **policy: Any) -> HttpClient:
        return HttpClient(
            retry=RetryPolicy(**policy),
            rates={"127.0.0.1": 1 / 25},
            told=told.append,
            hint="Check the network.",
            clock=fake_time.clock,
            sleep=fake_time.sleep,
            jitter=lambda: 1.0,
        )

    def test_a_host_that_fails(self, server: ReplyServer, fake_time: FakeTime) -> None:
        told: list[Retry] = []
        server.reply = in_turn(Said(status=503), Said(status=429, headers={"Retry-After": "40"}), OK)
        http = self.client(fake_time, told)
        assert http.get(f"{server.url}/a?api_key=hush").ok
        host = server.url.removeprefix("http://")
        assert told == [
            Retry(host, "status 503", 25.0, 3),
            Retry(host, "status 429, and asks to wait 40 s", 40.0, 2),
        ]
        assert fake_time.elapsed_s == pytest.approx(65), "as long as was said"
        http.close()

    def test_nobody_there_is_told_in_words_and_is_not_paced(self, fake_time: FakeTime) -> None:
        """What never heard of us need not be spared: 25 s between two tries would be waited for nothing."""
        told: list[Retry] = []
        http = self.client(fake_time, told, attempts=3, unreached_to_open=1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{free.getsockname()[1]}"
            with pytest.raises(SourceUnavailable) as caught:
                http.get(f"http://{host}/price?securityToken=hush")
            assert [(r.host, r.why, r.wait_s, r.left) for r in told] == [
                (host, "no connection (Connection refused)", 1.0, 2),
                (host, "no connection (Connection refused)", 2.0, 1),
            ]
            assert "did not answer: no connection (Connection refused). Check the network." in str(
                caught.value
            )
            assert "hush" not in f"{told} {caught.value}"
            with pytest.raises(SourceUnavailable, match="is not asked: the last call failed"):
                http.get(f"http://{host}/co2eq")
        assert fake_time.elapsed_s == pytest.approx(3)
        http.close()

    def test_one_that_answers_is_not_left_in_peace_so_soon(
        self, server: ReplyServer, fake_time: FakeTime
    ) -> None:
        """An error is of what was asked: the next question may be answered."""
        http = self.client(fake_time, [], attempts=1, unreached_to_open=1)
        server.reply = lambda asked: OK if asked.path == "/b" else Said(status=500)
        with pytest.raises(SourceUnavailable, match="status 500"):
            http.get(f"{server.url}/a")
        assert http.get(f"{server.url}/b").ok
        http.close()

    def test_a_name_that_is_not_there(self, fake_time: FakeTime) -> None:
        told: list[Retry] = []
        http = self.client(fake_time, told, attempts=2)
        with pytest.raises(SourceUnavailable, match=r"no connection \(.+\)\. Check the network\."):
            http.get("http://nowhere.invalid/a")
        assert [r.host for r in told] == ["nowhere.invalid"]
        http.close()

    def test_the_client_of_this_process_for_a_while(self, fake_time: FakeTime) -> None:
        usual = shared_client()
        mine = self.client(fake_time, [])
        with sharing(mine):
            assert shared_client() is mine
        assert shared_client() is usual
        with pytest.raises(ZeroDivisionError), sharing(mine):
            _ = 1 / 0
        assert shared_client() is usual


def test_token_bucket() -> None:
    fake = FakeTime()
    bucket = TokenBucket(rate=2, burst=3, clock=fake.clock)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    fake.elapsed_s += 100
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5]
    bucket.put_back()
    assert bucket.take() == 0.5
    fake.elapsed_s += 100
    bucket.take()
    for _ in range(5):
        bucket.put_back()
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 0.5], "no more than it holds"


@pytest.mark.parametrize(
    "secret",
    ["?api_key=hush", "?a=1&securityToken=hush&b=2", "?token=hush", "?auth=hush", "?Signature=hush#x"],
)
def test_no_secret_in_an_error(http: HttpClient, server: ReplyServer, secret: str) -> None:
    assert "hush" not in redact(f"Get {server.url}/a{secret}: failed")
    server.reply = in_turn(Said(status=500))
    with pytest.raises(SourceUnavailable) as caught:
        http.get(f"{server.url}/a{secret}")
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(dict(caught.value.facts))


def test_no_password_in_an_error() -> None:
    assert redact("https://user:hush@host/x") == "https://***@host/x"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "host/x", "http://"])
def test_only_http(http: HttpClient, url: str) -> None:
    with pytest.raises(SourceUnavailable, match="not an http"):
        http.get(url)


def test_join_url() -> None:
    assert join_url("https://mirror.example/neso/", "/intensity") == "https://mirror.example/neso/intensity"
    assert join_url("https://a.example?key=1", "b/c") == "https://a.example/b/c?key=1"


def test_policy_is_data(server: ReplyServer, fake_time: FakeTime) -> None:
    server.reply = in_turn(Said(status=502))
    http = HttpClient(retry=RetryPolicy(attempts=1), clock=fake_time.clock, sleep=fake_time.sleep)
    with pytest.raises(SourceUnavailable):
        http.get(server.url)
    assert len(server.asked) == 1
    http.close()


def test_json_with_a_bom(http: HttpClient, server: ReplyServer) -> None:
    said: Any = {"a": 1}
    server.reply = in_turn(Said(b"\xef\xbb\xbf" + json.dumps(said).encode()))
    assert http.get_json(server.url)[1] == said


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_trickles_is_given_up(chunked: bool) -> None:
    """Each byte comes in time, the whole never: the read timeout alone would wait for it for days."""
    asked = 0

    def serve(listening: socket.socket) -> None:
        nonlocal asked
        how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 1000000"
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                asked += 1
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + how + b"\r\n\r\n")
                for _ in range(200):
                    connection.sendall(b"1\r\nx\r\n" if chunked else b"x")
                    time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        http = HttpClient(body_timeout_s=0.3)
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match=r"took longer than 0\.3 s"):
            http.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        assert time.monotonic() - began < 5
        assert asked == 1, "not tried again at once"
        http.close()
        listening.shutdown(socket.SHUT_RDWR)


def test_a_large_body_comes_whole(http: HttpClient, server: ReplyServer) -> None:
    rows = list(range(200_000))
    plain = json.dumps(rows).encode()
    for said in (Said(plain), Said(gzip.compress(plain), headers={"Content-Encoding": "gzip"})):
        server.reply = in_turn(said)
        assert http.get_json(server.url)[1] == rows


def test_a_retry_after_by_another_clock(http: HttpClient, server: ReplyServer, fake_time: FakeTime) -> None:
    """The host's clock is behind ours: its moment is past, and the usual wait holds."""
    at = "Wed, 31 Dec 2025 23:50:00 GMT"
    server.reply = in_turn(Said(status=429, headers={"Retry-After": at}), OK)
    assert http.get(server.url).ok
    assert sum(fake_time.slept) == pytest.approx(1, abs=1)


class TestPost:
    FORM: ClassVar[dict[str, str]] = {"client_id": "me", "client_secret": "hush 7&"}

    def test_a_form_is_the_body(self, http: HttpClient, server: ReplyServer) -> None:
        server.reply = in_turn(OK)
        assert http.post_form(server.url + "/token", self.FORM, {"Accept": "application/json"}).json()
        [asked] = server.asked
        assert (asked.method, asked.path, asked.query) == ("POST", "/token", {})
        assert asked.body == b"client_id=me&client_secret=hush+7%26"
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"

    def test_it_is_tried_again_as_a_get_is(
        self, http: HttpClient, server: ReplyServer, fake_time: FakeTime
    ) -> None:
        server.reply = in_turn(Said(status=503), Said(status=429, headers={"Retry-After": "7"}), OK)
        assert http.post_form(server.url, self.FORM).ok
        assert len({asked.body for asked in server.asked}) == 1
        assert len(server.asked) == 3
        assert 7 in fake_time.slept

    def test_a_refusal_is_an_answer(self, http: HttpClient, server: ReplyServer) -> None:
        server.reply = in_turn(Said(b"no", 401))
        assert http.post_form(server.url, self.FORM).status == 401
        assert len(server.asked) == 1

    def test_the_form_goes_nowhere_else(self, http: HttpClient, server: ReplyServer) -> None:
        for status in (302, 307):
            server.reply = in_turn(Said(status=status, headers={"Location": "/thief"}))
            assert http.post_form(server.url + "/token", self.FORM).status == status
        assert {asked.path for asked in server.asked} == {"/token"}

    def test_nothing_is_remembered_of_it(self, http: HttpClient, server: ReplyServer) -> None:
        server.reply = in_turn(Said(b"{}", headers={"ETag": '"1"'}))
        for _ in range(2):
            http.post_form(server.url, self.FORM)
        http.get(server.url)
        assert not any("if-none-match" in asked.headers for asked in server.asked)

    def test_no_error_repeats_it(self, http: HttpClient, server: ReplyServer) -> None:
        server.reply = in_turn(Said(b"hush 7&", 500))
        with pytest.raises(SourceUnavailable) as caught:
            http.post_form(server.url, self.FORM)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            with pytest.raises(SourceUnavailable) as gone:
                http.post_form(f"http://127.0.0.1:{closed.getsockname()[1]}/token", self.FORM)
        assert "hush" not in f"{caught.value} {caught.value.facts} {gone.value} {gone.value.facts}"
