"""What one symbol is traded by in one variant: the exchange's rules, fees and fills, and the settings that size."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import SymbolFilters
from exchange.sim.core import margin
from exchange.sim.core.pricing import adverse, depth_share, is_beyond, nearest, shown_price, shown_quantity
from exchange.sim.core.state import Settings as Market
from exchange.sim.playback.candle_path import Quote, Stretch
from exchange.types import Bracket, OrderType, Side, WorkingType
from fsm.config import Settings
from fsm.core.means import LEVELS_MIN

ZERO, ONE = Decimal(0), Decimal(1)
MARK_TICK = Decimal("1E-8")
LEVELS_SHOWN = 100
"""Of each side of the assumed book (exchange/sim/core/pricing.py)."""


class Beyond(Exception):
    """Something that the evaluator leaves to the engine; the message says what."""


class Terms:
    """Constants, in the units of config.yaml and of the exchange."""

    def __init__(
        self, symbol: str, settings: Settings, filters: SymbolFilters, brackets: tuple[Bracket, ...], entry_ms: int
    ) -> None:
        simulation = settings.simulation
        self.symbol, self.settings, self.filters, self.brackets = symbol, settings, filters, brackets
        self.entry_ms = entry_ms
        self.leverage = settings.leverage_of(symbol)
        self.risk_pct = settings.risk_pct_of(symbol)
        self.maker, self.taker = simulation.maker_fee_pct / 100, simulation.taker_fee_pct / 100
        slippage = simulation.slippage_pct / 100
        self.factor = {side: 1 + side.sign * slippage for side in Side}
        self.depth = simulation.stop_depth_share
        self.by_mark = settings.orders.working_type is WorkingType.MARK_PRICE
        self.is_limit = settings.orders.entry_type is OrderType.LIMIT
        self.cost_pct = settings.risk.taker_fee_pct + settings.risk.slippage_pct
        self.margin_per_price = ONE / self.leverage + self.cost_pct / 100
        allowed = [each.notional_cap for each in brackets if each.initial_leverage >= self.leverage]
        self.notional_max = max(allowed) if allowed else ZERO
        self.can_set_up = 1 <= self.leverage <= margin.leverage_max(brackets)
        self.is_on_grid = _decimals(filters.price_min) <= _decimals(filters.tick_size)
        self._shares: dict[int, Decimal] = {}
        self._market = Market(maker_rate=self.maker, taker_rate=self.taker, slippage=slippage, depth_usdt=None)

    def differs_in_prices_alone(self, before: Terms) -> bool:
        """Whether no more has changed than which prices the exchange takes; lots, brackets and costs are the same."""
        mine, theirs = self.filters, before.filters
        priced = replace(
            theirs,
            tick_size=mine.tick_size,
            price_min=mine.price_min,
            price_max=mine.price_max,
            multiplier_up=mine.multiplier_up,
            multiplier_down=mine.multiplier_down,
            market_take_bound=mine.market_take_bound,
        )
        return priced == mine and self.brackets == before.brackets

    def price_taken(self, price: Decimal) -> bool:
        """Whether the exchange takes a price that was rounded to the tick."""
        filters = self.filters
        if not self.is_on_grid:
            return filters.check_price(price) is None
        return price > 0 and price >= filters.price_min and (not filters.price_max or price <= filters.price_max)

    def lot_taken(self, quantity: Decimal, *, market: bool) -> bool:
        """Whether it takes a quantity that was rounded to the step of market orders."""
        filters = self.filters
        if not market:
            return filters.check_quantity(quantity, market=False) is None
        most = filters.market_quantity_max
        return quantity > 0 and quantity >= filters.market_quantity_min and (not most or quantity <= most)

    def book_pct(self, side: Side, quantity: Decimal, last: Decimal) -> Decimal | None:
        """What a market order of this size costs by the assumed book, from its middle; None: it does not take it."""
        bid, ask = (shown_price(taker, 1, last, self.filters, self._market) for taker in (Side.SELL, Side.BUY))
        if bid <= 0 or ask <= 0:
            return None
        middle, left, paid, behind = (bid + ask) / 2, quantity, ZERO, ZERO
        for number in range(1, LEVELS_SHOWN + 1):
            price = shown_price(side, number, last, self.filters, self._market)
            if price <= 0 and number <= LEVELS_MIN:
                return None
            if price <= 0:
                break
            here = self.filters.floor_quantity(shown_quantity(price, self._market), market=False)
            taken, behind = min(left, here), price
            left, paid = left - taken, paid + taken * price
            if left <= 0:
                break
        return abs((paid + left * behind) / quantity - middle) / middle * 100

    def told(self, quote: Quote) -> tuple[Decimal, Decimal]:
        """(last, mark) as the exchange tells them."""
        return nearest(quote.last, self.filters.tick_size), nearest(quote.mark, MARK_TICK)

    def loss_per_unit(self, sign: int, entry: Decimal, stop: Decimal) -> Decimal:
        """USDT lost per unit if the stop is hit, costs on both ends included."""
        return sign * (entry - stop) + (entry + stop) * self.cost_pct / 100

    def taken(self, side: Side, last: Decimal, mark: Decimal) -> Decimal | None:
        """Where a market order fills; None where the exchange would not fill it."""
        plain = last * self.factor[side]
        price = adverse(plain, side, self.filters) if plain > 0 else ZERO
        if price <= 0:
            raise Beyond(f"prices of {self.symbol} below one tick")
        worst = self.filters.market_price_limit(side, mark)
        return None if worst is not None and is_beyond(price, worst, side) else price

    def stop_price(self, side: Side, quote: Quote, candle: Stretch | None) -> Decimal:
        """From which price a stop that triggers now fills."""
        price = self._in_depth(side, quote.last, candle)
        bound = self.filters.market_price_limit(side, quote.mark)
        if bound is None or not is_beyond(price, bound, side):
            return price
        return quote.last if is_beyond(quote.last, bound, side) else bound

    def _in_depth(self, side: Side, last: Decimal, candle: Stretch | None) -> Decimal:
        if candle is None or self.depth == 0:
            return last
        worst = candle.last.low if side is Side.SELL else candle.last.high
        if not is_beyond(worst, last, side):
            return last
        length_ms = candle.end_ms - candle.open_ms
        share = self._shares.get(length_ms)
        if share is None:
            share = self._shares[length_ms] = depth_share(self.depth, length_ms)
        return last + (worst - last) * share


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
