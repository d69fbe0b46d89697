import doctest
from pathlib import Path

CONCEPTS = Path(__file__).parents[2] / "docs" / "concepts"


def test_the_page_says_what_the_code_does() -> None:
    done = doctest.testfile(str(CONCEPTS / "forecasts.md"), module_relative=False)
    assert done.attempted > 10
    assert done.failed == 0


def test_trust_does_what_the_page_of_uncertainty_says() -> None:
    done = doctest.testfile(str(CONCEPTS / "uncertainty.md"), module_relative=False)
    assert done.attempted > 8
    assert done.failed == 0


def test_scores_are_what_the_page_of_scores_says() -> None:
    done = doctest.testfile(str(CONCEPTS / "scores.md"), module_relative=False)
    assert done.attempted > 8
    assert done.failed == 0
