"""The app on a port: uvicorn, with streams that end when the server is asked to stop."""

from __future__ import annotations

import errno
import socket
import threading
import time
from types import TracebackType

import uvicorn
from fastapi import FastAPI

from shifter.api.app import close_streams
from shifter.errors import InputError, NotReady

STOP_WAIT_S = 10.0
START_WAIT_S = 30.0


class ApiServer(uvicorn.Server):
    """Serves `app` at `host:port`; port 0 takes a free one, which `url` then names.

    `run()` serves in the foreground and stops on SIGINT and SIGTERM. As a context manager it serves from a
    thread:

        with ApiServer(app, port=0) as server:
            requests.get(f"{server.url}/healthz")
    """

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 8321) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(STOP_WAIT_S),
                timeout_keep_alive=30,
                h11_max_incomplete_event_size=64 * 2**10,
                lifespan="on",
            )
        )
        self.app = app
        self.host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def bind(self) -> None:
        """Take the port. Raises InputError where it is taken or not ours to take."""
        if self._socket is not None:
            return
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        # TCP is named because asyncio switches Nagle's delay off (40 ms an answer) only where it is.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self.host, self._port))
        except OSError as error:
            bound.close()
            nowhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            raise InputError(
                f"cannot listen on {self.host}:{self._port}: {error.strerror or error}.",
                field="host" if nowhere else "port",
                hint="Name an interface of this machine, such as 127.0.0.1."
                if nowhere
                else "Is shifter running already? Choose another with --port, or 0 for any that is free.",
            ) from None
        bound.listen(2048)
        self._socket = bound

    @property
    def port(self) -> int:
        """The port that it listens on, or will."""
        return self._port if self._socket is None else int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where a client on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until asked to stop."""
        self.bind()
        super().run(sockets or [s for s in (self._socket,) if s is not None])

    def start(self) -> None:
        """Serve from a thread; returns once it answers. Raises NotReady where it does not."""
        self.bind()
        self._thread = threading.Thread(target=self.run, name="shifter-http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_WAIT_S
        while not self.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise NotReady("the HTTP server did not start.", hint="Look at the log.")
            time.sleep(0.005)

    def stop(self) -> None:
        """Ask it to stop, and wait until it has."""
        self.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S + 5)
            self._thread = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams first: uvicorn waits for every answer to end, and these have none."""
        close_streams(self.app)
        await super().shutdown(sockets)

    def __enter__(self) -> ApiServer:
        """Serve from a thread."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()
