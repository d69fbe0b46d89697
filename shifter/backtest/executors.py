"""Who carries out units: this process, several, or a cluster. All give the same results; they differ in time alone.

An executor is anything with `map`; results come as they are done, in any order.
"""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Protocol

from shifter.backtest.case import Case, Unit
from shifter.backtest.replay import replay
from shifter.backtest.results import Result, result_of
from shifter.errors import InputError, NotReady

RAY_INSTALL = "pip install 'inference-shifter[ray]'"
REACH_S = 5.0
BATCHES = 4
"""At least so many for each worker, where there are as many units: at the end none waits for long for another."""
IN_FLIGHT = 4
"""Batches handed to a cluster at once, for each of its CPUs: enough that none waits."""


def carry_out(unit: Unit) -> Result:
    """One unit, where it is called."""
    return result_of(replay(unit))


class Executor(Protocol):
    """Carries out units."""

    def map(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
        """Each unit with its result, as they are done, or some of one case together. What a unit raises is raised."""
        ...


class Serial:
    """One after the other, in this process."""

    def map(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
        """See `Executor.map`."""
        for unit in units:
            yield unit, carry_out(unit)


class Processes:
    """Several processes of this machine."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
        """See `Executor.map`."""
        # Spawned, not forked: solvers and threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, context) as pool:
            futures = {
                pool.submit(_carry_out, *_told(batch)): batch for batch in batches(units, self.workers)
            }
            try:
                for future in as_completed(futures):
                    yield from _done(futures[future], *future.result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def batches(units: Sequence[Unit], workers: int) -> list[list[Unit]]:
    """Units that are handed out together: policies of one case, which is sent once for them, and of which what one has
    worked out serves the next. No more of them than leaves enough batches for all workers.
    """
    most = max(1, len(units) // (BATCHES * workers))
    found: list[list[Unit]] = []
    for unit in units:
        if not found or found[-1][0].case is not unit.case or len(found[-1]) == most:
            found.append([])
        found[-1].append(unit)
    return found


def _told(batch: Sequence[Unit]) -> tuple[Case, list[str]]:
    return batch[0].case, [unit.policy for unit in batch]


def _carry_out(case: Case, policies: Sequence[str]) -> tuple[list[Result], Exception | None]:
    """The results, up to where something was raised, and that: what was done before it is not lost."""
    results: list[Result] = []
    for policy in policies:
        try:
            results.append(carry_out(Unit(case, policy)))
        except Exception as error:
            return results, error
    return results, None


def _done(
    batch: Sequence[Unit], results: Sequence[Result], error: Exception | None
) -> Iterator[tuple[Unit, Result]]:
    yield from zip(batch, results, strict=False)
    if error is not None:
        raise error


class Ray:
    """A Ray cluster, whose workers have this package too. `address` is that of its head, or `auto`.

    Raises InputError where Ray is not installed, NotReady where nobody listens at the address.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._ray = _ray()
        _reach(address)

    def map(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
        """See `Executor.map`. Raises NotReady where no cluster answers."""
        ray = self._ray
        try:
            ray.init(address=self.address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _no_cluster(self.address, error) from None
        try:
            yield from _spread(ray, units)
        finally:
            ray.shutdown()


def _spread(ray: Any, units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
    """Hand out some batches, and another for each that is done."""
    remote: Callable[..., Any] = ray.remote(num_cpus=1)(_carry_out)
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting, running = batches(units, cpus)[::-1], dict[Any, list[Unit]]()
    while waiting or running:
        while waiting and len(running) < IN_FLIGHT * cpus:
            batch = waiting.pop()
            running[remote.remote(*_told(batch))] = batch  # type: ignore[attr-defined]
        for ref in ray.wait(list(running), num_returns=1)[0]:
            yield from _done(running.pop(ref), *ray.get(ref))


def _reach(address: str) -> None:
    """Whether somebody listens there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=REACH_S).close()
        except OSError as error:
            raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> NotReady:
    said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    hint = "Start one with `ray start --head`, or give the address of its head."
    return NotReady(f"no Ray cluster answers: {said}", field=f"--ray {address}", hint=hint)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed.", field="--ray", hint=f"Run {RAY_INSTALL}.") from None
    return ray
