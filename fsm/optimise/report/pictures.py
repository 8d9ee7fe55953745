"""Pictures of variants, drawn without a script: heat maps of two parameters, parallel coordinates, curves."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import combinations

from fsm.backtest.report.html import Part, tag
from fsm.optimise.goals import Objective
from fsm.optimise.parameters import Parameter, Point
from rules.rewriting import Setting

WIDTH, LEFT, FOOT = 480, 62, 34
CELLS_MAX = 24
PAIRS_MAX = 6
LINES_MAX = 2_000
"""Lines that can still be told apart, and a page that still opens: of more variants, the best and every n-th other."""

_STOPS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Viridis: even for those who do not tell red from green, the brighter the better."""

Scores = Mapping[int, float]
"""By trial; larger is better."""


def colour(share: float) -> str:
    """From 0, the worst, to 1, the best."""
    place = min(max(share, 0.0), 1.0) * (len(_STOPS) - 1)
    index = min(int(place), len(_STOPS) - 2)
    mixed = (round(a + (b - a) * (place - index)) for a, b in zip(_STOPS[index], _STOPS[index + 1], strict=True))
    return "#" + "".join(f"{each:02x}" for each in mixed)


class Ranks:
    """What share of all variants a score is better than."""

    def __init__(self, scores: Scores) -> None:
        self._upwards = sorted(scores.values())

    def of(self, score: float) -> float:
        return bisect_left(self._upwards, score) / max(len(self._upwards) - 1, 1)


def heat_maps(
    parameters: Sequence[Parameter], points: Mapping[int, Point], scores: Scores, objective: Objective, best: int
) -> list[Part]:
    """One for each pair of parameters; of a single one, its values in a row."""
    ranks = Ranks(scores)
    if len(parameters) == 1:
        return [_heat_map(parameters[0], None, points, scores, ranks, objective, best)]
    pairs = list(combinations(parameters, 2))[:PAIRS_MAX]
    return [_heat_map(one, other, points, scores, ranks, objective, best) for one, other in pairs]


