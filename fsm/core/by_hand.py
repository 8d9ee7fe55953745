"""What the operator changes about an open trade by hand: its stop or a target moves, or a part of it is closed.

Only while PROTECTED, with a stop that was read back: everywhere else something more urgent is under way.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import Rounding
from exchange.types import Bracket, MarkPrice, Refused
from fsm.core.close_forms import next_piece
from fsm.core.limits import holding_limit
from fsm.core.model.decision import Decision, Guard, Rejected, at_most, decision, failed
from fsm.core.model.decision_context import DecisionContext, Portfolio, commitment
from fsm.core.model.events import Commanded, EquityRead
from fsm.core.model.intents import CancelAlgo, Look
from fsm.core.model.policy import Policy
from fsm.core.model.records import (
    ZERO,
    AccountRecord,
    HaltCause,
    Part,
    State,
    StopLeg,
    SymbolRecord,
    TargetLeg,
    Trade,
    TradeSide,
)
from fsm.core.model.transition_table import Trigger
from fsm.core.order_requests import place_stop, place_target, stop_leg
from fsm.core.sizing import open_risk_pct_max, shared_caps, stop_inside_liquidation
from fsm.core.stop_route import UNPROVED
from fsm.core.stops import exchange_stop
from fsm.core.targets import next_target

HAND_COMMANDS = ("reduce", "move-stop", "move-target")

STOPS_NO_LOOSENING = frozenset({"PAUSED", HaltCause.OPERATOR})
"""Why the account enters nothing, where that says nothing of its losses. PAUSED stands in rows of before."""

WAYS = "`flatten {}` closes it, `positions` shows how things stand"


def by_hand(record: SymbolRecord, event: Commanded, portfolio: Portfolio, context: DecisionContext) -> Decision | None:
    """Carry it out. None: it is so already. Raises Rejected, in words, where it cannot be done now."""
    trade = _held(record)
    match event.command:
        case "reduce":
            return _reduce(record, trade, event, context)
        case "move-stop":
            return _move_stop(record, trade, event, portfolio, context)
    return _move_target(record, trade, event, context)


def _held(record: SymbolRecord) -> Trade:
    trade, symbol = record.trade, record.symbol
    if record.state is State.PROTECTED and trade is not None and trade.stop is not None:
        return trade
    if trade is None:
        raise Rejected("NOTHING_OPEN", f"this bot holds nothing in {symbol}")
    why = {
        State.SIGNALLED: "its entry has not been sent yet",
        State.ENTERING: "its entry is not finished, or its stop not confirmed",
    }.get(record.state, "it is being closed")
    raise Rejected("STATE", f"{symbol} is in {record.state}: {why}")


# --- a part of it is closed -------------------------------------------------------------------------
def _reduce(record: SymbolRecord, trade: Trade, event: Commanded, context: DecisionContext) -> Decision | None:
    if trade.part_number is not None and event.command_id <= trade.part_number:
        return None
    _refuse_unconfirmed(trade)
    if trade.piece_pending:
        raise Rejected("CLOSE_UNDER_WAY", f"a part of {trade.symbol} is being closed already; wait for its answer")
    quantity = _part_of(trade, event, context)
    asked = replace(trade, part=Part(quantity=quantity), part_number=event.command_id)
    trade, order = next_piece(asked, quantity, None, context)
    intents = (order, Look(symbol=record.symbol))
    return decision(Trigger.REDUCE, "REDUCE_ASKED", replace(record, trade=trade), intents=intents)


def _part_of(trade: Trade, event: Commanded, context: DecisionContext) -> Decimal:
    """In lots of market orders, of which at least one stays. Raises Rejected."""
    filters, held = context.filters, trade.open_quantity
    asked = event.quantity if event.pct is None else held * event.pct / 100
    if asked is None or asked <= 0:
        raise Rejected("QUANTITY", "say how much: a quantity, or a share as in 25%")
    lot = max(filters.market_quantity_min, filters.market_step_size)
    quantity = filters.floor_quantity(asked, market=True)
    if quantity <= 0:
        raise Rejected(
            "QUANTITY_MIN", f"{_plain(asked)} is less than the smallest order of {trade.symbol}, {_plain(lot)}"
        )
    if held - quantity < lot or held == quantity:
        most = filters.floor_quantity(held - lot, market=True)
        part = f"the most that leaves a position is {_plain(most)}" if most > 0 else "it cannot be divided"
        raise Rejected("QUANTITY_ALL", f"{_plain(held)} {trade.symbol} is open and {part}; {WAYS.format(trade.symbol)}")
    largest = filters.market_quantity_max
    if largest and quantity > largest:
        raise Rejected(
            "QUANTITY_MAX", f"one order of {trade.symbol} may have {_plain(largest)} at most: do it in parts"
        )
    return quantity


# --- its stop moves ---------------------------------------------------------------------------------
def _move_stop(
    record: SymbolRecord, trade: Trade, event: Commanded, portfolio: Portfolio, context: DecisionContext
) -> Decision | None:
    """The new one rests before the old one goes, as when the rules move it."""
    old = trade.stop
    assert old is not None
    price, prices = _rounded(trade, event, context), _prices(event)
    if price == old.trigger_price:
        return None
    _refuse_unconfirmed(trade)
    nearest = min(prices.mark_price, prices.last_price, key=lambda each: trade.side.sign * each)
    if trade.side.sign * (nearest - price) <= context.filters.tick_size:
        told = f"the price is {_plain(nearest)}: a stop at {_plain(price)} would close {trade.symbol} at once"
        raise Rejected("STOP_SIDE", f"{told}; {WAYS.format(trade.symbol)}")
    moved = replace(trade, stop=stop_leg(trade, price, old.version + 1, context), stop_before=old)
    assert moved.stop is not None
    _refuse_unfit(context.filters.check_algo(place_stop(moved, moved.stop).request, prices.mark_price), "STOP_FILTERS")
    after = replace(record, trade=moved)
    loosens = trade.side.sign * (price - old.trigger_price) < 0
    guards = _may_loosen(record, after, old, event, portfolio, context) if loosens else ()
    reason = "STOP_LOOSENED_BY_HAND" if loosens else "STOP_MOVED_BY_HAND"
    intents = exchange_stop(moved, (old.client_id,), context, bridged=False)
    return decision(Trigger.RESTOP, reason, after, intents=intents, guards=guards)


def _may_loosen(
    before: SymbolRecord,
    after: SymbolRecord,
    old: StopLeg,
    event: Commanded,
    portfolio: Portfolio,
    context: DecisionContext,
) -> tuple[Guard, ...]:
    """More may be lost with it: never by mistake, never beyond what could be entered. Raises Rejected."""
    trade, symbol = after.trade, after.symbol
    assert trade is not None
    assert trade.stop is not None
    price = trade.stop.trigger_price
    if not event.looser or not event.why.strip():
        told = f"{_plain(price)} is further from safety than its stop at {_plain(old.trigger_price)}"
        raise Rejected("LOOSER", f"{told}: that takes --looser and a --reason")
    guards = _guards_of_loosening(before, after, portfolio, context)
    refused = failed(guards)
    if refused is not None:
        told = f"a stop at {_plain(price)} would break {refused.name}: {refused.value} is not {refused.limit}"
        raise Rejected(refused.name, f"the stop of {symbol} stays at {_plain(old.trigger_price)}: {told}")
    return guards


def _guards_of_loosening(
    before: SymbolRecord, after: SymbolRecord, portfolio: Portfolio, context: DecisionContext
) -> tuple[Guard, ...]:
    policy, trade, equity = context.policy, after.trade, portfolio.equity
    assert trade is not None
    assert trade.stop is not None
    entry, price = trade.entry_price or trade.entry_price_planned, trade.stop.trigger_price
    more = _risk(after, context) - _risk(before, context)
    strategy = context.rules.strategies.get(trade.strategy)
    allowed = equity * open_risk_pct_max(policy, strategy) / 100
    is_open = portfolio.blocked == "" or portfolio.blocked in STOPS_NO_LOOSENING
    return (
        Guard("ACCOUNT_OPEN", is_open, portfolio.blocked, "no loss limit, and equity is known"),
        at_most("EQUITY_FRESH", portfolio.equity_age_ms, policy.limits.equity_age_ms_max),
        at_most(
            "STOP_DISTANCE_MAX", trade.side.sign * (entry - price) / entry * 100, policy.risk.stop_distance_pct_max
        ),
        stop_inside_liquidation(
            trade.side, trade.open_quantity, entry, price, policy.leverage_of(trade.symbol), context
        ),
        at_most("MAX_OPEN_RISK", portfolio.open_risk + more, allowed),
        # together they risk so much more at most: as if all prices moved as one
        *shared_caps(trade.side, portfolio.correlated_risk + more, more, portfolio, equity, policy),
    )


def _risk(record: SymbolRecord, context: DecisionContext) -> Decimal:
    held = commitment(record, context.policy)
    return ZERO if held is None else held.risk


def holds_back(
    event: Commanded, account: AccountRecord, equity: EquityRead | None, brackets: tuple[Bracket, ...], policy: Policy
) -> str:
    """What of the account is against a command: a loss limit that is exceeded at this moment, and for a stop whatever
    makes loosening it unsafe. Whether anything may be entered is another question: a pause or an operator's halt hides
    no loss, and where a symbol is traded no more its trade is managed all the same.
    """
    held = "" if equity is None else holding_limit(account, equity.settled, policy)
    if event.command != "move-stop" or held:
        return held
    if equity is None:
        return "EQUITY_UNKNOWN"
    for flag in (account.breach, account.halt):
        if flag is not None and flag.cause not in STOPS_NO_LOOSENING:
            return flag.cause
    if account.route is not None:
        return UNPROVED
    if equity.is_doubtful:
        return "EQUITY_UNEXPLAINED"
    return "" if brackets else "BRACKETS_UNKNOWN"


# --- a target moves ---------------------------------------------------------------------------------
def _move_target(record: SymbolRecord, trade: Trade, event: Commanded, context: DecisionContext) -> Decision | None:
    """The old one goes before the new one is placed, as the exchange takes one of a kind; the stop covers meanwhile."""
    target = _chosen(trade, event.number)
    price, prices = _rounded(trade, event, context), _prices(event)
    if price == target.trigger_price:
        return None
    _refuse_unconfirmed(trade)
    if target.is_moving:
        raise Rejected("TARGET_UNCONFIRMED", "that target is being moved just now; send it again in a moment")
    farthest = max(prices.mark_price, prices.last_price, key=lambda each: trade.side.sign * each)
    if trade.side.sign * (price - farthest) <= 0:
        told = f"the price is {_plain(farthest)}: a target at {_plain(price)} would close at once"
        raise Rejected("TARGET_SIDE", f"{told}; `reduce {trade.symbol}` closes a part at the market")
    moved = replace(next_target(target, trade, context), trigger_price=price, sent=1, before=target.client_id)
    order = place_target(trade, moved, context)
    _refuse_unfit(context.filters.check_algo(order.request, prices.mark_price), "TARGET_FILTERS")
    targets = tuple(moved if each.index == moved.index else each for each in trade.targets)
    after = replace(record, trade=replace(trade, targets=targets))
    cancel = CancelAlgo(symbol=record.symbol, client_id=target.client_id)
    return decision(Trigger.RESTOP, "TARGET_MOVED_BY_HAND", after, intents=(cancel, order, Look(symbol=record.symbol)))


def _chosen(trade: Trade, number: int | None) -> TargetLeg:
    left = [target for target in trade.targets if trade.targets_sent and not target.done]
    if not left:
        raise Rejected("NO_TARGET", f"no target of {trade.symbol} rests: its rules have none, or they were hit")
    if number is None and len(left) == 1:
        return left[0]
    found = next((target for target in left if target.index + 1 == number), None)
    if found is None:
        listed = ", ".join(f"{target.index + 1} at {_plain(target.trigger_price)}" for target in left)
        raise Rejected("WHICH_TARGET", f"{trade.symbol} has {listed}: say which by its number")
    return found


# --- what they share --------------------------------------------------------------------------------
def _prices(event: Commanded) -> MarkPrice:
    if event.prices is None or event.prices.mark_price <= 0 or event.prices.last_price <= 0:
        raise Rejected("NO_PRICE", "the present price could not be read, so nothing was moved; send it again")
    return event.prices


def _rounded(trade: Trade, event: Commanded, context: DecisionContext) -> Decimal:
    """On the tick: a stop away from the entry, a target towards it. Raises Rejected."""
    if event.price is None or event.price <= 0:
        raise Rejected("PRICE", "say at which price")
    price = context.filters.round_price(event.price, Rounding.DOWN if trade.side is TradeSide.LONG else Rounding.UP)
    if price <= 0:
        raise Rejected("PRICE", f"{_plain(event.price)} is less than the smallest price of {trade.symbol}")
    return price


def _refuse_unconfirmed(trade: Trade) -> None:
    if trade.uncovered_ms is not None or trade.stop_before is not None:
        raise Rejected(
            "STOP_UNCONFIRMED",
            f"the stop of {trade.symbol} is being placed or moved just now; send it again in a moment",
        )


def _refuse_unfit(refused: Refused | None, guard: str) -> None:
    if refused is not None:
        raise Rejected(guard, f"the exchange would refuse it: {refused.code} {refused.message}")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
