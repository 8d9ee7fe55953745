"""No entry without the means to leave again: requests for its stop and its close, and a market that takes the close.

What a position needs after its entry must be there before it: later it competes with everything else, in the moment in
which everybody wants the same.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import Rounding
from exchange.types import Level, Room
from fsm.core.model.decision import Guard, at_least, at_most
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import Means, SetupEnded
from fsm.core.model.records import ZERO, Trade
from fsm.core.order_requests import place_entry
from fsm.core.planning import shrunk_to
from fsm.core.sizing import limit_quantity

ORDERS_A_TRADE = 3
"""Its entry, its stop and its close: an entry that is out may still need all of them."""

LEVELS_MIN = 5
"""The fewest levels of a book that can be asked for (GET /fapi/v1/depth, checked 2026-11)."""

LOOKS_A_TRADE = 2
"""One that shows its fill, and one that shows its stop."""


def with_means_to_leave(
    trade: Trade, event: SetupEnded, portfolio: Portfolio, context: DecisionContext
) -> tuple[Trade, tuple[Guard, ...]]:
    """The trade as it may be entered, which is as a LIMIT where the book is too thin for it; and what forbids it."""
    means = event.means
    if means is None:
        return trade, ()
    most_pct = context.policy.orders.book_slippage_pct_max
    close_pct = slippage_pct(means, trade, trade.quantity, is_entry=False)
    guards = (*_requests(means.room, portfolio), _within("BOOK_CLOSE", close_pct, most_pct))
    if trade.entry.price is not None:
        return trade, guards
    entry_pct = slippage_pct(means, trade, trade.quantity, is_entry=True)
    if entry_pct is not None and entry_pct <= most_pct:
        return trade, (*guards, _within("BOOK_ENTRY", entry_pct, most_pct))
    middle = _middle(means)
    if middle is None:
        return trade, (*guards, _within("BOOK_ENTRY", None, most_pct))
    return _limited(trade, middle, event, context, guards)


def _limited(
    trade: Trade, middle: Decimal, event: SetupEnded, context: DecisionContext, guards: tuple[Guard, ...]
) -> tuple[Trade, tuple[Guard, ...]]:
    """At the worst price that the slippage allows: what is offered up to there is taken, and the rest waits there."""
    orders, sign = context.policy.orders, trade.side.sign
    direction = Rounding.DOWN if sign > 0 else Rounding.UP
    price = context.filters.round_price(middle * (1 + sign * orders.book_slippage_pct_max / 100), direction)
    trade, sizing = shrunk_to(trade, replace(event.prices, last_price=price), context)
    quantity = limit_quantity(trade.quantity, context.filters)
    expires_ms = event.at_ms + orders.limit_expiry_candles * context.rules.entry_timeframe.ms
    entry = replace(trade.entry, type="LIMIT", price=price, quantity=quantity, expires_ms=expires_ms)
    after = replace(trade, quantity=quantity, entry=entry)
    refused = context.filters.check_order(place_entry(after).request, event.prices.mark_price)
    told = "" if refused is None else f"{refused.code} {refused.message}"
    allowed = Guard("ENTRY_FILTERS", refused is None, told, "not refused")
    return after, (*guards, *sizing, at_least("QUANTITY_MIN", quantity, context.filters.quantity_min), allowed)


def _requests(room: Room, portfolio: Portfolio) -> tuple[Guard, ...]:
    """Every entry that is out may still need what this one will."""
    trades = portfolio.entering + 1
    guards = [at_most("PROTECTION_WAITS", Decimal(room.waiting), ZERO)]
    if room.orders is not None:
        guards.append(at_least("ORDER_BUDGET", Decimal(room.orders), Decimal(ORDERS_A_TRADE * trades)))
    if room.looks is not None:
        guards.append(at_least("LOOK_BUDGET", Decimal(room.looks), Decimal(LOOKS_A_TRADE * trades)))
    return tuple(guards)


def slippage_pct(means: Means, trade: Trade, quantity: Decimal, *, is_entry: bool) -> Decimal | None:
    """What a MARKET order of this size costs by the book, from its middle; None: the book does not take it."""
    middle = _middle(means)
    side = trade.side.entry_side if is_entry else trade.side.exit_side
    paid = _average(means.book.against(side), quantity)
    if middle is None or paid is None:
        return None
    return abs(paid - middle) / middle * 100


def _middle(means: Means) -> Decimal | None:
    book = means.book
    return (book.bids[0].price + book.asks[0].price) / 2 if book.bids and book.asks else None


def _average(levels: tuple[Level, ...], quantity: Decimal) -> Decimal | None:
    """None: the book does not take it. An answer has so many levels and no more, so what lies behind the last one is
    taken to cost as much as it; fewer levels than the smallest answer has are all that there is."""
    left, paid = quantity, ZERO
    for level in levels:
        here = min(left, level.quantity)
        left, paid = left - here, paid + here * level.price
    if not quantity or (left > 0 and len(levels) < LEVELS_MIN):
        return None
    return (paid + left * levels[-1].price) / quantity


def _within(name: str, found_pct: Decimal | None, most_pct: Decimal) -> Guard:
    if found_pct is None:
        return Guard(name, False, "the book does not take it", f"<= {most_pct} %")
    return at_most(name, found_pct, most_pct)
