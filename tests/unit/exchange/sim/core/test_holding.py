"""What fills do to a position."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exchange.sim.core.holding import Holding, money, money_up
from exchange.types import Side

D = Decimal
FILLS = st.lists(
    st.tuples(st.sampled_from(Side), st.decimals("90", "110", places=1), st.decimals("0.1", "5", places=1)),
    min_size=1,
    max_size=30,
)


def test_break_even_adds_the_fees_to_the_entry() -> None:
    # 0.010 at 60,000 with a fee of 0.30 breaks even 30 higher; a short 30 lower
    long = Holding(symbol="BTCUSDT", quantity=D("0.010"), entry_price=D("60000"), costs=D("0.3"))
    short = Holding(symbol="BTCUSDT", quantity=D("-0.010"), entry_price=D("60000"), costs=D("0.3"))
    assert (long.break_even_price, short.break_even_price) == (60_030, 59_970)
    assert Holding(symbol="BTCUSDT").break_even_price == 0


def test_profit_already_realised_lowers_the_break_even_price() -> None:
    holding = Holding(symbol="X", quantity=D("2"), entry_price=D("100"))
    rest, profit = holding.reduced(D("110"), D("1"))
    assert profit == 10
    assert rest.break_even_price == 90


def test_money_counts_in_hundred_millionths() -> None:
    assert money(D("0.123456785")) == D("0.12345678")
    assert money_up(D("0.000000001")) == D("0.00000001")


@given(fills=FILLS, leverage=st.integers(1, 20))
def test_profit_plus_unrealised_profit_is_what_the_cash_flows_say(
    fills: list[tuple[Side, D, D]], leverage: int
) -> None:
    """R43: over any fills, realised plus open profit equals value held plus cash taken in."""
    holding, realized, cash = Holding(symbol="X"), D(0), D(0)
    for side, price, quantity in fills:
        holding, profit = holding.after_fill(side, price, quantity, leverage=leverage, isolated=True)
        realized += profit
        cash -= side.sign * price * quantity
        assert holding.isolated_wallet >= 0
        assert (holding.quantity == 0) == (holding.entry_price == 0)
    mark = D("100")
    expected = cash + holding.quantity * mark
    assert abs(realized + holding.unrealized(mark) - expected) < D("0.00001")
    assert holding.realized == realized
