"""Further seeds of each kind of case, as `plan_quality`: what the judge and our verifier find wrong, and how far plans
are from the best possible. The judge's gap is to its certificate: from the plan's prices, by its own arithmetic, for
the work that is done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import SEED, Figure, Line, Options, Skipped, Tell
from benchmarks.plan_quality import NONE, quality

KINDS = ("small", "fleet", "gang", "quarter", "tight", "over", "fine")


def run(options: Options, tell: Tell) -> Iterator[Line]:
    """Each kind with each further seed, then the violations of all of them."""
    if options.generator is None:
        raise Skipped("needs a program that makes cases: give --generator PROGRAM (a make_case.py).")
    todo = [(kind, SEED + 1 + i) for kind in KINDS for i in range(options.seeds)]
    found = 0.0
    for i, (kind, seed) in enumerate(todo):
        tell(f"{kind}, seed {seed}", i / len(todo))
        with tempfile.TemporaryDirectory() as kept:
            folder = options.made(kind, seed, Path(kept) / kind)
            row = quality(f"{kind}, seed {seed}", kind, folder, options.judge, own_bound=False)
        found += sum(f.measured or 0.0 for f in row.figures if f.name.startswith("violations"))
        yield row
    by = "the judge and our verifier" if options.judge else "our verifier; no --judge given"
    yield Figure(f"violations in {len(todo)} cases", found, "", NONE, by, 0)


if __name__ == "__main__":
    from benchmarks.runner import alone

    alone("seeds")
