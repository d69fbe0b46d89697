"""What contradicts itself in how a model serves real-time requests, and what is probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from shifter.domain.model import Model
from shifter.domain.serving import MeasuredRate
from shifter.files.places import Finding, Loc, suggestion


def serving_mistakes(model: Model, loc: Loc) -> Iterator[Finding]:
    """Accelerators it does not run on or of which nothing is said, objectives that ask nothing, rows that go back."""
    for accelerator, serving in model.serving.items():
        here = (*loc, "serving", accelerator)
        if accelerator not in model.throughput_tokens_per_s:
            yield (
                here,
                f"the model `{model.name}` has no throughput on `{accelerator}`, so it cannot run there.",
                suggestion(accelerator, model.throughput_tokens_per_s, "accelerators of this model"),
            )
        if serving.profile is None and not serving.measured:
            yield here, "nothing says how it serves.", "Give it a `profile`, or a table that was `measured`."
        yield from _table_mistakes(serving.measured, (*here, "measured"))
    slo = model.latency_slo
    if slo is not None and slo.ttft_ms is None and slo.latency_ms is None:
        yield (
            (*loc, "latency_slo"),
            "the objective allows any latency.",
            "Give it `ttft_ms`, `latency_ms` or both, or leave it out.",
        )
    elif slo is not None and (slo.ttft_ms or 0) > (slo.latency_ms or float("inf")):
        yield (
            (*loc, "latency_slo", "ttft_ms"),
            f"the first token may take {slo.ttft_ms:g} ms, and the whole answer {slo.latency_ms:g} ms.",
            "`latency_ms` is from arrival to the last token.",
        )


def _table_mistakes(rows: tuple[MeasuredRate, ...], here: Loc) -> Iterator[Finding]:
    for i, (before, row) in enumerate(pairwise(rows), 1):
        for key in ("replicas", "requests_per_s"):
            if getattr(row, key) <= getattr(before, key):
                yield (
                    (*here, i, key),
                    f"{getattr(row, key):g} is no more than the {getattr(before, key):g} of the row before.",
                    "Rows go from few replicas to many, and more of them serve more.",
                )


def serving_warnings(model: Model, loc: Loc) -> Iterator[Finding]:
    """A profile that nothing is sized by."""
    for accelerator, serving in model.serving.items():
        if serving.profile is not None and model.latency_slo is None:
            yield (
                (*loc, "serving", accelerator, "profile"),
                f"nothing says how fast `{model.name}` must answer, so nothing can be sized by it.",
                "Give the model a `latency_slo`.",
            )
