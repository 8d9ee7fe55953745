"""Runs a file of tests of rules, those that speak of recorded history included."""

from __future__ import annotations

import msgspec

from fsm.backtest.rule_moments import NoSuchMoment, RuleMoments
from rules.load import Ruleset
from rules.testing.file import RuleTest, TestFile
from rules.testing.run import Failure, failures


class Outcome(msgspec.Struct, frozen=True):
    """One test and what it found, nothing where it holds."""

    name: str
    failures: tuple[Failure, ...]


def outcomes(file: TestFile, rules: Ruleset, moments: RuleMoments) -> list[Outcome]:
    """Of every test, in the order of the file."""
    return [Outcome(test.written.name, tuple(_of(test, file, rules, moments))) for test in file.tests]


def _of(test: RuleTest, file: TestFile, rules: Ruleset, moments: RuleMoments) -> list[Failure]:
    if test.at_ms is None:
        return failures(test, file, rules)
    try:
        moment = moments.at(test.written.symbol, test.at_ms)
    except NoSuchMoment as error:
        said = f'"{test.written.name}" cannot be told: {error}'
        place = file.source.problem((*test.path, "at"), said)
        name = test.written.name
        return [Failure(test=name, what="history", expected=str(test.written.at), got=str(error), problem=place)]
    return failures(test, file, rules, moment)
