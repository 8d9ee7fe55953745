"""What --vary and ranges in the rules mean, and which points come of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.optimise.parameters import Parameter, SearchError, drawn, grid, parameters_of
from rules.load import Ruleset, parse_rules

TEXT = (Path(__file__).parents[4] / "rules.yaml").read_text("utf-8")
RANGED = TEXT.replace("adx_trend: 25 ", "adx_trend: {value: 25, range: [23, 40], step: 1} ").replace(
    "spike: 1.4 ", "spike: {value: 1.4, range: [1.2, 2]} "
)


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return parse_rules(TEXT, "rules.yaml")


def test_ranges_of_the_rules_are_varied_where_nothing_else_is_said() -> None:
    found = parameters_of(parse_rules(RANGED, "rules.yaml"), ())
    assert found == (
        Parameter(name="adx_trend", low=23, high=40, step=1),
        Parameter(name="spike", low=1.2, high=2, step=None),
    )


def test_what_is_typed_stands_instead_of_the_ranges() -> None:
    found = parameters_of(parse_rules(RANGED, "rules.yaml"), ("adx_trend", "spike=1.3..1.5:0.1", "first_target"))
    assert [each.told() for each in found] == [
        "adx_trend: 23 to 40, in steps of 1",
        "spike: 1.3 to 1.5, in steps of 0.1",
        "first_target: mid_band, ema20",
    ]


def test_steps_are_the_numbers_that_one_would_type(rules: Ruleset) -> None:
    (found,) = parameters_of(rules, ("spike=1.3..1.6:0.1",))
    assert found.values == (1.3, 1.4, 1.5, 1.6)
    (found,) = parameters_of(rules, ("spike=1.3..1.4:0.1",))
    assert found.values == (1.3, 1.4), "though 1.4 - 1.3 is less than 0.1 in floats"
    (found,) = parameters_of(rules, ("adx_trend=20..30:4",))
    assert found.values == (20, 24, 28)
    assert all(isinstance(value, int) for value in found.values)


def test_a_grid_is_every_combination_the_last_parameter_quickest(rules: Ruleset) -> None:
    points = grid(parameters_of(rules, ("adx_trend=25..27:2", "first_target")))
    assert points == [
        {"adx_trend": 25, "first_target": "mid_band"},
        {"adx_trend": 25, "first_target": "ema20"},
        {"adx_trend": 27, "first_target": "mid_band"},
        {"adx_trend": 27, "first_target": "ema20"},
    ]


def test_random_points_are_all_different_and_the_same_for_a_seed(rules: Ruleset) -> None:
    parameters = parameters_of(rules, ("adx_trend=20..40:1", "spike=1.2..2"))
    points = drawn(parameters, 100, 7)
    assert points == drawn(parameters, 100, 7)
    assert points[:50] == drawn(parameters, 50, 7), "more points are these and more"
    assert points != drawn(parameters, 100, 8)
    assert len({tuple(point.values()) for point in points}) == 100
    assert all(20 <= point["adx_trend"] <= 40 and 1.2 <= point["spike"] <= 2 for point in points)  # type: ignore[operator]


def test_more_random_points_than_there_are_is_the_whole_grid(rules: Ruleset) -> None:
    parameters = parameters_of(rules, ("adx_trend=20..24:2",))
    assert drawn(parameters, 100, 1) == [{"adx_trend": 20}, {"adx_trend": 22}, {"adx_trend": 24}]


@pytest.mark.parametrize(
    ("varied", "message"),
    [
        ((), "nothing to vary: rules.yaml has no threshold with a range"),
        (("adx=1..2",), "no threshold or choice called adx; there are: adx_trend, "),
        (("adx_trend=30..20",), "from a number to a larger one"),
        (("adx_trend=20..30:0",), "a step is larger than 0"),
        (("adx_trend=20-30",), "write it as adx_trend=15..40"),
        (("adx_trend",), "adx_trend has no range in rules.yaml"),
        (("first_target=mid_band",), "needs two options"),
        (("first_target=mid_band,upper",), "no option upper; there are: mid_band, ema20"),
        (("adx_trend=20..30:1", "adx_trend=25..40:1"), "adx_trend is to be varied twice"),
    ],
)
def test_what_cannot_be_varied_is_told_with_what_can(rules: Ruleset, varied: tuple[str, ...], message: str) -> None:
    with pytest.raises(SearchError, match=message):
        parameters_of(rules, varied)


def test_a_grid_without_steps_or_without_end_is_refused(rules: Ruleset) -> None:
    with pytest.raises(SearchError, match=r"without steps, which no grid can do.*spike=1\.2\.\.2:STEP"):
        grid(parameters_of(rules, ("spike=1.2..2",)))
    with pytest.raises(SearchError, match="too large"):
        grid(parameters_of(rules, ("spike=1..2:0.001", "expansion=1..200:1")))
