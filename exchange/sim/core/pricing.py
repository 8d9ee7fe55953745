"""What a taker pays: the levels of a book that always stands against us.

There is no recorded order book, so one is assumed: level k lies k slippages beyond the last price, rounded to the
tick against us, and holds ``depth_usdt`` of notional (or everything, when no depth is set).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal

from exchange.filters import Rounding, SymbolFilters
from exchange.sim.core.state import Settings
from exchange.sim.playback.candle_path import Stretch
from exchange.types import Book, Level, Side

MINUTE_MS = 60_000
_SHOWN_USDT = Decimal(1_000_000)
_SHOWN_LEVELS = 100
_SHARE = Decimal("0.000001")
_WHOLE = Decimal(1)
_LEVELS_MAX = 200  # the whole book; with any slippage worth its name the price bounds end it long before


def adverse(price: Decimal, side: Side, filters: SymbolFilters) -> Decimal:
    """The price on the tick, rounded against an order of this side."""
    return filters.round_price(price, Rounding.UP if side is Side.BUY else Rounding.DOWN)


def depth_share(stop_depth: Decimal, length_ms: int) -> Decimal:
    """The share of the way to a candle's worst price at which a stop that triggered in it fills (docs/fill-model.md).

    A longer candle goes on for longer after the trigger, so less of its way is the stop's: by the cube root of length.
    A movement of live prices lasts less than a second, and is the stop's to its end.
    """
    share = stop_depth * Decimal(str(round((MINUTE_MS / max(length_ms, 1)) ** (1 / 3), 4)))
    return min(share, _WHOLE).quantize(_SHARE)


def stop_price(side: Side, last: Decimal, candle: Stretch | None, stop_depth: Decimal) -> Decimal:
    """From which price a stop that triggers at ``last`` takes the levels, inside the candle under way."""
    if candle is None or stop_depth == 0:
        return last
    worst = candle.last.low if side is Side.SELL else candle.last.high
    if not is_beyond(worst, last, side):
        return last
    return last + (worst - last) * depth_share(stop_depth, candle.end_ms - candle.open_ms)


def nearest(price: Decimal, tick: Decimal) -> Decimal:
    """The nearest price that can be traded; those between ticks exist only on a path."""
    return (price / tick).to_integral_value(rounding=ROUND_HALF_EVEN) * tick


def is_beyond(price: Decimal, limit: Decimal, side: Side) -> bool:
    """True when ``price`` is worse than ``limit`` for an order of this side."""
    return price > limit if side is Side.BUY else price < limit


def levels(
    side: Side, quantity: Decimal, last: Decimal, filters: SymbolFilters, settings: Settings
) -> Iterator[tuple[Decimal, Decimal]]:
    """(price, quantity) of one execution after the other, best price first, until the quantity is used up."""
    left = quantity
    for number in range(1, _LEVELS_MAX + 1):
        plain = last * (1 + side.sign * number * settings.slippage)
        if plain <= 0:
            return
        # no price is on a tick that lies above it, and a position can be closed all the same
        price = adverse(plain, side, filters) or plain
        if price <= 0:
            return
        here = min(left, level_quantity(price, filters, settings, left))
        yield price, here
        left -= here
        if left <= 0:
            return


def shown_price(taker: Side, number: int, last: Decimal, filters: SymbolFilters, settings: Settings) -> Decimal:
    """Of a level as the book shows it, which is a tick away from the last price at least."""
    distance = max(last * settings.slippage, filters.tick_size) * number
    return adverse(last + taker.sign * distance, taker, filters)


def shown_quantity(price: Decimal, settings: Settings) -> Decimal:
    """Of a level as the book shows it; a million USDT where executions have no limit of depth."""
    return (settings.depth_usdt or _SHOWN_USDT) / price


def shown(symbol: str, last: Decimal, filters: SymbolFilters, settings: Settings, depth: Decimal | None = None) -> Book:
    """The book as far as an entry looks into it; with a ``depth`` no further than where so much is held."""

    def side(taker: Side) -> Iterator[Level]:
        held = Decimal(0)
        for number in range(1, _SHOWN_LEVELS + 1):
            price = shown_price(taker, number, last, filters, settings)
            if price <= 0:
                return
            quantity = filters.floor_quantity(shown_quantity(price, settings), market=False)
            yield Level(price, quantity)
            held += quantity
            if depth is not None and held >= depth:
                return

    return Book(symbol=symbol, bids=tuple(side(Side.SELL)), asks=tuple(side(Side.BUY)))


def level_quantity(price: Decimal, filters: SymbolFilters, settings: Settings, wanted: Decimal) -> Decimal:
    """What one level holds at this price: at least one step, at most what is wanted."""
    if settings.depth_usdt is None:
        return wanted
    step = filters.market_step_size or wanted
    held = settings.depth_usdt / price // step * step
    return min(wanted, max(held, step))


def executions(
    side: Side,
    quantity: Decimal,
    last: Decimal,
    *,
    worst: Decimal | None,
    clip: bool,
    filters: SymbolFilters,
    settings: Settings,
) -> Iterator[tuple[Decimal, Decimal]]:
    """What a taker gets up to its ``worst`` price; beyond it a limit order gets its limit (``clip``)."""
    for price, here in levels(side, quantity, last, filters, settings):
        if worst is not None and is_beyond(price, worst, side):
            if clip:
                yield worst, here
            return
        yield price, here
