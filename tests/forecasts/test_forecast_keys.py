from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from forecasts.errors import InputError
from forecasts.sources.keys import KeyOptions

WHERE = "Register at example.org."


def key(**given: object) -> str:
    return KeyOptions.model_validate(given).key("some", "SOME_KEY", WHERE)


def test_it_comes_from_the_options_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("of-a-file\n")
    monkeypatch.setenv("SOME_KEY", "usual")
    monkeypatch.setenv("OTHER", "another")
    assert key(api_key="given") == "given"
    assert key(api_key_file=tmp_path / "key") == "of-a-file"
    assert key(api_key_env="OTHER") == "another"
    assert key() == "usual"


def test_a_file_that_is_exchanged_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    options = KeyOptions(api_key_file=path)
    assert options.key("some", "SOME_KEY", WHERE) == "old"
    path.write_text("new")
    assert options.key("some", "SOME_KEY", WHERE) == "new"


def test_without_one_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(InputError, match="environment variable SOME_KEY holds none") as caught:
        key()
    assert WHERE in caught.value.hint


@pytest.mark.parametrize("held", ["", " \n", "two\nlines", "schlüssel"])
def test_what_is_no_key_is_told_without_saying_it(tmp_path: Path, held: str) -> None:
    (tmp_path / "key").write_text(held)
    with pytest.raises(InputError) as caught:
        key(api_key_file=tmp_path / "key")
    assert not held.strip() or held not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.*No such file"):
        key(api_key_file=tmp_path / "nowhere")


def test_of_two_ways_one_is_kept() -> None:
    with pytest.raises(ValidationError, match="api_key and api_key_env are given: keep one"):
        key(api_key="a", api_key_env="B")


def test_it_is_in_no_repr() -> None:
    assert "hush" not in repr(KeyOptions.model_validate({"api_key": "hush"}))
