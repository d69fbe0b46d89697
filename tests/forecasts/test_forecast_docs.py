import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "forecasts.md"


def test_the_page_says_what_the_code_does() -> None:
    done = doctest.testfile(str(PAGE), module_relative=False)
    assert done.attempted > 10
    assert done.failed == 0
