"""`shifter size`: accelerators for real-time requests, from their rate, tokens and latency objective; no daemon."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shifter.cli.console import print_json, working
from shifter.cli.failures import CANNOT, report
from shifter.cli.options import Json, spelt, told_by
from shifter.cli.size_tables import print_chain, print_one
from shifter.errors import InputError

if TYPE_CHECKING:
    from shifter.domain.fleet import Fleet
    from shifter.domain.model import Model
    from shifter.domain.serving import LatencySlo
    from shifter.realtime.agents import Step
    from shifter.realtime.traffic import Traffic

_SIMULATED, _WARMING, _SEED = 30_000, 3_000, 1

OPTIONS = {
    "requests_per_s": "--rate",
    **spelt("prompt_tokens", "output_tokens", "prompt_scv", "output_scv", "arrival_scv", "rate_scv"),
    **spelt("ttft_ms", "latency_ms"),
}
"""Which option says what sizing calls so."""


@dataclass(frozen=True)
class _Sizing:
    """One model on one accelerator, and what comes."""

    model: Model
    accelerator: str
    traffic: Traffic
    slo: LatencySlo | None
    requests_per_s: float


def size(
    fleet: Annotated[Path, typer.Option("--fleet", help="fleet.yaml: models, and how they serve.")],
    model: Annotated[str, typer.Option("--model", help="A model of the fleet.")],
    rate: Annotated[float, typer.Option("--rate", min=0, help="Requests (or chains) per s.")],
    prompt_tokens: Annotated[
        float | None,
        typer.Option("--prompt-tokens", help="Mean length of a prompt; a measured table needs none."),
    ] = None,
    output_tokens: Annotated[
        float | None, typer.Option("--output-tokens", help="Mean length of an answer; the same.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", help="Default: the only one that the model serves on.")
    ] = None,
    prompt_scv: Annotated[
        float, typer.Option("--prompt-scv", help="Variance over squared mean of prompt lengths.")
    ] = 1.0,
    output_scv: Annotated[float, typer.Option("--output-scv", help="The same of output lengths.")] = 1.0,
    arrival_scv: Annotated[
        float, typer.Option("--arrival-scv", help="The same of times between arrivals; 1 = Poisson.")
    ] = 1.0,
    rate_scv: Annotated[
        float,
        typer.Option("--rate-scv", help="The same of the rate, as it goes up and down; 0 = it stands still."),
    ] = 0.0,
    ttft_ms: Annotated[
        float | None, typer.Option("--ttft-ms", min=0.001, help="To the first token; over the fleet's.")
    ] = None,
    latency_ms: Annotated[
        float | None, typer.Option("--latency-ms", min=0.001, help="To the last token; over the fleet's.")
    ] = None,
    quantile: Annotated[
        float | None,
        typer.Option("--quantile", min=0.5, max=0.9999, help="Share of requests in time; over the fleet's."),
    ] = None,
    then: Annotated[
        list[str] | None,
        typer.Option(
            "--then",
            metavar="MODEL:PROMPT:OUTPUT",
            help="The next step of a chain, with its tokens; repeat it for more. All share one latency.",
        ),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Beside it, what a simulation of 30,000 requests comes to.")
    ] = False,
    as_json: Json = False,
) -> None:
    """How many accelerators real-time requests need to be answered in time.

    From their rate, tokens and latency objective, by a queueing model of replicas that batch continuously, or by the
    measured table that the fleet gives. Shows what one replica more or fewer would come to.
    """
    from shifter.files import read_fleet
    from shifter.realtime.traffic import Traffic

    known = read_fleet(fleet)
    found = _model(known, model)
    # What the fleet file says is told of it, and not of an option that nobody gave.
    typed = {
        f"latency_slo.{name}": OPTIONS[name]
        for name, value in (("ttft_ms", ttft_ms), ("latency_ms", latency_ms))
        if value is not None
    }
    if accelerator is not None:
        typed[f"models[{model}].serving"] = "--accelerator"
    try:
        with told_by(OPTIONS | typed), working("sizing …"):
            on, slo = _on(found, accelerator), _objective(found, ttft_ms, latency_ms, quantile)
            if then or not _by_table_alone(found, on):
                _ask_lengths(prompt_tokens=prompt_tokens, output_tokens=output_tokens)
            lengths = (prompt_tokens or 0.0, 1.0 if output_tokens is None else output_tokens)
            traffic = Traffic(*lengths, prompt_scv, output_scv, arrival_scv, rate_scv)
            asked = _Sizing(found, on, traffic, slo, rate)
            answer = _chain(known, asked, then, accelerator) if then else _one(asked, simulate=simulate)
    except InputError as error:
        if "least_ms" not in error.facts:
            raise
        report(error)  # the call is right, and no fleet could do it
        raise typer.Exit(CANNOT) from None
    if as_json:
        print_json(answer)
    elif then:
        print_chain(answer)
    else:
        print_one(answer)


def _model(fleet: Fleet, name: str) -> Model:
    from shifter.files.places import suggestion

    if name not in fleet.by_model:
        raise InputError(
            f"the fleet has no model `{name}`.",
            field="--model",
            hint=suggestion(name, fleet.by_model, "models of the fleet"),
        )
    return fleet.by_model[name]


def _on(model: Model, accelerator: str | None) -> str:
    if accelerator is None and len(model.serving) > 1:
        raise InputError(
            f"{model.name} serves on {', '.join(model.serving)}.",
            field="--accelerator",
            hint="Say which with --accelerator.",
        )
    return accelerator or next(iter(model.serving), next(iter(model.throughput_tokens_per_s)))


def _by_table_alone(model: Model, accelerator: str) -> bool:
    """Whether a table says how it serves, which is right for the lengths at which it was measured, and no profile."""
    serving = model.serving.get(accelerator)
    return serving is not None and bool(serving.measured) and serving.profile is None


def _ask_lengths(**given: float | None) -> None:
    for name, value in given.items():
        if value is None:
            raise InputError(
                "a profile sizes by how long requests are.", field=name, hint="Give their mean, in tokens."
            )


def _objective(
    model: Model, ttft_ms: float | None, latency_ms: float | None, quantile: float | None
) -> LatencySlo | None:
    from shifter.domain.serving import LatencySlo

    own = model.latency_slo
    if own is None and ttft_ms is None and latency_ms is None:
        return None
    own = own or LatencySlo()
    return LatencySlo(ttft_ms or own.ttft_ms, latency_ms or own.latency_ms, quantile or own.quantile)


def _one(asked: _Sizing, *, simulate: bool) -> dict[str, Any]:
    from shifter.realtime.sizing import accelerators_for, expected, serving_on

    serving, each = serving_on(asked.model, asked.accelerator), asked.model.replica(asked.accelerator)
    rate, slo = asked.requests_per_s, asked.slo
    accelerators = int(accelerators_for(asked.model, asked.accelerator, asked.traffic, rate, slo))
    replicas = accelerators // each
    answer: dict[str, Any] = {
        "model": asked.model.name,
        "accelerator": asked.accelerator,
        "requests_per_s": rate,
        "replicas": replicas,
        "accelerators": accelerators,
        "by": "measured" if serving.measured else "profile",
        "latency_slo": None if slo is None else asdict(slo),
        "around": [],
        "simulated": None,
    }
    if serving.profile is not None and slo is not None and replicas:
        around = [
            expected(serving.profile, asked.traffic, slo, rate, n)
            for n in range(max(1, replicas - 1), replicas + 2)
        ]
        answer["around"] = [
            {**_finite(asdict(e)), "accelerators": e.replicas * each, "in_time": e.meets(slo)} for e in around
        ]
        if simulate and rate > 0:
            answer["simulated"] = _simulated(asked, slo, replicas)
    return answer


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _simulated(asked: _Sizing, slo: LatencySlo, replicas: int) -> dict[str, Any]:
    import numpy as np

    from shifter.realtime.simulate import draw, simulate

    profile = asked.model.serving[asked.accelerator].profile
    assert profile is not None
    ran = simulate(draw(asked.traffic, asked.requests_per_s, _SIMULATED, _SEED), profile, replicas)
    ttft_ms, whole_ms = ran.ttft_ms[_WARMING:], ran.latency_ms[_WARMING:]
    return {
        "ttft_ms": float(np.quantile(ttft_ms, slo.quantile)),
        "latency_ms": float(np.quantile(whole_ms, slo.quantile)),
        "ttft_attained": None if slo.ttft_ms is None else float(np.mean(ttft_ms <= slo.ttft_ms)),
        "latency_attained": None if slo.latency_ms is None else float(np.mean(whole_ms <= slo.latency_ms)),
    }


def _chain(fleet: Fleet, asked: _Sizing, then: list[str], accelerator: str | None) -> dict[str, Any]:
    from shifter.realtime.agents import chain_accelerators, split

    slo = asked.slo
    if slo is None or slo.latency_ms is None:
        raise InputError("a chain has one latency for all its steps.", field="--latency-ms", hint="Give it.")
    steps = [_step(asked.model, asked.accelerator, asked.traffic)]
    steps += [_later_step(fleet, text, asked.traffic, accelerator) for text in then]
    rate = asked.requests_per_s
    parts = split(steps, slo.latency_ms, slo.quantile, rate) if rate > 0 else [None] * len(steps)
    found = [int(n) for n in chain_accelerators(steps, slo.latency_ms, slo.quantile, rate)]
    return {
        "chains_per_s": rate,
        "accelerators": sum(found),
        "latency_ms": slo.latency_ms,
        "quantile": slo.quantile,
        "steps": [
            {
                "model": step.name.partition(" on ")[0],
                "accelerator": step.name.partition(" on ")[2],
                "latency_ms": part,
                "replicas": n // step.accelerators_per_replica,
                "accelerators": n,
            }
            for step, part, n in zip(steps, parts, found, strict=True)
        ],
    }


def _step(model: Model, accelerator: str, traffic: Traffic) -> Step:
    from shifter.realtime.agents import Step
    from shifter.realtime.sizing import serving_on

    serving = serving_on(model, accelerator)
    return Step(f"{model.name} on {accelerator}", serving, traffic, model.replica(accelerator))


def _later_step(fleet: Fleet, text: str, like: Traffic, accelerator: str | None) -> Step:
    """`MODEL:PROMPT:OUTPUT`; lengths and arrivals vary as those of the first step."""
    name, *tokens = text.rsplit(":", 2)
    try:
        prompt, output = map(float, tokens)
    except ValueError:
        raise InputError(
            f"{text!r} is no step.",
            field="--then",
            hint="Write it as MODEL:PROMPT:OUTPUT, such as llama:900:120.",
        ) from None
    with told_by(dict.fromkeys(("--model", "--accelerator", "prompt_tokens", "output_tokens"), "--then")):
        model = _model(fleet, name)
        on = accelerator if accelerator is not None and accelerator in model.serving else _on(model, None)
        return _step(model, on, replace(like, prompt_tokens=prompt, output_tokens=output))
