"""Forty figures worked out by hand, and what holds for a curve wherever it is cut."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm.backtest.curve import (
    Curve,
    calmar,
    daily_returns,
    longest_drawdown_days,
    max_drawdown_pct,
    return_yearly_pct,
    sharpe,
    since,
    sortino,
)
from fsm.backtest.summary import results, sequence
from tests.unit.fsm.backtest.test_summary import DAY_MS, trade

HOUR_MS = 3_600_000


def daily(*equities: str) -> list[tuple[int, Decimal]]:
    """Equity at midnight after midnight."""
    return [(day * DAY_MS, Decimal(equity)) for day, equity in enumerate(equities)]


UP_DOWN_UP = daily("100", "110", "99", "108.9")  # +10 %, -10 %, +10 %
FALLING = daily("100", "90", "81")  # -10 %, -10 %
FLAT = daily("100", "100", "100")
STEADY = daily("100", "101", "102.01")  # +1 %, +1 %
ONE = daily("100")
BACK = daily("100", "80", "100")  # -20 %, +25 %
HALVED = daily("100", "200", "100")  # +100 %, -50 %
YEAR = [(0, Decimal(100)), (100 * DAY_MS, Decimal(80)), (365 * DAY_MS, Decimal(120))]
TWO_YEARS = [(0, Decimal(100)), (730 * DAY_MS, Decimal(121))]
FOUR_WEEKS = [(0, Decimal(100)), (28 * DAY_MS, Decimal(110))]
INSIDE_A_DAY = [(0, Decimal(100)), (HOUR_MS, Decimal(70)), (2 * HOUR_MS, Decimal(105)), (DAY_MS, Decimal(100))]

# of a curve: figure, curve, what a pencil says, how it gets there
CURVES: list[tuple[Callable[[Curve], float | None], Curve, float | None, str]] = [
    (max_drawdown_pct, UP_DOWN_UP, 10.0, "(110 - 99) / 110"),
    (max_drawdown_pct, FALLING, 19.0, "(100 - 81) / 100"),
    (max_drawdown_pct, BACK, 20.0, "(100 - 80) / 100"),
    (max_drawdown_pct, HALVED, 50.0, "(200 - 100) / 200"),
    (max_drawdown_pct, FLAT, 0.0, "never below a high"),
    (max_drawdown_pct, INSIDE_A_DAY, 30.0, "(100 - 70) / 100, within one day"),
    (
        sharpe,
        UP_DOWN_UP,
        5.515131,
        "mean 1/30; deviations 2/30, -4/30, 2/30; sqrt(24/900 / 2) = 0.115470; 0.288675 √365",
    ),
    (sharpe, BACK, 1.501028, "mean 0.025; deviations ±0.225; sqrt(0.10125) = 0.318198; 0.0785674 √365"),
    (sharpe, HALVED, 4.503085, "mean 0.25; deviations ±0.75; sqrt(1.125) = 1.060660; 0.235702 √365"),
    (sharpe, FALLING, 0.0, "equal returns"),
    (sharpe, STEADY, 0.0, "equal returns"),
    (sharpe, FLAT, 0.0, "no movement"),
    (sharpe, ONE, 0.0, "fewer than two days"),
    (sharpe, INSIDE_A_DAY, 0.0, "one day"),
    (sortino, UP_DOWN_UP, 11.030262, "1/30 / sqrt(0.01 / 3) = 0.577350; times √365"),
    (sortino, FALLING, -19.104973, "-0.1 / sqrt(0.02 / 2) = -1; times √365"),
    (sortino, BACK, 3.377314, "0.025 / sqrt(0.04 / 2) = 0.176777; times √365"),
    (sortino, STEADY, None, "no losing day"),
    (sortino, FLAT, None, "no losing day"),
    (return_yearly_pct, YEAR, 20.0, "120 / 100 in one year"),
    (return_yearly_pct, TWO_YEARS, 10.0, "sqrt(1.21) - 1"),
    (return_yearly_pct, FOUR_WEEKS, 246.404254, "1.1 ** (365 / 28) - 1 = exp(0.0953102 × 13.035714) - 1"),
    (return_yearly_pct, UP_DOWN_UP, None, "less than four weeks"),
    (calmar, YEAR, 1.0, "20 % / 20 %"),
    (calmar, TWO_YEARS, None, "nothing was ever lost"),
    (longest_drawdown_days, UP_DOWN_UP, 2.0, "from the second midnight to the end"),
    (longest_drawdown_days, YEAR, 365.0, "from the start until 100 is reached again, which is seen at the end"),
    (longest_drawdown_days, INSIDE_A_DAY, 0.916667, "22 hours from 105 to the end, longer than the 2 before"),
    (longest_drawdown_days, STEADY, 0.0, "never below a high"),
]

# of trades: nets (and R), figure, what a pencil says
TRADES: list[tuple[tuple[tuple[str, str], ...], str, float | None]] = [
    ((("10", "2"), ("-5", "-1")), "expectancy_r", 0.5),
    ((("10", "2"), ("-5", "-1")), "profit_factor", 2.0),
    ((("10", "2"), ("-5", "-1")), "payoff", 2.0),
    ((("10", "2"), ("-5", "-1")), "win_rate_pct", 50.0),
    ((("10", "2"), ("-5", "-1")), "expectancy_usdt", 2.5),
    ((("9", "1"), ("3", "1"), ("-4", "-1")), "average_win_usdt", 6.0),
    ((("9", "1"), ("3", "1"), ("-4", "-1")), "profit_factor", 3.0),
    ((("9", "1"), ("3", "1"), ("-4", "-1")), "payoff", 1.5),
    ((("9", "1"), ("3", "1"), ("-4", "-1")), "expectancy_r", 0.333333),
    ((("7", "0.7"),), "expectancy_usdt", 7.0),
    ((("7", "0.7"),), "profit_factor", None),
    ((("-7", "-1"),), "profit_factor", 0.0),
    ((("0", "0"),), "losses", 1),
    ((), "win_rate_pct", None),
]


@pytest.mark.parametrize(
    ("figure", "curve", "expected", "how"), CURVES, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_figure_of_a_curve_is_what_a_pencil_says(
    figure: Callable[[Curve], float | None], curve: Curve, expected: float | None, how: str
) -> None:
    assert figure(curve) == (None if expected is None else pytest.approx(expected, abs=1.5e-6)), how


@pytest.mark.parametrize(("trades", "figure", "expected"), TRADES)
def test_a_figure_of_trades_is_what_a_pencil_says(
    trades: tuple[tuple[str, str], ...], figure: str, expected: float | None
) -> None:
    assert results([trade(net, r) for net, r in trades])[figure] == expected


def test_there_are_at_least_forty_of_them() -> None:
    assert len(CURVES) + len(TRADES) >= 40


# --- a curve that is cut anywhere ----------------------------------------------------------------------------


@st.composite
def cut_curves(draw: st.DrawFn) -> tuple[list[tuple[int, Decimal]], int]:
    """Readings at any times, and the number of the reading at which the curve is cut."""
    steps = draw(st.lists(st.integers(1, 3 * DAY_MS), min_size=2, max_size=60))
    equities = draw(st.lists(st.decimals("1", "100000", places=2), min_size=len(steps), max_size=len(steps)))
    at_ms, curve = 0, []
    for step, equity in zip(steps, equities, strict=True):
        at_ms += step
        curve.append((at_ms, equity))
    return curve, draw(st.integers(0, len(curve) - 1))


@given(cut_curves())
def test_returns_compound_over_a_cut_and_money_adds(given_: tuple[list[tuple[int, Decimal]], int]) -> None:
    curve, at = given_
    before, after = curve[: at + 1], since(curve, curve[at][0])
    compounded = [math.prod(1 + each for each in daily_returns(part)) for part in (before, after, curve)]
    assert compounded[0] * compounded[1] == pytest.approx(compounded[2], rel=1e-9)
    money = [part[-1][1] - part[0][1] for part in (before, after, curve)]
    assert money[0] + money[1] == money[2]


@given(cut_curves())
def test_no_part_has_a_larger_drawdown_than_the_whole(given_: tuple[list[tuple[int, Decimal]], int]) -> None:
    curve, at = given_
    whole = max_drawdown_pct(curve)
    parts = curve[: at + 1], since(curve, curve[at][0])
    assert max(max_drawdown_pct(part) for part in parts) <= whole
    assert max(longest_drawdown_days(part) for part in parts) <= longest_drawdown_days(curve) + 1e-6


@given(st.lists(st.integers(-100, 100), max_size=30), st.integers(0, 30))
def test_figures_of_trades_add_up_over_a_cut(nets: list[int], at: int) -> None:
    trades = [trade(str(net), str(net)) for net in nets]
    whole, first, second = (results(part) for part in (trades, trades[:at], trades[at:]))
    for name in ("trades", "wins", "losses", "net_pnl_usdt", "fees_usdt", "funding_usdt"):
        assert first[name] + second[name] == pytest.approx(whole[name])
    streaks: list[dict[str, Any]] = [sequence(part) for part in (trades[:at], trades[at:])]
    assert max(each["wins_in_a_row"] for each in streaks) <= sequence(trades)["wins_in_a_row"]
