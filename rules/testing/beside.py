"""The tests beside a rules file, as they are asked before the rules are taken up: those that need no candles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rules.load import Ruleset
from rules.source.yaml_source import Problem, SourceError
from rules.testing.file import RuleTest, TestFile, path_of_tests, read_tests
from rules.testing.run import failures

Stamp = tuple[int, int] | None

TESTS_GONE = "the tests beside the rules that kept edits away are gone, or guard no longer"
"""Why an edit waits whose rules were guarded until now."""


def problems_beside(rules: Ruleset, rules_path: Path) -> Iterator[list[Problem]]:
    """What each test found, one at a time, so that whoever asks can do something else in between. Nothing where there
    are no tests, or none that guard. Raises SourceError for a file of tests that cannot be read."""
    if stamp_beside(rules_path) is None:
        return
    file = read_tests(path_of_tests(rules_path))
    for test in _guards(file):
        yield [failure.problem for failure in failures(test, file, rules)]


def is_guarded(rules_path: Path) -> bool:
    """Whether tests stand beside the rules that keep edits away. A file of tests that cannot be read does."""
    if stamp_beside(rules_path) is None:
        return False
    try:
        return bool(_guards(read_tests(path_of_tests(rules_path))))
    except SourceError:
        return True


def _guards(file: TestFile) -> list[RuleTest]:
    return [test for test in file.tests if file.guard and test.at_ms is None]


def stamp_beside(rules_path: Path) -> Stamp:
    """Another one whenever the file of tests may be another one; None where there is none."""
    try:
        found = path_of_tests(rules_path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
