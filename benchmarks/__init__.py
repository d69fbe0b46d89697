"""What shifter is measured by: `make bench DATA=../shared/data`, or `python -m benchmarks --help`.

Each module with a `run` is one benchmark and yields figures, printed beside a target and beside a peer or a
bound that is computed or published elsewhere. No timed test asserts them, and the product imports none of it.
"""
