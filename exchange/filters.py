"""The trading rules of one symbol: the only place that rounds a price or a quantity, and that knows what is refused.

The simulator uses the checks to refuse as Binance does, the engine to never send what would be refused.
Codes and texts: error catalogue of USDT-M futures, filters of GET /fapi/v1/exchangeInfo (checked 2026-11).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import AlgoRequest, ConditionalType, OrderRequest, OrderType, Refused, Side

FUNDING_HOURS = 8
"""Between two fundings, where the exchange says nothing else (GET /fapi/v1/fundingInfo, checked 2026-11)."""


class Rounding(StrEnum):
    """Direction of a rounding; there is no default, because each use must choose."""

    DOWN = "DOWN"
    UP = "UP"


class SymbolFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of one symbol (GET /fapi/v1/exchangeInfo, checked 2026-11). Zero switches a bound off.

    ``pricePrecision`` and ``quantityPrecision`` are deliberately absent: they are not tick and step.
    The decimals written in ``tick_size`` and ``step_size`` ("0.10") are the most that a value may have.
    """

    symbol: str
    status: str
    contract_type: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    tick_size: Decimal
    price_min: Decimal
    price_max: Decimal
    step_size: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_step_size: Decimal
    market_quantity_min: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal
    multiplier_up: Decimal
    multiplier_down: Decimal
    orders_max: int
    market_take_bound: Decimal
    trigger_protect: Decimal
    liquidation_fee: Decimal
    funding_interval_hours: int = FUNDING_HOURS

    @property
    def tradable(self) -> bool:
        """Only plain perpetuals that are trading: everything else is left alone."""
        return self.contract_type == "PERPETUAL" and self.status == "TRADING"

    def round_price(self, price: Decimal, direction: Rounding) -> Decimal:
        """The nearest valid price in that direction: ``(price - price_min)`` is a multiple of the tick."""
        return _to_multiple(price - self.price_min, self.tick_size, direction) + self.price_min

    def with_tick(self, tick: Decimal) -> SymbolFilters:
        """The same rules with another price step; the lowest price goes up onto it."""
        return replace(self, tick_size=tick, price_min=_to_multiple(self.price_min, tick, Rounding.UP))

    def floor_quantity(self, quantity: Decimal, *, market: bool) -> Decimal:
        """Largest valid quantity that is not above ``quantity``; zero when it is under the minimum lot."""
        step = self.market_step_size if market else self.step_size
        minimum = self.market_quantity_min if market else self.quantity_min
        floored = _to_multiple(quantity, step, Rounding.DOWN)
        return floored if floored >= minimum else Decimal(0)

    def covering_quantity(self, quantity: Decimal) -> Decimal:
        """Smallest valid market quantity that is not below ``quantity``: a reduce-only order ends at the position."""
        return max(_to_multiple(quantity, self.market_step_size, Rounding.UP), self.market_quantity_min)

    def check_order(self, request: OrderRequest, mark_price: Decimal) -> Refused | None:
        """Why Binance would refuse this regular order by its filters at this mark price; None when it would not."""
        market = request.type is OrderType.MARKET
        price = mark_price if market else request.price
        if price is None:
            return Refused(
                -1102,
                "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
                RefusalReason.NOT_UNDERSTOOD,
            )
        return (
            self._check_status(opening=not request.reduce_only)
            or (None if market else self.check_price(price))
            or self.check_quantity(request.quantity, market=market)
            or (None if market else self._check_percent(request.side, price, mark_price))
            or (None if request.reduce_only else self._check_notional(price * request.quantity))
        )

    def check_algo(self, request: AlgoRequest, mark_price: Decimal) -> Refused | None:
        """The same for a conditional order: its shape, its trigger price and its quantity (a market lot)."""
        if request.close_position:
            return (
                _check_close_position(request)
                or self._check_status(opening=False)
                or self.check_price(request.trigger_price)
            )
        if request.quantity is None:
            return Refused(
                -1102,
                "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed.",
                RefusalReason.NOT_UNDERSTOOD,
            )
        return (
            self._check_status(opening=not request.reduce_only)
            or self.check_price(request.trigger_price)
            or self.check_quantity(request.quantity, market=True)
            or (None if request.reduce_only else self._check_notional(mark_price * request.quantity))
        )

    def check_price(self, price: Decimal) -> Refused | None:
        """PRICE_FILTER, which holds for limit prices and trigger prices alike."""
        if price <= 0:
            return Refused(-4001, "Price less than 0.", RefusalReason.OTHER)
        if self.price_max and price > self.price_max:
            return Refused(-4002, "Price greater than max price.", RefusalReason.PRICE_TOO_FAR)
        if price < self.price_min:
            return Refused(-4013, "Price less than min price.", RefusalReason.PRICE_TOO_LOW)
        if self.tick_size and _decimals(price) > _decimals_written(self.tick_size):
            return _TOO_PRECISE
        if self.tick_size and (price - self.price_min) % self.tick_size:
            return Refused(-4014, "Price not increased by tick size.", RefusalReason.OFF_TICK)
        return None

    def check_quantity(self, quantity: Decimal, *, market: bool) -> Refused | None:
        """LOT_SIZE, or MARKET_LOT_SIZE for everything that executes as a market order."""
        minimum = self.market_quantity_min if market else self.quantity_min
        maximum = self.market_quantity_max if market else self.quantity_max
        step = self.market_step_size if market else self.step_size
        if quantity <= 0:
            return Refused(-4003, "Quantity less than zero.", RefusalReason.TOO_SMALL)
        if quantity < minimum:
            return Refused(-4004, "Quantity less than min quantity.", RefusalReason.TOO_SMALL)
        if maximum and quantity > maximum:
            return Refused(-4005, "Quantity greater than max quantity.", RefusalReason.TOO_LARGE)
        if step and _decimals(quantity) > _decimals_written(step):
            return _TOO_PRECISE
        if step and quantity % step:
            return Refused(-4023, "Quantity not increased by step size.", RefusalReason.OFF_STEP)
        return None

    def market_price_limit(self, side: Side, mark_price: Decimal) -> Decimal | None:
        """The worst price a market order may execute at: PERCENT_PRICE and marketTakeBound; None without either."""
        bounds = []
        multiplier = self.multiplier_up if side is Side.BUY else self.multiplier_down
        if multiplier:
            bounds.append(mark_price * multiplier)
        if self.market_take_bound:
            bounds.append(mark_price * (1 + side.sign * self.market_take_bound))
        if not bounds:
            return None
        return min(bounds) if side is Side.BUY else max(bounds)

    def _check_status(self, *, opening: bool) -> Refused | None:
        if self.status == "TRADING":
            return None
        if opening:
            return Refused(-4140, "Invalid symbol status for opening position.", RefusalReason.NOT_TRADING)
        return Refused(-4141, "Symbol is closed.", RefusalReason.OTHER)

    def _check_percent(self, side: Side, price: Decimal, mark_price: Decimal) -> Refused | None:
        if side is Side.BUY and self.multiplier_up and price > mark_price * self.multiplier_up:
            highest = self.round_price(mark_price * self.multiplier_up, Rounding.DOWN)
            return Refused(-4016, f"Limit price can't be higher than {highest}.", RefusalReason.PRICE_TOO_FAR)
        if side is Side.SELL and self.multiplier_down and price < mark_price * self.multiplier_down:
            lowest = self.round_price(mark_price * self.multiplier_down, Rounding.UP)
            return Refused(-4024, f"Limit price can't be lower than {lowest}.", RefusalReason.PRICE_TOO_FAR)
        return None

    def _check_notional(self, notional: Decimal) -> Refused | None:
        if notional >= self.notional_min:
            return None
        least = f"{self.notional_min.normalize():f}"
        return Refused(
            -4164,
            f"Order's notional must be no smaller than {least} (unless you choose reduce only).",
            RefusalReason.WORTH_TOO_LITTLE,
        )


