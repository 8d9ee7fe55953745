"""Looks around the best variant: on a plateau its neighbours are good too, a lone peak is most likely luck."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fsm.optimise.goals import Figures, Goal
from fsm.optimise.parameters import Parameter, Point

REACH = 0.1
"""Part of a range within which a value is a neighbour, where steps are smaller."""

NEIGHBOURS_MIN = 3
GOOD_SHARE = 0.75
"""Neighbours whose median is better than so many of all variants stand on a plateau with it."""


def neighbours(parameters: Sequence[Parameter], points: Mapping[int, Point], trial: int) -> list[int]:
    """Variants that differ from one by a step, or by a tenth of the range, in each parameter at most."""
    own = points[trial]
    reaches = [_reach(each) for each in parameters]
    return [
        number
        for number, point in points.items()
        if number != trial
        and len(point) == len(own)
        and all(
            abs(each.place(point[each.name]) - each.place(own[each.name])) <= reach + 1e-9
            for each, reach in zip(parameters, reaches, strict=True)
        )
    ]


def _reach(parameter: Parameter) -> float:
    if parameter.options:
        return 0.0  # another option is another thing, and no neighbour
    step = 0.0 if parameter.step is None else parameter.step / (parameter.high - parameter.low)
    return max(step, REACH)


def plateau(
    parameters: Sequence[Parameter],
    points: Mapping[int, Point],
    figures: Mapping[int, Figures],
    goal: Goal,
    trial: int,
) -> dict[str, Any]:
    """How the neighbours of a variant do, and a verdict. Refused neighbours are left out."""
    objective = goal.objectives[0]
    scores = {number: objective.score(each) for number, each in figures.items() if points.get(number)}
    around = [number for number in neighbours(parameters, points, trial) if number in scores]
    if len(around) < NEIGHBOURS_MIN:
        told = "too few neighbours were tried to tell a plateau from a lone peak"
        return {
            "neighbours": len(around),
            "median": None,
            "better_than_share": None,
            "verdict": "UNKNOWN",
            "told": told,
        }
    median = statistics.median(scores[number] for number in around)
    share = sum(1 for score in scores.values() if score < median) / len(scores)
    verdict, told = _verdict(share)
    return {
        "neighbours": len(around),
        "median": round(objective.sign * median, 6) if median != float("-inf") else None,
        "better_than_share": round(share, 6),
        "verdict": verdict,
        "told": told,
    }


def _verdict(share: float) -> tuple[str, str]:
    if share >= GOOD_SHARE:
        return "PLATEAU", "a plateau: its neighbours are good too"
    if share >= 0.5:
        return "SLOPE", "a slope: its neighbours are better than most, and not as good"
    return "PEAK", "a good point among bad neighbours: most likely luck"
