"""How much is traded: never more risk, exposure, margin or notional than allowed, in lots that can be closed again."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.sim.core import margin
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.types import Bracket, OrderType
from fsm.core.model.decision import failed
from fsm.core.model.decision_context import DecisionContext, Portfolio, loss_per_unit
from fsm.core.model.policy import MarginShort, SymbolSettings
from fsm.core.model.records import TradeSide
from fsm.core.sizing import Size, liquidation_price, size_entry, tradable_quantity
from tests.unit.fsm.core.parts import BRACKETS, FILTERS, SYMBOL, money, setting_with

LONG, SHORT = TradeSide.LONG, TradeSide.SHORT
GENEROUS = {"max_exposure_pct": Decimal(10_000), "max_symbol_exposure_pct": Decimal(10_000), "leverage": 20}


def size(
    side: TradeSide = LONG,
    entry: str = "60000",
    stop: str = "59400",
    *,
    portfolio: Portfolio | None = None,
    context: DecisionContext | None = None,
) -> Size:
    return size_entry(
        side=side,
        symbol=SYMBOL,
        entry=Decimal(entry),
        stop=Decimal(stop),
        portfolio=portfolio or money(),
        context=context or setting_with(),
    )


def refusal(found: Size) -> str | None:
    guard = failed(found.guards)
    return guard.name if guard else None


class TestTheFormula:
    def test_quantity_is_the_risk_over_the_stop_distance_with_the_costs_of_both_ends(self) -> None:
        """10,000 x 0.5 % = 50 USDT; 600 a coin to the stop, and 0.1 % of 60,000 + 59,400 for fees and slippage."""
        found = size(context=setting_with(taker_fee_pct=Decimal("0.05"), slippage_pct=Decimal("0.05")))
        assert found.quantity == Decimal("0.069")  # 50 / 719.4 = 0.0695
        assert found.risk == Decimal("0.069") * Decimal("719.4")
        assert refusal(found) is None

    def test_without_costs_it_is_the_guideline_s_formula(self) -> None:
        context = setting_with(taker_fee_pct=Decimal(0), slippage_pct=Decimal(0))
        assert size(context=context).quantity == Decimal("0.083")  # 50 / 600

    def test_a_symbol_may_risk_its_own_share(self) -> None:
        half = size(context=setting_with(own={SYMBOL: SymbolSettings(risk_per_trade_pct=Decimal("0.25"))}))
        assert half.quantity == Decimal("0.034")

    @pytest.mark.parametrize(("side", "stop"), [(LONG, "61000"), (SHORT, "59000"), (LONG, "60200")])
    def test_a_stop_beyond_the_entry_is_no_size_at_all(self, side: TradeSide, stop: str) -> None:
        found = size(side, stop=stop)
        assert found.quantity == 0
        assert refusal(found) == "STOP_SIDE"

    def test_an_account_without_equity_trades_nothing(self) -> None:
        assert refusal(size(portfolio=money("0"))) == "QUANTITY_MIN"
        assert refusal(size(portfolio=money("-5"))) == "QUANTITY_MIN"


class TestCaps:
    def test_exposure_of_all_together(self) -> None:
        nearly = money(exposure=Decimal(14_000))  # of 15,000: room for 1,000 USDT
        assert size(portfolio=nearly).quantity == Decimal("0.016")

    def test_exposure_that_is_used_up_leaves_nothing(self) -> None:
        assert refusal(size(portfolio=money(exposure=Decimal(20_000)))) == "QUANTITY_MIN"

    def test_exposure_of_one_symbol(self) -> None:
        context = setting_with(max_symbol_exposure_pct=Decimal(10))
        assert size(context=context).quantity == Decimal("0.016")  # 1,000 / 60,000

    def test_available_margin_shrinks_the_trade(self) -> None:
        """1,000 USDT at 2x with 0.1 % costs buy 1,000 / (30,000 + 60)."""
        poor = replace(money(), available=Decimal(1_000))
        found = size(portfolio=poor)
        assert found.quantity == Decimal("0.033")
        assert refusal(found) is None

    def test_available_margin_pays_the_entry_s_fee_too(self) -> None:
        """990.5 USDT would be margin for 0.033, but not for its fee and slippage."""
        assert size(portfolio=replace(money(), available=Decimal("990.5"))).quantity == Decimal("0.032")

    def test_available_margin_skips_the_trade_where_config_says_so(self) -> None:
        poor = replace(money(), available=Decimal(1_000))
        assert refusal(size(portfolio=poor, context=setting_with(margin_short=MarginShort.SKIP))) == "MARGIN"

    def test_the_bracket_of_our_leverage_caps_the_notional(self) -> None:
        """At 75x BTCUSDT allows 3 million, at 100x only 800,000."""
        rich = money("100000000")
        wide = {"max_exposure_pct": Decimal(10_000), "max_symbol_exposure_pct": Decimal(10_000)}
        context = setting_with(leverage=100, **wide)
        cap = max(b.notional_cap for b in BRACKETS if b.initial_leverage >= 100)
        assert size(portfolio=rich, context=context).quantity * 60_000 <= cap

    def test_a_leverage_that_no_bracket_allows_trades_nothing(self) -> None:
        assert refusal(size(context=setting_with(leverage=200))) == "QUANTITY_MIN"

    def test_the_largest_market_lot_caps_the_quantity(self) -> None:
        found = size(portfolio=money("1000000000"), context=setting_with(**GENEROUS))
        assert found.quantity <= FILTERS.market_quantity_max

    def test_a_largest_lot_of_zero_is_no_bound(self) -> None:
        unbounded = replace(FILTERS, market_quantity_max=Decimal(0), quantity_max=Decimal(0))
        assert size(context=setting_with(filters=unbounded)).quantity == Decimal("0.069")

    def test_open_risk_of_all_together(self) -> None:
        """2 % of 10,000 = 200 USDT; 160 are open already, and this one would add 49.6."""
        assert refusal(size(portfolio=money(open_risk=Decimal(160)))) == "MAX_OPEN_RISK"
        assert refusal(size(portfolio=money(open_risk=Decimal(150)))) is None


class TestMinima:
    def test_less_than_the_smallest_lot_is_refused_and_never_rounded_up(self) -> None:
        found = size(portfolio=money("50"))
        assert found.quantity == 0
        assert refusal(found) == "QUANTITY_MIN"

    def test_less_than_the_least_notional_is_refused(self) -> None:
        small = replace(FILTERS, notional_min=Decimal(5_000))
        assert refusal(size(context=setting_with(filters=small))) == "NOTIONAL_MIN"

    def test_without_any_smallest_lot_zero_is_still_no_trade(self) -> None:
        loose = replace(FILTERS, market_quantity_min=Decimal(0), quantity_min=Decimal(0), notional_min=Decimal(0))
        assert refusal(size(portfolio=money("0"), context=setting_with(filters=loose))) == "QUANTITY_MIN"

    def test_a_limit_entry_is_a_quantity_that_market_orders_can_close(self) -> None:
        """R41: exits are market orders; a finer LIMIT lot would leave dust."""
        coarse = replace(FILTERS, market_step_size=Decimal("0.01"), market_quantity_min=Decimal("0.01"))
        context = setting_with(filters=coarse, entry_type=OrderType.LIMIT)
        assert size(context=context).quantity == Decimal("0.06")


class TestLiquidation:
    def test_matches_the_worked_example_of_the_exchange(self) -> None:
        """binance-usdm.md §8.3: 0.1 at 60,000 with 600 USDT, ratio 0.004."""
        one = (
            Bracket(
                bracket=1,
                initial_leverage=125,
                notional_floor=Decimal(0),
                notional_cap=Decimal(50_000),
                maintenance_margin_ratio=Decimal("0.004"),
                cumulative=Decimal(0),
            ),
        )
        long = liquidation_price(LONG, Decimal("0.1"), Decimal(60_000), Decimal(600), one)
        short = liquidation_price(SHORT, Decimal("0.1"), Decimal(60_000), Decimal(600), one)
        assert long.quantize(Decimal("0.01")) == Decimal("54216.87")
        assert short.quantize(Decimal("0.01")) == Decimal("65737.05")

    def test_without_leverage_a_long_is_never_liquidated(self) -> None:
        assert liquidation_price(LONG, Decimal(1), Decimal(100), Decimal(100), BRACKETS) == 0

    @given(
        side=st.sampled_from(TradeSide),
        quantity=st.decimals("0.001", "500", places=3),
        entry=st.decimals("20000", "90000", places=1),
        leverage=st.sampled_from([2, 3, 5, 10, 20]),
    )
    def test_agrees_with_the_simulated_exchange(
        self, side: TradeSide, quantity: Decimal, entry: Decimal, leverage: int
    ) -> None:
        wallet = entry * quantity / leverage
        ours = liquidation_price(side, quantity, entry, wallet, BRACKETS)
        theirs = margin.liquidation_price(side.sign * quantity, entry, wallet, BRACKETS)
        assert ours == (theirs or 0)

    def test_a_stop_too_near_to_liquidation_is_refused(self) -> None:
        """R6: at 20x a long is liquidated some 4.6 % below; half of that way is what a stop may use."""
        near = size(stop="58000", context=setting_with(leverage=20))
        assert refusal(near) == "STOP_BEYOND_LIQ"
        assert refusal(size(stop="59400", context=setting_with(leverage=20))) is None

    def test_a_short_s_stop_too_near_to_liquidation_is_refused(self) -> None:
        assert refusal(size(SHORT, stop="62000", context=setting_with(leverage=20))) == "STOP_BEYOND_LIQ"


ALL_FILTERS, ALL_BRACKETS = shipped_filters(), shipped_brackets()


@given(
    symbol=st.sampled_from(sorted(ALL_FILTERS.keys() & ALL_BRACKETS.keys())),
    side=st.sampled_from(TradeSide),
    price=st.decimals("0.05", "90000", places=4),
    distance=st.decimals("0.3", "10", places=3),
    equity=st.decimals("10", "3000000", places=2),
    used=st.decimals("0", "1", places=3),
    leverage=st.sampled_from([1, 2, 5, 20]),
    entry_type=st.sampled_from(OrderType),
)
def test_no_size_exceeds_any_cap_whatever_the_market_and_the_account(
    symbol: str,
    side: TradeSide,
    price: Decimal,
    distance: Decimal,
    equity: Decimal,
    used: Decimal,
    leverage: int,
    entry_type: OrderType,
) -> None:
    """R42: after rounding, risk, open risk, exposure, margin and bracket all hold, for every shipped symbol."""
    filters, brackets = ALL_FILTERS[symbol], ALL_BRACKETS[symbol]
    stop = price * (1 - side.sign * distance / 100)
    assume(stop > 0)
    context = setting_with(filters=filters, brackets=brackets, leverage=leverage, entry_type=entry_type)
    policy = context.policy
    portfolio = replace(
        money(),
        equity=equity,
        available=equity * (1 - used),
        exposure=equity * used,
        open_risk=equity * used * policy.risk.max_open_risk_pct / 100,
    )
    found = size_entry(side=side, symbol=symbol, entry=price, stop=stop, portfolio=portfolio, context=context)
    per_unit = loss_per_unit(side.sign, price, stop, policy)
    assert found.quantity * per_unit == found.risk <= equity * policy.risk.risk_per_trade_pct / 100
    notional = found.quantity * price
    assert notional <= equity * policy.risk.max_symbol_exposure_pct / 100
    assert portfolio.exposure + notional <= max(equity * policy.risk.max_exposure_pct / 100, portfolio.exposure)
    assert notional / leverage <= portfolio.available
    assert notional <= max(b.notional_cap for b in brackets if b.initial_leverage >= leverage)
    assert found.quantity == filters.floor_quantity(found.quantity, market=True)
    assert found.quantity == filters.floor_quantity(found.quantity, market=False)
    if failed(found.guards) is None:
        assert notional >= filters.notional_min
        assert portfolio.open_risk + found.risk <= equity * policy.risk.max_open_risk_pct / 100


@pytest.mark.parametrize(("kind", "lot"), [(OrderType.MARKET, "0.123"), (OrderType.LIMIT, "0.12")])
def test_a_market_entry_takes_market_lots_and_a_limit_entry_lots_that_leave_by_market_too(
    kind: OrderType, lot: str
) -> None:
    """R42: a limit entry is left by market orders, so its lot must be one of both kinds."""
    filters = replace(FILTERS, step_size=Decimal("0.01"), market_step_size=Decimal("0.001"))
    assert tradable_quantity(Decimal("0.1239"), setting_with(filters=filters, entry_type=kind)) == Decimal(lot)