UNKNOWN = "UNKNOWN"
"""Contract type of a symbol whose rules were never read."""


def unknown_filters(symbol: str) -> SymbolFilters:
    """Stand-in for rules that nobody knows: nothing is rounded, nothing is bounded, and nothing may be opened.

    A reduce-only close of a position's own size needs no filter, and a price that once was accepted no rounding.
    """
    off = Decimal(0)
    return SymbolFilters(
        symbol=symbol,
        status="TRADING",
        contract_type=UNKNOWN,
        base_asset="",
        quote_asset="",
        margin_asset="USDT",
        tick_size=off,
        price_min=off,
        price_max=off,
        step_size=off,
        quantity_min=off,
        quantity_max=off,
        market_step_size=off,
        market_quantity_min=off,
        market_quantity_max=off,
        notional_min=off,
        multiplier_up=off,
        multiplier_down=off,
        orders_max=0,
        market_take_bound=off,
        trigger_protect=off,
        liquidation_fee=off,
    )


def would_trigger(kind: ConditionalType, side: Side, trigger_price: Decimal, price: Decimal) -> bool:
    """True when ``price`` satisfies the condition: a stop waits for a move with its side, a target against it."""
    rising = (kind is ConditionalType.STOP_MARKET) == (side is Side.BUY)
    return price >= trigger_price if rising else price <= trigger_price


def decimal_of(value: float) -> Decimal:
    """A float fact as a Decimal: the digits that its shortest text shows, never the binary tail."""
    return Decimal(str(value))


_TOO_PRECISE = Refused(-1111, "Precision is over the maximum defined for this asset.", RefusalReason.TOO_PRECISE)


def _check_close_position(request: AlgoRequest) -> Refused | None:
    if request.quantity is not None:
        return Refused(-4137, "Quantity must be zero with closePosition equals true.", RefusalReason.OTHER)
    if request.reduce_only:
        return Refused(-4138, "ReduceOnly can't be sent with closePosition equals true.", RefusalReason.OTHER)
    return None


def _decimals(value: Decimal) -> int:
    """Decimals a value needs, not those it is written with: 60000.10 needs one."""
    return _decimals_written(value.normalize())


def _decimals_written(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _to_multiple(value: Decimal, unit: Decimal, direction: Rounding) -> Decimal:
    if unit == 0:
        return value
    rounding = ROUND_FLOOR if direction is Rounding.DOWN else ROUND_CEILING
    return (value / unit).to_integral_value(rounding=rounding) * unit
