"""Errors, as they reach a person from another process."""

from __future__ import annotations

import pickle

import pytest

from forecasts.errors import ForecastRejected, InputError, ShifterError


@pytest.mark.parametrize(
    "error",
    [
        InputError(
            "is not a price", hint="Write a number.", field="a.csv:3", also=(InputError("nor this"),), line=3
        ),
        ForecastRejected("jumps", field="DE-LU", factor=1000.0),
    ],
)
def test_another_process_is_told_the_same(error: ShifterError) -> None:
    told = pickle.loads(pickle.dumps(error))
    assert type(told) is type(error)
    assert str(told) == str(error)
    assert (told.detail, told.hint, told.field, told.args) == (
        error.detail,
        error.hint,
        error.field,
        error.args,
    )
    assert dict(told.facts) == dict(error.facts)
    if isinstance(error, InputError):
        assert isinstance(told, InputError)
        assert [str(one) for one in told.also] == [str(one) for one in error.also]
