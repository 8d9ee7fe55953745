"""Drawings count every trade, and texts in HTML never become markup."""

from __future__ import annotations

import re

import pytest

from fsm.backtest.report.drawings import histogram, nice_step, scatter
from fsm.backtest.report.html import table, tag, together


@pytest.mark.parametrize("values", [[0.5], [-1.0, -1.0, 2.0], [0.0] * 9, [-1e-12, 1e9], list(range(-50, 50))])
def test_a_histogram_counts_every_value_once(values: list[float]) -> None:
    counted = [int(count) for count in re.findall(r"<title>(\d+) from", histogram(values, "R", "label").html)]
    assert sum(counted) == len(values)


def test_without_trades_a_drawing_says_so() -> None:
    assert "No trade" in histogram([], "R", "label").html
    assert "No trade" in scatter([], "x", "y", "label").html


def test_a_scatter_has_a_dot_for_each_trade_inside_its_frame() -> None:
    drawn = scatter([(0.0, -1.0, False), (50.0, 3.0, True), (1.0, 0.5, True)], "x", "y", "label").html
    assert drawn.count("<circle") == 3
    assert all(0 <= float(x) <= 480 for x in re.findall(r'cx="([^"]+)"', drawn))
    assert all(0 <= float(y) <= 190 for y in re.findall(r'cy="([^"]+)"', drawn))


@pytest.mark.parametrize(("span", "parts", "step"), [(10, 10, 1.0), (10, 6, 2.0), (0.7, 3, 0.25), (0, 5, 1.0)])
def test_steps_are_round(span: float, parts: int, step: float) -> None:
    assert nice_step(span, parts) == pytest.approx(step)


def test_texts_and_attributes_are_escaped_and_pieces_are_not() -> None:
    evil = '"><script>alert(1)</script>'
    assert tag("p", evil, title=evil).html.count("<") == 2
    assert together(tag("b", "x"), evil).html.startswith("<b>x</b>&quot;&gt;&lt;script")
    assert "<script" not in table(evil, (evil, evil), [(evil, evil)]).html
