"""Jumping over what cannot matter gives the same journal, to the byte, as asking the engine at every candle."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.effort import sampled
from tests.integration.generated_runs import case, seen, shipped

MANY = 500
SHIPPED_EVERY = 10
"""One in so many runs over the shipped candles; the others make up their own market."""

OFTEN = {
    "exit STOP_HIT": 100,
    "exit TARGET_HIT": 100,
    "reduce TARGET_HIT": 100,
    "exit EXIT_WHEN": 100,
    "exit TRAIL_CROSSED": 100,
    "exit EXIT_AFTER_CANDLES": 100,
    "exit LIQUIDATED": 100,
    "restop STOP_MOVED": 100,
    "abandon ENTRY_EXPIRED": 100,
    "halt LIMIT_DAY": 100,
    "halt LIMIT_WEEK": 100,
    "halt LIMIT_MONTH": 100,
    "halt LIMIT_DRAWDOWN": 100,
    "flatten by a limit": 100,
    "resume LIMIT_DAY": 100,
    "resume LIMIT_WEEK": 100,
    "resume LIMIT_MONTH": 100,
    "fundings": 100,
}
"""What must have happened in all of them together, and how often."""


def compared(number: int, folder: Path) -> Counter[str]:
    """What happened in the backtest of this number, after both ways through it were found equal."""
    made = (shipped if number % SHIPPED_EVERY == SHIPPED_EVERY - 1 else case)(number, folder)
    (fast, happened, rows), (slow, _, every_row) = (seen(made, folder, every_candle=every) for every in (False, True))
    assert {name for name in rows if rows[name] != every_row[name]} == set(), number
    assert fast.curve == slow.curve, number
    assert fast.position_ms == slow.position_ms, number
    assert (fast.fundings, fast.fundings_missing) == (slow.fundings, slow.fundings_missing), number
    assert fast.ambiguous_candles == slow.ambiguous_candles, number
    return happened


@pytest.mark.parametrize("number", sampled([2, 9, 12, 21, 32, 35, 39], often=3))
def test_a_jumping_backtest_writes_what_one_that_asks_at_every_candle_writes(number: int, tmp_path: Path) -> None:
    assert compared(number, tmp_path)["enter SETUP_READY"] > 0


@pytest.mark.slow
def test_the_same_for_hundreds_of_rule_sets_in_which_everything_happens_often(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total: Counter[str] = Counter()
    for number in range(MANY):
        folder = tmp_path / str(number)
        folder.mkdir()
        total += compared(number, folder)
    with capsys.disabled():
        print(f"\n{MANY} rule sets, each walked in both ways, equal in every row:", file=sys.stderr)
        for name, count in sorted(total.items()):
            print(f"{count:7} {name}", file=sys.stderr)
    assert {name: total[name] for name, least in OFTEN.items() if total[name] < least} == {}
