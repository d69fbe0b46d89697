"""Real requests to language models, and how one large model serves them: from the data of replays."""

from __future__ import annotations

import csv
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Skipped
from shifter.domain.serving import ServingProfile
from shifter.realtime.simulate import Requests
from shifter.realtime.traffic import Floats

MODEL, HARDWARE, ACCELERATORS = "llama2-70b", "h100-80gb", 8
SERVEGEN_MINUTES, WINDOW_S = 20, 600
SEED = 1


def measured_profile(folder: Path) -> ServingProfile:
    """Llama 2 70B on eight H100, by least squares through what Splitwise measured: iterations by the size of the batch,
    prompts one at a time by their length. The batch is the largest that was measured; the cache does not bind.
    """
    with gzip.open(folder / "splitwise_perf_model.csv.gz", "rt", newline="") as lines:
        rows = [
            {key: float(value) for key, value in row.items() if key not in ("model", "hardware")}
            for row in csv.DictReader(lines)
            if (row["model"], row["hardware"]) == (MODEL, HARDWARE)
            and int(float(row["tensor_parallel"])) == ACCELERATORS
        ]
    alone = [row for row in rows if row["batch_size"] == 1]
    prompts, reading_ms = (np.array([row[key] for row in alone]) for key in ("prompt_size", "prompt_time"))
    batches, iteration_ms = (np.array([row[key] for row in rows]) for key in ("batch_size", "token_time"))
    each, base = np.polyfit(batches, iteration_ms, 1)
    per_ms = float(prompts @ prompts / (prompts @ reading_ms))
    return ServingProfile(1000 * per_ms, float(base), float(each), int(batches.max()))


def azure(folder: Path, kind: str) -> Requests:
    """An hour of Azure's requests in November 2023, `code` or `conv`."""
    frame = parquet(folder / f"requests_{kind}.parquet")
    times = frame["ts_utc"].astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
    return _requests(times, frame["input_tokens"].to_numpy(), frame["output_tokens"].to_numpy())


def mooncake(folder: Path) -> Requests:
    """An hour of Mooncake's conversations: long prompts."""
    frame = parquet(folder / "requests_conversation.parquet")
    times = frame["t_ms"].to_numpy() / 1000
    return _requests(times, frame["input_tokens"].to_numpy(), frame["output_tokens"].to_numpy())


def servegen(folder: Path) -> Requests:
    """Twenty minutes of ServeGen's week, those whose rate is nearest to the median, drawn anew: of each client a
    renewal stream of the rate and shape that was fitted to each of its ten minutes, and log-normal lengths.
    """
    clients, tokens = (
        parquet(folder / "clients_10min.parquet"),
        parquet(folder / "client_tokens_6h.parquet"),
    )
    span_s = 60 * SERVEGEN_MINUTES
    rates = clients.groupby(clients["t_s"] // span_s)["rate_rps"].sum() * WINDOW_S / span_s
    first = span_s * int((rates - rates.median()).abs().idxmin())
    lengths = tokens[tokens["t_s"] == first // 21600 * 21600].set_index("client")
    usual = lengths.median()
    rng = np.random.default_rng(SEED)
    parts = []
    for row in clients[(clients["t_s"] >= first) & (clients["t_s"] < first + span_s)].itertuples():
        times = row.t_s + renewals(rng, row.rate_rps, row.dist, row.p1)
        known = lengths.loc[row.client] if row.client in lengths.index else usual
        known = known.fillna(usual)
        drawn = [
            lognormal(
                rng,
                known[f"{kind}_tokens_mean"],
                known[f"{kind}_tokens_p95"],
                known[f"{kind}_tokens_p50"],
                len(times),
            )
            for kind in ("input", "output")
        ]
        parts.append((times, *drawn))
    times, prompts, outputs = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    return _requests(times[order], prompts[order], outputs[order])


def renewals(rng: np.random.Generator, rate: float, law: str, shape: float) -> Floats:
    """Moments within ten minutes [s], with gamma or Weibull times between."""
    count = int(2 * rate * WINDOW_S + 100)
    if law == "Gamma":
        between = rng.gamma(shape, 1 / (rate * shape), count)
    else:
        between = rng.weibull(shape, count) / (rate * math.gamma(1 + 1 / shape))
    moments = np.cumsum(between) - between[0] * rng.random()
    found: Floats = moments[(moments >= 0) & (moments < WINDOW_S)]
    return found


def lognormal(rng: np.random.Generator, mean: float, p95: float, p50: float, count: int) -> Floats:
    """Lengths of that mean, spread as the quantiles say [tokens]."""
    sigma = math.log(max(1.0, p95 / max(1.0, p50))) / 1.645
    return mean * np.exp(sigma * rng.standard_normal(count) - sigma**2 / 2)


def _requests(times: Floats, prompts: Floats, outputs: Floats) -> Requests:
    lengths = (np.maximum(1.0, np.rint(np.asarray(x, dtype=float))) for x in (prompts, outputs))
    return Requests(np.asarray(times, dtype=float) - float(times[0]), *lengths)


def faster(requests: Requests, times: float) -> Requests:
    """The same requests, coming so many times as fast."""
    return Requests(requests.arrival_s / times, requests.prompt_tokens, requests.output_tokens)


def parquet(path: Path) -> Any:
    """A table. Raises Skipped where nothing here reads such files."""
    try:
        import pandas as pd

        return pd.read_parquet(path)
    except ImportError as error:
        raise Skipped(f"needs a reader of parquet files: {error}") from None