def _heat_map(
    across: Parameter,
    up: Parameter | None,
    points: Mapping[int, Point],
    scores: Scores,
    ranks: Ranks,
    objective: Objective,
    best: int,
) -> Part:
    """The median of all variants in each cell; the cell of the best one has a frame."""
    columns, rows = _cells(across, points), [("", 0.0)] if up is None else _cells(up, points)
    cells: dict[tuple[int, int], list[float]] = {}
    places = {}
    for trial, score in scores.items():
        place = (_place(across, points[trial], columns), 0 if up is None else _place(up, points[trial], rows))
        cells.setdefault(place, []).append(score)
        places[trial] = place
    height = 60 + FOOT if up is None else 260
    wide, high = (WIDTH - LEFT) / len(columns), (height - FOOT) / len(rows)
    drawn = [
        _cell(place, found, ranks, objective, wide, high, height, f"{across.name} {columns[place[0]][0]}", rows)
        for place, found in sorted(cells.items())
    ]
    if best in places:
        left, low = places[best]
        drawn.append(
            tag(
                "rect",
                x=f"{LEFT + left * wide + 1:.1f}",
                y=f"{height - FOOT - (low + 1) * high + 1:.1f}",
                width=f"{wide - 2:.1f}",
                height=f"{high - 2:.1f}",
                fill="none",
                stroke="#e0205a",
                stroke_width=2,
            )
        )
    every = max(1, -(-len(columns) // 8))
    ticks = [
        tag("text", text, x=f"{LEFT + (index + 0.5) * wide:.1f}", y=height - FOOT + 14, class_="tick")
        for index, (text, _) in enumerate(columns)
        if index % every == 0
    ]
    every = max(1, -(-len(rows) // 10))
    ticks += [
        tag("text", text, x=LEFT - 5, y=f"{height - FOOT - (index + 0.5) * high + 4:.1f}", class_="tick end")
        for index, (text, _) in enumerate(rows)
        if index % every == 0
    ]
    names = f"{across.name} across" + ("" if up is None else f", {up.name} up")
    ticks.append(tag("text", names, x=(WIDTH + LEFT) / 2, y=height - 4, class_="tick"))
    return _svg(f"{objective.figure}: {names}", height, *drawn, *ticks)


def _cell(
    place: tuple[int, int],
    found: Sequence[float],
    ranks: Ranks,
    objective: Objective,
    wide: float,
    high: float,
    height: int,
    column: str,
    rows: Sequence[tuple[str, float]],
) -> Part:
    median = statistics.median(found)
    row = rows[place[1]][0]
    told = (
        f"{column}{f', {row}' if row else ''}: {objective.figure} {objective.sign * median:.4g}, {len(found)} variants"
    )
    return tag(
        "rect",
        tag("title", told),
        x=f"{LEFT + place[0] * wide:.1f}",
        y=f"{height - FOOT - (place[1] + 1) * high:.1f}",
        width=f"{wide + 0.3:.1f}",
        height=f"{high + 0.3:.1f}",
        fill=colour(ranks.of(median)),
    )


def _cells(parameter: Parameter, points: Mapping[int, Point]) -> list[tuple[str, float]]:
    """(what it is called, where it begins from 0 to 1) of each column: its values, or ranges of them."""
    values: dict[Setting, float] = {
        point[parameter.name]: parameter.place(point[parameter.name]) for point in points.values() if point
    }
    if len(values) <= CELLS_MAX:
        return [(_short(value), place) for value, place in sorted(values.items(), key=lambda item: item[1])]
    span = parameter.high - parameter.low
    return [(_short(parameter.low + span * part / CELLS_MAX), part / CELLS_MAX) for part in range(CELLS_MAX)]


def _place(parameter: Parameter, point: Point, cells: Sequence[tuple[str, float]]) -> int:
    place = parameter.place(point[parameter.name])
    return max(index for index, (_, begins) in enumerate(cells) if begins <= place + 1e-9)


def parallel(
    parameters: Sequence[Parameter], points: Mapping[int, Point], scores: Scores, objective: Objective, best: int
) -> Part:
    """A line for each variant through its value of each parameter to its objective; the best one is thick."""
    wide, height, top = 960, 340, 24
    ranks = Ranks(scores)
    step = (wide - 140) / len(parameters)
    order = sorted(scores, key=lambda trial: (scores[trial], -trial))
    if len(order) > LINES_MAX:
        half = LINES_MAX // 2
        order = order[:-half][:: -(-(len(order) - half) // half)] + order[-half:]
    low = high = 0.0
    finite = [score for score in scores.values() if score > float("-inf")]
    if finite:
        low, high = min(finite), max(finite)

    def height_of(share: float) -> float:
        return top + (1 - share) * (height - top - 20)

    lines = []
    for trial in [*order, best]:
        score = max(scores[trial], low)
        shares = [each.place(points[trial][each.name]) for each in parameters]
        shares.append((score - low) / (high - low) if high > low else 0.5)
        path = " ".join(f"{70 + index * step:.1f},{height_of(share):.1f}" for index, share in enumerate(shares))
        is_best = trial == best
        lines.append(
            tag(
                "polyline",
                points=path,
                fill="none",
                stroke="#e0205a" if is_best else colour(ranks.of(scores[trial])),
                stroke_width=2.5 if is_best else 1,
                stroke_opacity=1 if is_best else 0.45,
            )
        )
    axes = []
    ends = [
        *((each.name, *_ends(each)) for each in parameters),
        (objective.figure, f"{objective.sign * low:.4g}", f"{objective.sign * high:.4g}"),
    ]
    for index, (name, bottom, upper) in enumerate(ends):
        x = f"{70 + index * step:.1f}"
        axes += [
            tag("line", x1=x, x2=x, y1=top, y2=height - 20, class_="axis"),
            tag("text", upper, x=x, y=top - 3, class_="tick"),
            tag("text", bottom, x=x, y=height - 8, class_="tick"),
            tag("text", name, x=x, y=10, class_="tick"),
        ]
    label = "Parallel coordinates: each line is a variant, the brighter the better"
    return tag("svg", *axes, *lines, viewBox=f"0 0 {wide} {height}", role="img", aria_label=label, class_="drawing")


def _ends(parameter: Parameter) -> tuple[str, str]:
    if parameter.options:
        return parameter.options[0], parameter.options[-1]
    return _short(parameter.low), _short(parameter.high)


def curves(named: Sequence[tuple[str, str, Sequence[float]]], label: str) -> Part:
    """Growth of 1, day by day, of (name, colour, returns)."""
    wide, height = 960, 260
    grown = [(name, stroke, _grown(returns)) for name, stroke, returns in named]
    every = [value for _, _, values in grown for value in values]
    low, high = min(every), max(every)
    span = (high - low) or 1.0

    def y_of(value: float) -> float:
        return 10 + (1 - (value - low) / span) * (height - 40)

    lines = []
    for _, stroke, values in grown:
        step = (wide - 80) / max(len(values) - 1, 1)
        path = " ".join(f"{60 + index * step:.1f},{y_of(value):.1f}" for index, value in enumerate(values))
        lines.append(tag("polyline", points=path, fill="none", stroke=stroke, stroke_width=1.8))
    ticks = [
        tag("text", f"{100 * (value - 1):+.1f} %", x=54, y=f"{y_of(value) + 4:.1f}", class_="tick end")
        for value in (low, high)
    ]
    zero = tag("line", x1=60, x2=wide - 20, y1=f"{y_of(1.0):.1f}", y2=f"{y_of(1.0):.1f}", class_="axis")
    legend = [
        tag("text", name, x=60 + 300 * index, y=height - 6, fill=stroke, font_size=13)
        for index, (name, stroke, _) in enumerate(grown)
    ]
    return tag(
        "svg", zero, *lines, *ticks, *legend, viewBox=f"0 0 {wide} {height}", role="img", aria_label=label,
        class_="drawing",
    )  # fmt: skip


def _grown(returns: Sequence[float]) -> list[float]:
    values = [1.0]
    for made in returns:
        values.append(values[-1] * (1 + made))
    return values


def _svg(label: str, height: int, *children: Part) -> Part:
    return tag("svg", *children, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label, class_="drawing")


def _short(value: Setting) -> str:
    return value if isinstance(value, str) else f"{value:.5g}"
