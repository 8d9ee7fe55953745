"""Small drawings of how trades are spread: histograms, and excursions against results. No script is needed for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fsm.backtest.report.html import Part, tag

WIDTH, HEIGHT, FOOT = 480, 190, 26
LEFT = 34
BARS_MAX = 24
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


def nice_step(span: float, parts: int) -> float:
    """A round step that cuts a span into at most so many parts."""
    if span <= 0:
        return 1.0
    rough = span / parts
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * each for each in NICE if power * each >= rough * (1 - 1e-9))


def histogram(values: Sequence[float], unit: str, label: str, *, signed: bool = True) -> Part:
    """How many values fall into each of equal ranges; ``signed``: losses are red."""
    if not values:
        return tag("p", "No trade.", class_="quiet")
    low, high = min(values), max(values)
    step = nice_step(high - low, BARS_MAX)
    first = math.floor(low / step)
    counts = [0] * (math.floor(high / step) - first + 1)
    for value in values:
        counts[math.floor(value / step) - first] += 1
    most, width = max(counts), (WIDTH - LEFT) / len(counts)
    bars = [
        tag(
            "rect",
            tag(
                "title", f"{count} from {_short((first + index) * step)} to {_short((first + index + 1) * step)} {unit}"
            ),
            x=f"{LEFT + index * width + 0.5:.1f}",
            y=f"{(HEIGHT - FOOT) * (1 - count / most):.1f}",
            width=f"{max(width - 1, 0.5):.1f}",
            height=f"{(HEIGHT - FOOT) * count / most:.1f}",
            class_="lossbar" if signed and first + index < 0 else "gainbar",
        )
        for index, count in enumerate(counts)
        if count
    ]
    every = max(1, -(-len(counts) // 8))
    ticks = [
        tag("text", _short((first + index) * step), x=f"{LEFT + index * width:.1f}", y=HEIGHT - 8, class_="tick")
        for index in range(0, len(counts) + 1, every)
    ]
    return _svg(label, tag("text", str(most), x=LEFT - 5, y=12, class_="tick end"), *bars, *ticks)


def scatter(points: Sequence[tuple[float, float, bool]], across: str, up: str, label: str) -> Part:
    """One dot for each (x, y, won)."""
    if not points:
        return tag("p", "No trade whose excursions are known.", class_="quiet")
    highest_x = _robust([x for x, _, _ in points])
    low_y, high_y = min(0.0, _robust([y for _, y, _ in points], low=True)), max(0.0, _robust([y for _, y, _ in points]))
    span_x, span_y = highest_x or 1.0, (high_y - low_y) or 1.0
    room = HEIGHT - FOOT - 8

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + 4 + min(x / span_x, 1.0) * (WIDTH - LEFT - 10), 4 + (
            1 - min(max((y - low_y) / span_y, 0.0), 1.0)
        ) * room

    dots = []
    for x, y, won in points:
        left, top = place(x, y)
        dots.append(tag("circle", cx=f"{left:.1f}", cy=f"{top:.1f}", r="2.4", class_="wondot" if won else "lostdot"))
    zero = place(0, 0)[1]
    step_x, step_y = nice_step(span_x, 6), nice_step(span_y, 5)
    ticks = [
        tag("text", _short(index * step_x), x=f"{place(index * step_x, 0)[0]:.1f}", y=HEIGHT - 8, class_="tick")
        for index in range(int(span_x / step_x) + 1)
    ] + [
        tag("text", _short(index * step_y), x=LEFT - 5, y=f"{place(0, index * step_y)[1] + 4:.1f}", class_="tick end")
        for index in range(math.ceil(low_y / step_y), int(high_y / step_y) + 1)
    ]
    axis = tag("line", x1=LEFT, x2=WIDTH, y1=f"{zero:.1f}", y2=f"{zero:.1f}", class_="axis")
    words = tag("p", f"Across: {across}; up: {up}. Green trades won.", class_="quiet")
    return Part(_svg(label, axis, *dots, *ticks).html + words.html)


def _robust(values: Sequence[float], *, low: bool = False) -> float:
    """Where the scale ends: a few far trades lie on its edge, so that the others are told apart."""
    ordered = sorted(values)
    place = int(len(ordered) * (0.01 if low else 0.99))
    return ordered[min(place, len(ordered) - 1)]


def _svg(label: str, *children: Part) -> Part:
    return tag("svg", *children, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="drawing")


def _short(value: float) -> str:
    return f"{value:.10g}" if abs(value) < 1e-9 or abs(value) >= 0.001 else f"{value:.1e}"
