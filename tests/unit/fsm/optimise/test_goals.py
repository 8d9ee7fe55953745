"""Which variant is the best, by one objective, by several, and under requirements."""

from __future__ import annotations

import pytest

from fsm.optimise.goals import goal_of
from fsm.optimise.parameters import SearchError

RUNS = {
    1: {"sharpe": 1.0, "max_drawdown_pct": 5.0, "trades": 50, "profit_factor": None},
    2: {"sharpe": 2.0, "max_drawdown_pct": 20.0, "trades": 10, "profit_factor": 1.5},
    3: {"sharpe": 2.0, "max_drawdown_pct": 8.0, "trades": 40, "profit_factor": 1.2},
    4: {"sharpe": 0.5, "max_drawdown_pct": 9.0, "trades": 90, "profit_factor": 1.1},
}


def test_of_equals_the_one_with_the_lower_number() -> None:
    assert goal_of(("sharpe",), ()).ordered(RUNS) == [2, 3, 1, 4]


def test_a_drawdown_is_better_when_it_is_smaller() -> None:
    assert goal_of(("max_drawdown_pct",), ()).ordered(RUNS) == [1, 3, 4, 2]


def test_what_is_not_defined_is_the_worst() -> None:
    assert goal_of(("profit_factor",), ()).ordered(RUNS) == [2, 3, 4, 1]


def test_what_does_not_fulfil_the_requirements_is_not_chosen() -> None:
    assert goal_of(("sharpe",), ("trades>=40", "max_drawdown_pct < 9")).ordered(RUNS) == [3, 1]
    assert goal_of(("sharpe",), ("profit_factor>0",)).ordered(RUNS) == [2, 3, 4], "undefined fulfils nothing"


def test_several_objectives_count_by_places() -> None:
    """Places in sharpe: 2, 0, 0, 3; in drawdown: 0, 3, 1, 2."""
    goal = goal_of(("sharpe", "max_drawdown_pct"), ())
    assert goal.ordered(RUNS) == [3, 1, 2, 4]
    assert goal.front(RUNS) == [1, 3]


@pytest.mark.parametrize(
    ("objectives", "requirements", "message"),
    [
        (("sharp",), (), "no figure called sharp; an objective is one of: trades, "),
        (("sharpe",), ("trades=30",), "write it as 'trades>=30'"),
        (("sharpe",), ("luck>1",), "write it as 'trades>=30'"),
    ],
)
def test_what_is_no_goal_is_told(objectives: tuple[str, ...], requirements: tuple[str, ...], message: str) -> None:
    with pytest.raises(SearchError, match=message):
        goal_of(objectives, requirements)
