"""How good forecasts were: errors by lead time, how honest their bands are, and what deciding by them was worth.

`cases` lays what was forecast beside what came of it, `point`, `probabilistic`, `decision` and `significance` hold the
formulas, `report` the figures of one source and of two beside each other. Pure: vintages and arrays in, numbers out;
`stored` alone reads a store. docs/concepts/scores.md says how to read each.
"""
