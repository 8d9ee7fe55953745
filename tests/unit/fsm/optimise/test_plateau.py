"""A good point among bad neighbours is called that."""

from __future__ import annotations

import pytest

from fsm.optimise.goals import goal_of
from fsm.optimise.parameters import Parameter, grid
from fsm.optimise.plateau import neighbours, plateau

PARAMETERS = (
    Parameter(name="a", low=0, high=20, step=1),
    Parameter(name="b", low=0, high=2, step=1),
    Parameter(name="c", options=("one", "other")),
)
POINTS = dict(enumerate(grid(PARAMETERS), start=1))
GOAL = goal_of(("sharpe",), ())
MIDDLE = next(number for number, point in POINTS.items() if point == {"a": 10, "b": 1, "c": "one"})


def told(sharpe_of: dict[int, float]) -> str:
    figures = {number: {"sharpe": sharpe_of.get(number, 0.0)} for number in POINTS}
    return str(plateau(PARAMETERS, POINTS, figures, GOAL, MIDDLE)["verdict"])


def test_neighbours_are_a_step_or_a_tenth_away_and_have_the_same_options() -> None:
    around = [POINTS[number] for number in neighbours(PARAMETERS, POINTS, MIDDLE)]
    assert len(around) == 5 * 3 - 1
    assert {point["a"] for point in around} == {8, 9, 10, 11, 12}
    assert {point["c"] for point in around} == {"one"}


def test_good_neighbours_make_a_plateau() -> None:
    around = neighbours(PARAMETERS, POINTS, MIDDLE)
    assert told({MIDDLE: 2.0} | dict.fromkeys(around, 1.5)) == "PLATEAU"


def test_a_good_point_among_bad_neighbours_is_a_peak() -> None:
    around = neighbours(PARAMETERS, POINTS, MIDDLE)
    assert told({MIDDLE: 2.0} | dict.fromkeys(around, -1.0)) == "PEAK"
    assert told({MIDDLE: 2.0}) == "PEAK", "where all others are alike, nothing speaks for the ground around it"


def test_neighbours_that_are_better_than_most_are_a_slope() -> None:
    around = neighbours(PARAMETERS, POINTS, MIDDLE)
    worse = [number for number in POINTS if number not in around and number != MIDDLE]
    assert told({MIDDLE: 2.0} | dict.fromkeys(around, 1.0) | dict.fromkeys(worse[: len(worse) // 3], 1.2)) == "SLOPE"


def test_nothing_is_told_where_too_few_were_tried() -> None:
    points = {1: {"a": 10, "b": 1, "c": "one"}, 2: {"a": 11, "b": 1, "c": "one"}, 3: {"a": 0, "b": 0, "c": "other"}}
    found = plateau(PARAMETERS, points, {number: {"sharpe": 1.0} for number in points}, GOAL, 1)
    assert (found["neighbours"], found["verdict"]) == (1, "UNKNOWN")


@pytest.mark.parametrize("figure", ["max_drawdown_pct"])
def test_a_figure_that_should_be_small_is_turned_round(figure: str) -> None:
    around = neighbours(PARAMETERS, POINTS, MIDDLE)
    figures = {number: {figure: 1.0 if number in around or number == MIDDLE else 30.0} for number in POINTS}
    found = plateau(PARAMETERS, POINTS, figures, goal_of((figure,), ()), MIDDLE)
    assert (found["verdict"], found["median"]) == ("PLATEAU", 1.0)
