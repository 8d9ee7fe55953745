"""Every requirement is named by a test, and the page that lists them names tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.requirements import PAGE, PROMISES, ROOT, Naming, namings


@pytest.fixture(scope="module")
def found() -> dict[int, list[Naming]]:
    return namings()


@pytest.mark.parametrize("number", sorted(PROMISES))
def test_a_requirement_is_held_by_a_test_that_names_it(found: dict[int, list[Naming]], number: int) -> None:
    assert found[number], f"no test names R{number}"


def test_no_test_names_a_requirement_that_there_is_not(found: dict[int, list[Naming]]) -> None:
    assert sorted(found) == sorted(PROMISES)


def test_the_page_lists_every_requirement_with_its_promise() -> None:
    text = PAGE.read_text("utf-8")
    for number, promise in PROMISES.items():
        assert f"**R{number}.** {promise}" in text, "python -m tests.requirements writes the page again"


def test_the_page_names_only_tests_that_exist() -> None:
    gone = [
        (file, test)
        for file, test in re.findall(r"^- `(tests/[^`]+)`(?: `(\w+)`)?$", PAGE.read_text("utf-8"), re.M)
        if not (ROOT / file).is_file() or test not in (ROOT / file).read_text("utf-8")
    ]
    assert gone == [], "python -m tests.requirements writes the page again"
