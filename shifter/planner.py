"""Who runs `plan_cycle`: this process, or one of its own that can be killed when a solver hangs.

A worker process is kept warm, because importing the solver takes seconds. It is given a snapshot's text and
answers a plan's text over its standard streams, and nothing else goes between the two: so every plan is made
from exactly what is stored, and a replay of that text is the same computation. One that overruns its deadline
is killed, and the next request starts another. One that dies, of its memory as a rule, is asked once more with
less effort (`Effort`), so that there is a plan all the same, which says so.
"""

from __future__ import annotations

import json
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO, Protocol

from shifter import errors
from shifter.domain.effort import Effort
from shifter.domain.plan import Plan
from shifter.errors import ShifterError, SolverFailed

START_TIMEOUT_S = 120.0
NICENESS = 10
"""Of a planning process: a plan may come a little later, an answer and a stop may not."""
MORE_MEMORY = "The last good plan stands. Raise planning.memory_limit_gib, if that is what ran out."
_HEADER = struct.Struct(">cQ")
_READY, _PLAN, _ERROR = b"R", b"P", b"E"
_REQUESTS = {b"W": Effort.WHOLE, b"C": Effort.COARSE, b"G": Effort.GREEDY}


class Planner(Protocol):
    """Makes a plan from the text of a snapshot (`shifter.store.snapshots.inputs_to_json`)."""

    def plan(self, inputs_text: str, deadline_s: float) -> Plan:
        """Raises SolverFailed (also when `deadline_s` real seconds pass), PlanRejected, InputError."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class InProcessPlanner:
    """Plans in the caller's thread: for tests, one plan at a time. A hanging solver hangs its caller."""

    def plan(self, inputs_text: str, deadline_s: float) -> Plan:
        """As `Planner.plan`; `deadline_s` only bounds what the solver bounds by itself."""
        return Plan.from_json(_plan_text(inputs_text))

    def close(self) -> None:
        """Nothing to let go."""


class _Died(SolverFailed):
    """The planning process ended in the midst of it."""


