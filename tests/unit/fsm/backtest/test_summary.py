"""Sums of a run, checked by hand."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from msgspec.structs import replace

from fsm.backtest.curve import (
    calmar,
    daily_returns,
    drawdowns,
    longest_drawdown_days,
    max_drawdown_pct,
    return_yearly_pct,
    sharpe,
    sortino,
    thinned,
)
from fsm.backtest.summary import grouped, money, results, sequence
from fsm.core.model.records import EntryLeg, Trade, TradeSide

DAY_MS = 86_400_000


def trade(net: str, r: str, *, symbol: str = "BTCUSDT", fees: str = "1", funding: str = "0") -> Trade:
    entry = EntryLeg(client_id="x", type="MARKET", quantity=Decimal(1), price=None, expires_ms=None)
    blank = Trade(
        id=f"{symbol}-1",
        number=1,
        symbol=symbol,
        side=TradeSide.LONG,
        strategy="s",
        regime="TREND",
        rules_hash="",
        config_hash="",
        signal_candle_ms=0,
        opened_ms=0,
        quantity=Decimal(1),
        entry_price_planned=Decimal(1),
        stop_price_initial=Decimal(1),
        risk_usdt=Decimal(1),
        entry=entry,
    )
    return replace(blank, net_pnl=Decimal(net), r=Decimal(r), fees=Decimal(fees), funding=Decimal(funding))


def test_wins_losses_and_sums_are_those_of_the_trades() -> None:
    found = results([trade("10", "2"), trade("-5", "-1", funding="-0.5"), trade("0", "0")])
    assert found == {
        "trades": 3,
        "wins": 1,
        "losses": 2,
        "net_pnl_usdt": 5.0,
        "fees_usdt": 3.0,
        "funding_usdt": -0.5,
        "expectancy_r": 0.333333,
        "win_rate_pct": 33.333333,
        "profit_factor": 2.0,
        "average_win_usdt": 10.0,
        "average_loss_usdt": -2.5,
        "payoff": 4.0,
        "expectancy_usdt": 1.66666667,
    }


def test_what_has_nothing_to_divide_by_is_none_and_never_infinite() -> None:
    nothing = results([])
    for name in ("win_rate_pct", "profit_factor", "average_win_usdt", "average_loss_usdt", "payoff", "expectancy_usdt"):
        assert nothing[name] is None, name
    winning, losing = results([trade("10", "1")]), results([trade("-10", "-1")])
    assert (winning["profit_factor"], winning["payoff"], winning["average_loss_usdt"]) == (None, None, None)
    assert (losing["profit_factor"], losing["payoff"], losing["average_win_usdt"]) == (0.0, None, None)


def test_streaks_follow_the_order_in_which_trades_ended_and_hours_run_from_the_first_fill() -> None:
    hour = 3_600_000
    ends = [(5, "1"), (1, "1"), (2, "-1"), (3, "-1"), (4, "-1"), (6, "1")]
    trades = [replace(trade(net, "1"), closed_ms=at * hour, first_fill_ms=0, id=str(at)) for at, net in ends]
    assert sequence(trades) == {
        "wins_in_a_row": 2,
        "losses_in_a_row": 3,
        "hours_held_mean": 3.5,
        "hours_held_median": 3.5,
    }
    assert sequence([])["losses_in_a_row"] == 0
    assert sequence([])["hours_held_mean"] is None


def test_no_trades_have_no_expectancy_rather_than_a_crash() -> None:
    assert results([])["expectancy_r"] == 0.0


def test_groups_come_in_the_order_of_their_names() -> None:
    found = grouped([trade("1", "1", symbol="XRPUSDT"), trade("2", "1", symbol="ADAUSDT")], lambda t: t.symbol)
    assert list(found) == ["ADAUSDT", "XRPUSDT"]
    assert found["XRPUSDT"]["net_pnl_usdt"] == 1.0


def test_a_single_group_has_what_all_have_together() -> None:
    trades = [trade("1", "1"), trade("2", "-1"), trade("3", "4")]
    together = results(trades)
    alone = grouped(trades, lambda t: t.symbol, together)
    assert alone == grouped(trades, lambda t: t.symbol) == {trades[0].symbol: together}
    assert alone[trades[0].symbol] is not together
    assert grouped([], lambda t: t.symbol, results([])) == {}


def test_money_has_the_eight_decimals_of_the_exchange() -> None:
    assert money(Decimal("1.123456789")) == 1.12345679


@pytest.mark.parametrize(
    ("equities", "worst"),
    [((100, 120, 90, 110), 25.0), ((100, 101, 102), 0.0), ((), 0.0), ((100, 50, 200, 150), 50.0)],
)
def test_drawdown_is_the_largest_fall_from_a_high(equities: tuple[int, ...], worst: float) -> None:
    assert max_drawdown_pct([(n, Decimal(e)) for n, e in enumerate(equities)]) == worst


def test_sharpe_is_the_yearly_ratio_of_daily_returns() -> None:
    curve = [(day * DAY_MS, Decimal(equity)) for day, equity in enumerate((100, 110, 99))]
    mean, deviation = 0.0, math.sqrt(((0.1) ** 2 + (-0.1) ** 2) / 1)
    assert sharpe(curve) == pytest.approx(mean / deviation * math.sqrt(365), abs=1e-6)


def test_days_without_a_reading_count_as_days_without_a_change() -> None:
    sparse = [(0, Decimal(100)), (3 * DAY_MS, Decimal(110))]
    full = [(0, Decimal(100)), (DAY_MS, Decimal(100)), (2 * DAY_MS, Decimal(100)), (3 * DAY_MS, Decimal(110))]
    assert sharpe(sparse) == sharpe(full) > 0


@pytest.mark.parametrize("curve", [[], [(0, Decimal(1))], [(0, Decimal(1)), (DAY_MS, Decimal(1))]])
def test_sharpe_of_too_little_or_no_movement_is_zero(curve: list[tuple[int, Decimal]]) -> None:
    assert sharpe(curve) == 0.0


def test_the_first_day_counts_in_the_sharpe_ratio() -> None:
    """A run that loses 10 % on its first day and gains a little on the others has lost."""
    hour = 3_600_000
    curve = [
        (hour, Decimal(10_000)),
        (DAY_MS, Decimal(9_000)),
        (2 * DAY_MS, Decimal(9_100)),
        (3 * DAY_MS, Decimal(9_150)),
    ]
    assert daily_returns(curve) == pytest.approx([-0.1, 100 / 9_000, 50 / 9_100])
    assert sharpe(curve) < 0


def test_a_reading_at_midnight_closes_the_day_that_ends() -> None:
    curve = [(1, Decimal(100)), (DAY_MS, Decimal(110)), (DAY_MS + 5, Decimal(55))]
    assert daily_returns(curve) == pytest.approx([0.1, -0.5])


def test_returns_of_a_curve_compound_to_its_whole() -> None:
    curve = [(1 + n * DAY_MS // 3, Decimal(1000 + (n * 37) % 101)) for n in range(40)]
    product = math.prod(1 + each for each in daily_returns(curve))
    assert product == pytest.approx(float(curve[-1][1] / curve[0][1]))


def test_a_thinned_curve_has_the_drawdown_of_the_whole() -> None:
    curve = [(n, Decimal(1000 + (n * 7919) % 503 - (500 if n == 777 else 0))) for n in range(2_000)]
    shown = thinned(curve, 90)
    assert len(shown) <= 90
    assert shown == sorted(shown)
    assert shown[-1] == curve[-1]
    assert max_drawdown_pct(shown) == max_drawdown_pct(curve)


def test_steady_growth_has_no_sharpe_ratio_rather_than_an_enormous_one() -> None:
    """Returns of 1 % a day differ in their last binary digit; divided by that, they gave 1e15."""
    curve = [(day * DAY_MS, Decimal(100) * Decimal("1.01") ** day) for day in range(30)]
    assert sharpe(curve) == 0.0
    assert sharpe([(at_ms, 200 - equity / 2) for at_ms, equity in curve]) < 0


def daily(*equities: str) -> list[tuple[int, Decimal]]:
    return [(day * DAY_MS, Decimal(equity)) for day, equity in enumerate(equities)]


def test_sortino_counts_every_day_and_squares_the_losing_ones() -> None:
    # Returns 10 %, -10 %, 0: mean 0, so the ratio is 0; then 20 %, -10 %: mean 5 %, downside sqrt(0.01 / 2).
    assert sortino(daily("100", "110", "99", "99")) == pytest.approx(0.0, abs=1e-9)
    expected = 0.05 / math.sqrt(0.01 / 2) * math.sqrt(365)
    assert sortino(daily("100", "120", "108")) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("curve", [[], daily("100"), daily("100", "110"), daily("100", "110", "120")])
def test_without_a_losing_day_there_is_no_sortino(curve: list[tuple[int, Decimal]]) -> None:
    assert sortino(curve) is None


def test_a_year_that_doubles_is_a_hundred_percent_and_calmar_divides_by_the_largest_fall() -> None:
    curve = [(0, Decimal(100)), (100 * DAY_MS, Decimal(80)), (365 * DAY_MS, Decimal(200))]
    assert return_yearly_pct(curve) == pytest.approx(100.0)
    assert calmar(curve) == pytest.approx(5.0)
    half = [(0, Decimal(100)), (730 * DAY_MS, Decimal(400))]
    assert return_yearly_pct(half) == pytest.approx(100.0)
    assert calmar(half) is None, "nothing was ever lost"


@pytest.mark.parametrize("end", [(27 * DAY_MS, "200"), (365 * DAY_MS, "0"), (365 * DAY_MS, "-5")])
def test_less_than_four_weeks_or_a_ruin_have_no_yearly_return(end: tuple[int, str]) -> None:
    curve = [(0, Decimal(100)), (1, Decimal(90)), (end[0], Decimal(end[1]))]
    assert return_yearly_pct(curve) is None
    assert calmar(curve) is None


def test_a_drawdown_lasts_from_its_high_until_that_height_is_reached_again_or_the_end() -> None:
    curve = daily("100", "90", "95", "100", "110", "88", "99", "109")
    assert drawdowns(curve) == [(0, 3 * DAY_MS, True, 10.0), (4 * DAY_MS, 7 * DAY_MS, False, 20.0)]
    assert longest_drawdown_days(curve) == 3.0
    assert longest_drawdown_days(daily("100", "110", "120")) == 0.0
    assert longest_drawdown_days([]) == 0.0
