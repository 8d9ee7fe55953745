"""Batches of Optuna: they learn, draw no point twice, and depend on nothing but what came before."""

from __future__ import annotations

from fsm.optimise.goals import Figures, goal_of
from fsm.optimise.parameters import Parameter, Point
from fsm.optimise.sampler import BATCH, next_batch

PARAMETERS = (
    Parameter(name="a", low=0, high=50, step=1),
    Parameter(name="b", low=0.1, high=0.9),
    Parameter(name="c", options=("one", "other")),
)
GOAL = goal_of(("sharpe",), ("trades>=5",))


def came_of(point: Point) -> Figures | None:
    """Best at a = 40, b = 0.5, c = other; refused below 3."""
    a, b = float(point["a"]), float(point["b"])
    if a < 3:
        return None
    return {"sharpe": 2 - abs(a - 40) / 10 - abs(b - 0.5) + (point["c"] == "other"), "trades": 3 if a > 48 else 9}


def searched(count: int, *, seed: int = 1, search: int = 0) -> list[Point]:
    tried: list[tuple[Point, Figures | None]] = []
    while len(tried) < count:
        most = count - len(tried)
        batch = next_batch(PARAMETERS, GOAL, tried, seed=seed, search=search, most=most)
        assert len(batch) == min(BATCH, most)
        tried += [(point, came_of(point)) for point in batch]
    return [point for point, _ in tried]


def test_points_are_values_that_the_parameters_can_have_and_none_comes_twice() -> None:
    points = searched(60)
    assert len({tuple(point.values()) for point in points}) == 60
    assert all(point["a"] in PARAMETERS[0].values and point["c"] in ("one", "other") for point in points)
    assert all(0.1 <= float(point["b"]) <= 0.9 and len(str(point["b"])) <= 8 for point in points)


def test_it_is_the_same_for_a_seed_and_another_for_another_search() -> None:
    assert searched(30) == searched(30)
    assert searched(30)[:24] == searched(24), "what came before decides, and not how many are wanted"
    assert searched(16) != searched(16, seed=2)
    assert searched(16) != searched(16, search=1)


def test_it_learns_where_it_is_good() -> None:
    late = searched(80)[48:]
    near = [point for point in late if abs(float(point["a"]) - 40) <= 8]
    assert len(near) > len(late) / 2, "at random a third would be"


def test_it_ends_where_there_is_nothing_left_to_try() -> None:
    few = (Parameter(name="a", low=0, high=4, step=1),)
    tried: list[tuple[Point, Figures | None]] = []
    for _ in range(3):
        tried += [(point, {"sharpe": float(point["a"])}) for point in next_batch(
            few, goal_of(("sharpe",), ()), tried, seed=1, search=0, most=100
        )]  # fmt: skip
    assert sorted(point["a"] for point, _ in tried) == [0, 1, 2, 3, 4]  # type: ignore[type-var]


def test_several_objectives_are_told() -> None:
    goal = goal_of(("sharpe", "max_drawdown_pct"), ())
    tried: list[tuple[Point, Figures | None]] = [
        ({"a": a, "b": 0.5, "c": "one"}, {"sharpe": a / 10, "max_drawdown_pct": float(a)}) for a in range(24)
    ]
    assert len(next_batch(PARAMETERS, goal, tried, seed=1, search=0, most=4)) == 4
