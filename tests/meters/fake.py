"""Servers that show what they have counted, as vLLM and llama.cpp do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from forecasts.testing import Asked, Said


@dataclass
class FakeServer:
    """Counts of a server, in the text of its kind; `without` are metrics that it does not show."""

    kind: str
    requests: float = 0
    prompt_tokens: float = 0
    output_tokens: float = 0
    running: float = 0
    waiting: float = 0
    model: str = "chat-v1"
    without: set[str] = field(default_factory=set)
    more: str = ""
    status: int = 200

    def serve(self, requests: float, prompt: float = 500, output: float = 100) -> None:
        """So many requests came and ended."""
        self.requests += requests
        self.prompt_tokens += requests * prompt
        self.output_tokens += requests * output

    def restart(self) -> None:
        """All counts begin anew."""
        self.requests = self.prompt_tokens = self.output_tokens = self.running = self.waiting = 0

    def reply(self, asked: Asked) -> Said:
        assert asked.path == "/metrics"
        text = (self.vllm() if self.kind == "vllm" else self.llama_cpp()) + self.more
        lines = [line for line in text.splitlines() if not any(name in line for name in self.without)]
        return Said("\n".join(lines).encode() + b"\n", self.status)

    def vllm(self) -> str:
        of = f'engine="0",model_name="{self.model}"'
        stop, length = self.requests - self.requests // 4, self.requests // 4
        return f"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{{of}}} {self.running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{{of}}} {self.waiting}
vllm:num_requests_waiting_by_reason{{{of},reason="capacity"}} {self.waiting}
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens_total{{{of}}} {self.prompt_tokens}
vllm:prompt_tokens_created{{{of}}} 1.76e+09
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{{{of}}} {self.output_tokens}
# TYPE vllm:request_success counter
vllm:request_success_total{{{of},finished_reason="stop"}} {stop}
vllm:request_success_total{{{of},finished_reason="length"}} {length}
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{{{of},le="+Inf"}} 17
"""

    def llama_cpp(self) -> str:
        return f"""\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total {self.prompt_tokens}
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total {self.output_tokens}
llamacpp:tokens_predicted_seconds_total 3.5
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing {self.running}
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred {self.waiting}
"""


def slow(seconds: float) -> Callable[[Asked], Said]:
    """Answers only after so long."""

    def reply(asked: Asked) -> Said:
        time.sleep(seconds)
        return Said()

    return reply


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s
