"""What went wrong on the way to a host, in words for a person: libraries repeat the URL, and name their own classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Why there is no reply, and how long to wait [s] before another try: 0 for the usual, negative for not to.

    `reached` is whether there was a connection at all.
    """

    why: str
    wait_s: float = 0.0
    reached: bool = True


def fault_of(error: Exception, timeout_s: tuple[float, float]) -> Fault:
    """Of what `requests` raises; `timeout_s` are those for the connection and for each read."""
    import requests
    from urllib3.exceptions import NewConnectionError

    chain = list(_chain(error))
    # The last of them is the system's own, and says it best: "Connection refused".
    told = [e.strerror for e in chain if isinstance(e, OSError) and e.strerror]
    because = f" ({told[-1]})" if told else ""
    if isinstance(error, requests.ConnectTimeout):
        return Fault(f"no connection within {timeout_s[0]:g} s", reached=False)
    if isinstance(error, requests.exceptions.ProxyError):
        # What the proxy itself answered, such as 407, is no error of the system's.
        return Fault(f"no connection by the proxy{because or f' ({chain[-1]})'}", reached=False)
    if any(isinstance(e, NewConnectionError) for e in chain):
        return Fault(f"no connection{because}", reached=False)
    if isinstance(error, requests.ReadTimeout):
        return Fault(f"no answer within {timeout_s[1]:g} s")
    if isinstance(error, requests.exceptions.SSLError):
        return Fault(f"no secure connection{because}")
    if isinstance(error, requests.ConnectionError) and told:
        return Fault(f"the connection broke{because}")
    return Fault(f"{type(error).__name__}: {error}".rstrip("."))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and what led to it."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
