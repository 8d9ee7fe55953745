"""Whether stops can be placed at all: after a position that got none, no entry before that is proved again (R60)."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from msgspec.structs import replace

from exchange.filters import SymbolFilters
from fsm.core.model.decision import Decision
from fsm.core.model.records import LIMIT_CAUSES, AccountRecord, Flag, HaltCause, RouteDoubt, SymbolRecord
from fsm.core.model.transition_table import Trigger

UNPROVED = "PROTECTION_UNPROVED"
"""Blocks every entry: the route is not proved again yet."""

TRIAL = "PROTECTION_TRIAL"
"""Blocks every other entry: one of the smallest size is on trial."""

WORKS = "ROUTE_WORKS"
"""Proof so far: the route answers; that it keeps a stop only a position can show, so a small one does."""

NO_STOP = ("PROTECTION_DEADLINE", "STOP_KEEPS_VANISHING", "STOP_NOT_AS_ORDERED")
NO_STOP_BEGINS = "STOP_REFUSED "

SLACK = Decimal("1.05")
"""The smallest trade has a little room, so that a price that moves before its entry does not make it too small."""


def failed(before: SymbolRecord, made: Decision) -> bool:
    """This move closes a position because it got no stop."""
    if made.trigger is not Trigger.FLATTEN or before.trade is None:
        return False
    return made.reason in NO_STOP or made.reason.startswith(NO_STOP_BEGINS)


def doubted(account: AccountRecord, before: SymbolRecord, reason: str, at_ms: int) -> tuple[AccountRecord, str]:
    """The account after such a move, and what to call the change; empty when there is none.

    Positions that were already waiting for their stop when the doubt began are the same incident. Another one, with no
    confirmed stop between, halts the account until the operator resumes.
    """
    trade, doubt = before.trade, account.route
    assert trade is not None
    if doubt is None:
        return replace(account, route=RouteDoubt(symbol=before.symbol, reason=reason, since_ms=at_ms)), "ROUTE_DOUBTED"
    waiting_ms = trade.uncovered_ms or trade.first_fill_ms or trade.opened_ms
    if waiting_ms <= doubt.since_ms or (account.halt is not None and account.halt.cause not in LIMIT_CAUSES):
        return account, ""
    return replace(account, halt=Flag(HaltCause.PROTECTION.value, at_ms)), "ROUTE_FAILED_AGAIN"


def confirmed(account: AccountRecord, made: Decision) -> bool:
    """A stop was read back: there is nothing left to doubt."""
    return account.route is not None and made.reason == "STOP_CONFIRMED"


def blocked(account: AccountRecord, unprotected: bool) -> str:
    """Why nothing may be entered, beside what else there is. ``unprotected``: another trade waits for its stop."""
    if account.route is None:
        return ""
    if not account.route.proof:
        return UNPROVED
    return TRIAL if unprotected and is_trial(account) else ""


def is_trial(account: AccountRecord) -> bool:
    return account.route is not None and account.route.proof == WORKS


def resumed(account: AccountRecord, at_ms: int) -> AccountRecord:
    """The operator has ended the halt; what is doubted is to be proved again before the next entry."""
    if account.route is None:
        return account
    return replace(account, route=replace(account.route, proof="", since_ms=at_ms))


def smallest(prices: tuple[Decimal, ...], portions: tuple[Decimal, ...], filters: SymbolFilters) -> Decimal:
    """The least quantity that can be traded with every one of its partial targets."""
    step = max(filters.step_size, filters.market_step_size)
    least = max(filters.market_quantity_min, filters.quantity_min, step)
    leg = max(least, filters.notional_min / min(prices) + step)
    wanted = leg / min((*portions, Decimal(1))) * SLACK
    return (wanted / step).to_integral_value(rounding=ROUND_CEILING) * step if step else wanted