class WorkerPlanner:
    """Plans in a process of its own, one request at a time, started when it is first needed."""

    def __init__(self, command: Sequence[str] | None = None, memory_limit_gib: float | None = None) -> None:
        self._command = list(command or (sys.executable, "-m", "shifter.planner"))
        if memory_limit_gib is not None:
            self._command.append(f"--memory-limit-gib={memory_limit_gib:g}")
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.restarts = 0
        """How often a process was killed, or found dead."""

    def plan(self, inputs_text: str, deadline_s: float) -> Plan:
        """As `Planner.plan`. A process that dies of it is asked again for less, while there is time."""
        with self._lock:
            kind, body = self._answer(inputs_text.encode(), deadline_s)
        if kind == _ERROR:
            raise error_from_dict(json.loads(body))
        return Plan.from_json(body.decode())

    def _answer(self, inputs: bytes, deadline_s: float) -> tuple[bytes, bytes]:
        self._started()
        ends = time.monotonic() + deadline_s
        died: _Died | None = None
        for request in _REQUESTS:
            if died is not None and time.monotonic() >= ends:
                break
            try:
                return self._ask(_frame(request, inputs), ends, deadline_s)
            except _Died as error:
                died = error
            except SolverFailed as late:
                raise died or late from None
        assert died is not None
        raise died

    def _ask(self, request: bytes, ends: float, deadline_s: float) -> tuple[bytes, bytes]:
        process = self._started()
        try:
            return _exchange(process, request, ends)
        except TimeoutError:
            self._kill()
            raise SolverFailed(
                f"the cycle took longer than its {deadline_s:g} s, and was stopped.",
                hint="The last good plan stands. Raise planning.cycle_deadline_s if the fleet has grown.",
                deadline_s=deadline_s,
            ) from None
        except (OSError, EOFError) as error:
            self._kill()
            raise _Died(
                f"the planning process ended without an answer ({error}).",
                hint=MORE_MEMORY,
            ) from error

    def warm_up(self) -> None:
        """Start the process now, so that the first plan does not wait for it."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """Stop the process, even in the midst of a plan: a stop never waits for a solver."""
        self._closed = True
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
        with self._lock:
            self._kill(count=False)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._kill()
        if self._closed:
            raise SolverFailed("the planner is closed.")
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
            try:
                _exchange(self._process, b"", time.monotonic() + START_TIMEOUT_S)
            except (OSError, EOFError, TimeoutError) as error:
                self._kill()
                raise SolverFailed(f"the planning process did not start ({error}).") from error
        return self._process

    def _kill(self, count: bool = True) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self.restarts += count
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def error_to_dict(error: Exception) -> dict[str, object]:
    """An error as plain JSON values, for another process."""
    if isinstance(error, ShifterError):
        facts = json.loads(json.dumps(dict(error.facts), default=str))
        kind = type(error).__name__
        return {
            "kind": kind,
            "detail": error.detail,
            "hint": error.hint,
            "field": error.field,
            "facts": facts,
        }
    if isinstance(error, MemoryError):
        detail = f"planning ran out of memory ({' '.join(str(error).split())})."
        return {"kind": "SolverFailed", "detail": detail, "hint": MORE_MEMORY, "field": ""}
    return {"kind": "SolverFailed", "detail": f"{type(error).__name__}: {error}", "hint": "", "field": ""}


def error_from_dict(raw: dict[str, object]) -> ShifterError:
    """The inverse of `error_to_dict`; an unknown kind is a SolverFailed."""
    kind = getattr(errors, str(raw["kind"]), None)
    made = kind if isinstance(kind, type) and issubclass(kind, ShifterError) else SolverFailed
    facts = raw.get("facts")
    named = facts if isinstance(facts, dict) else {}
    return made(str(raw["detail"]), hint=str(raw["hint"]), field=str(raw["field"]), **named)


def serve(plan_text: Callable[[str, Effort], str]) -> None:
    """The worker's side: answer requests on the standard streams until the other side is gone.

    What anything prints goes to the standard error, so that it cannot corrupt an answer.
    """
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    inbox: list[tuple[Effort, bytes]] = []
    arrived = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(requests, inbox, arrived), daemon=True).start()
    with suppress(BrokenPipeError):  # also while this one gets warm
        _write_all(answers, _frame(_READY, b""))
        while True:
            arrived.acquire()
            effort, body = inbox.pop(0)
            try:
                answer = _frame(_PLAN, plan_text(body.decode(), effort).encode())
            except Exception as error:  # whatever it is, the daemon must hear of it
                answer = _frame(_ERROR, json.dumps(error_to_dict(error)).encode())
            _write_all(answers, answer)


def _listen(requests: BinaryIO, inbox: list[tuple[Effort, bytes]], arrived: threading.Semaphore) -> None:
    """Read in a thread of its own, so that the end of the daemon ends a worker that is deep in a solver."""
    while len(header := requests.read(_HEADER.size)) == _HEADER.size:
        kind, size = _HEADER.unpack(header)
        inbox.append((_REQUESTS[kind], requests.read(size)))
        arrived.release()
    os._exit(0)


def limit_memory(gib: float) -> None:
    """Let this process have at most this much memory of its own: what it may write to, as the system counts it.

    What asks for more gets none, which is an error of that request alone, as a rule; native code may die of it.
    """
    import resource

    size = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (size, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _plan_text(inputs_text: str, effort: Effort = Effort.WHOLE) -> str:
    from shifter.cycle import plan_cycle
    from shifter.store.snapshots import inputs_from_json

    return plan_cycle(inputs_from_json(inputs_text), effort).to_json()


def _frame(kind: bytes, body: bytes) -> bytes:
    return _HEADER.pack(kind, len(body)) + body


def _write_all(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _exchange(process: subprocess.Popen[bytes], request: bytes, ends: float) -> tuple[bytes, bytes]:
    """Send a request, read one frame, both by `ends` (monotonic). Raises TimeoutError, EOFError, OSError."""
    assert process.stdin is not None
    assert process.stdout is not None
    out_fd, in_fd = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(out_fd, False)
    left, answer, size = memoryview(request), bytearray(), None
    with selectors.DefaultSelector() as selector:
        selector.register(in_fd, selectors.EVENT_READ)
        if left:
            selector.register(out_fd, selectors.EVENT_WRITE)
        while size is None or len(answer) < size:
            ready = selector.select(max(0.0, ends - time.monotonic()))
            if not ready and time.monotonic() >= ends:
                raise TimeoutError
            for key, _ in ready:
                if key.fd == out_fd:
                    left = left[os.write(out_fd, left[:65536]) :]
                    if not left:
                        selector.unregister(out_fd)
                    continue
                part = os.read(in_fd, 1 << 20)
                if not part:
                    raise EOFError(f"exit status {process.poll()}")
                answer += part
            if size is None and len(answer) >= _HEADER.size:
                size = _HEADER.size + _HEADER.unpack_from(answer)[1]
    return bytes(answer[:1]), bytes(answer[_HEADER.size :])


def _main() -> None:
    import argparse
    import gc
    import signal

    parser = argparse.ArgumentParser(description="Answers snapshots with plans over the standard streams.")
    parser.add_argument("--memory-limit-gib", type=float)
    memory_limit_gib = parser.parse_args().memory_limit_gib
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the daemon decides
    os.nice(NICENESS)
    import cvxpy  # noqa: F401 - warm: it takes seconds

    import shifter.cycle
    import shifter.store.snapshots  # noqa: F401

    if memory_limit_gib is not None:
        limit_memory(memory_limit_gib)
    gc.freeze()  # what was imported stays: no collection in the midst of a plan looks at it again
    serve(_plan_text)


if __name__ == "__main__":
    _main()
