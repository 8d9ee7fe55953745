"""The form of a close: after a piece that got nothing done comes another form, until one gets through (R62).

MARKET first; then LIMIT IOC orders, each further from the mark, up to the exchange's own bound; then the same again
with half the quantity, and so on. A refusal that says what is wrong with a size or a precision changes just that.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import Rounding, SymbolFilters
from exchange.refusals import RefusalReason
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.intents import ClosePosition
from fsm.core.model.records import Trade, TradeSide
from fsm.core.order_requests import close_piece
from fsm.core.refusals import LIMIT_TOO_FAR, TEMPORARY, TOO_FINE, TOO_SMALL

MARKET = 0
WIDEST = 3
FORMS = 4
DISTANCES = (Decimal(0), Decimal("0.01"), Decimal("0.025"))
"""How far from the mark a LIMIT may trade, by its form; the widest one as far as the exchange lets it."""

UNBOUNDED = Decimal("0.05")
"""How far the widest goes where the symbol has no bound of its own."""

PIECES_MAX = 8
"""A lot is small when more pieces than this are left: each is an order, and the exchange counts them."""

FINENESS_LOST_MAX = 8
"""So many decimals are left out one after the other; coins have no more."""


def failed(trade: Trade, reason: RefusalReason | None, asked: Decimal, smallest: Decimal = Decimal(0)) -> Trade:
    """The trade after a piece of so much was refused for this reason, or ended (None) without closing anything.

    Halving what is too large is no failure of its form, and ends by itself at the ``smallest`` lot; what is refused as
    too large there is not: another form begins with the whole quantity again.
    """
    if reason in TEMPORARY:
        return trade
    if reason is RefusalReason.TOO_LARGE and asked > smallest:
        return replace(trade, close_lot=asked / 2, close_least=None)
    trade = replace(trade, close_failed=trade.close_failed + 1)
    if reason is RefusalReason.TOO_LARGE:
        return replace(trade, close_form=trade.close_form + 1, close_lot=None)
    if reason in TOO_SMALL:
        return replace(trade, close_least=asked * 2, close_lot=None)
    if reason in TOO_FINE:
        return replace(trade, close_grain=min(trade.close_grain + 1, FINENESS_LOST_MAX))
    if reason is RefusalReason.NO_COUNTERPARTY and trade.close_form % FORMS == MARKET:
        return replace(trade, close_form=trade.close_form + WIDEST)
    if reason in LIMIT_TOO_FAR:  # the bound is nearer than we know: MARKET needs none
        return replace(trade, close_form=trade.close_form + FORMS - trade.close_form % FORMS)
    form = trade.close_form + 1
    return replace(trade, close_form=form, close_lot=trade.close_lot if form % FORMS else asked / 2)


def got_through(trade: Trade) -> Trade:
    """Something was closed: the form that did it is kept. A lot that was halved because nobody took more grows again;
    one that was refused as too large does while many pieces are left, since that may be over, or was never so."""
    lot = trade.close_lot
    if lot is not None and (trade.close_form >= FORMS or trade.open_quantity > PIECES_MAX * lot):
        lot *= 2
    return replace(trade, close_failed=0, close_lot=lot)


def next_piece(
    trade: Trade, quantity: Decimal, mark: Decimal | None, context: DecisionContext
) -> tuple[Trade, ClosePosition]:
    """The next piece under the next number, in the form that is due. Without a mark there is no LIMIT."""
    trade = replace(trade, exit_attempt=trade.exit_attempt + 1)
    return trade, piece(trade, quantity, mark, context)


def piece(trade: Trade, quantity: Decimal, mark: Decimal | None, context: DecisionContext) -> ClosePosition:
    """The piece of the present number, in the form that is due."""
    filters = coarser(context.filters, trade.close_grain)
    form = trade.close_form % FORMS
    limit = None if form == MARKET or not mark else limit_price(trade.side, form, mark, filters)
    quantity = min(quantity, trade.close_lot) if trade.close_lot else quantity
    quantity = max(quantity, trade.close_least) if trade.close_least else quantity
    return close_piece(trade, quantity, trade.exit_attempt, dataclasses.replace(context, filters=filters), limit=limit)


def limit_price(side: TradeSide, form: int, mark: Decimal, filters: SymbolFilters) -> Decimal:
    """The worst price of a closing LIMIT: inside the exchange's bound, on the tick that is inside it too."""
    bound = filters.market_price_limit(side.exit_side, mark)
    price = mark * (1 - side.sign * (UNBOUNDED if form == WIDEST else DISTANCES[form]))
    if bound is not None and (form == WIDEST or side.sign * (bound - price) > 0):
        price = bound
    return filters.round_price(price, Rounding.UP if side.sign > 0 else Rounding.DOWN)


def coarser(filters: SymbolFilters, grain: int) -> SymbolFilters:
    """The same filters with steps and ticks ten times as coarse, so many times over: they have changed. Where no lot
    would be left below the largest one they have been read again since."""
    factor = 10**grain
    if grain == 0 or 0 < filters.market_quantity_max < filters.market_step_size * factor:
        return filters
    return replace(
        filters,
        price_min=Decimal(0),  # ticks are counted from it, and it has changed with them
        tick_size=filters.tick_size * factor,
        step_size=filters.step_size * factor,
        market_step_size=filters.market_step_size * factor,
    )
