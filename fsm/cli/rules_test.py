"""`rules test`: whether rules do what a file of tests expects of them."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from fsm.cli import output
from fsm.cli.candle_options import chosen
from fsm.cli.errors import CommandError, VerificationFailed
from fsm.cli.options import current

if TYPE_CHECKING:
    from fsm.backtest.rule_tests import Outcome


def run_tests(tests: Path | None, data: tuple[Path, ...]) -> None:
    """Run them and tell. Raises SourceError for files that cannot be read, VerificationFailed where a test fails."""
    from exchange.candle_files import CandleFolders
    from fsm.backtest.rule_moments import RuleMoments
    from fsm.backtest.rule_tests import outcomes
    from fsm.cli.inputs import read_config
    from rules.load import load_rules
    from rules.testing.file import path_of_tests, read_tests

    options, since = current(), perf_counter()
    rules = load_rules(options.rules_path)
    path = tests or path_of_tests(options.rules_path)
    if tests is None and not path.exists():
        hint = "docs/rules-workshop.md shows how to write some; --tests names another file"
        raise CommandError(f"{options.rules_path} has no tests: {path} is not there", hint)
    file = read_tests(path)
    candles_min = read_config(options, needs_keys=False).settings.market_data.candles_min
    found = outcomes(file, rules, RuleMoments(CandleFolders(*chosen(data)), rules, candles_min))
    _tell(options.rules_path, path, found, perf_counter() - since)
    if any(each.failures for each in found):
        raise VerificationFailed


def _tell(rules_path: Path, path: Path, found: list[Outcome], seconds: float) -> None:
    failed = [each for each in found if each.failures]
    if current().json:
        output.document(
            {
                "file": str(rules_path),
                "tests_file": str(path),
                "tests": len(found),
                "passed": len(found) - len(failed),
                "failed": len(failed),
                "failures": [
                    {
                        "test": each.test,
                        "file": each.problem.file,
                        "line": each.problem.line,
                        "column": each.problem.column,
                        "what": each.what,
                        "expected": each.expected,
                        "got": each.got,
                    }
                    for outcome in failed
                    for each in outcome.failures
                ],
                "seconds": round(seconds, 3),
            }
        )
        return
    for outcome in failed:
        for failure in outcome.failures:
            output.line(str(failure))
    output.line(
        f"{path}: {output.counted(len(found), 'test')}, {len(found) - len(failed)} passed, {len(failed)} failed "
        f"({seconds:.1f} s)"
    )
