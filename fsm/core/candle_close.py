"""At a candle's close: whether to trade, and if not, the one reason why not."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from fsm.core.model.decision import Decision, Guard, decision, failed
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import CandleClosed
from fsm.core.model.intents import EnsureSetup
from fsm.core.model.records import State, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.planning import plan_trade
from fsm.core.signals import drop, signal_age_ms
from fsm.core.states.protected import manage_trade
from rules.source.short_forms import NO_TRADE
from rules.strategy import Reason
from rules.warmup import CLASSIFIER, warming_up

CLOSE_LATE_MS = 60_000
"""So long after its trade was booked a closing order that nobody heard of might still meet the next position: many
times recvWindow, after which the matching engine itself refuses a request."""


STRATEGY_RESTS = "STRATEGY_RESTS"
"""The reason of a signal whose strategy enters nothing until the operator says so."""

HOLDING = "HOLDING"
"""The reason of an open trade that its rules leave as it is."""


class CandleVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of one candle: SIGNAL, BLOCKED, NO_SIGNAL, NO_TRADE, IN_TRADE or HALTED, and the reason."""

    outcome: str
    reason: str
    strategy: str | None = None
    guards: tuple[Guard, ...] = ()
    decision: Decision | None = None


def decide_candle(
    record: SymbolRecord, event: CandleClosed, portfolio: Portfolio, context: DecisionContext
) -> CandleVerdict:
    """The decision of one symbol at one close; pure, so that it can be taken again from the journal."""
    if record.state is State.SIGNALLED:
        return _wait(record, event, context)
    if record.state is State.PROTECTED:
        return _manage(record, event, context)
    if record.state is State.HALT:
        return CandleVerdict(outcome="HALTED", reason=record.halt.cause if record.halt else "HALT")
    if record.state is not State.IDLE:
        return CandleVerdict(outcome="IN_TRADE", reason=record.state.value)
    blocked = _blocked(record, event, portfolio)
    if blocked:
        return CandleVerdict(outcome="BLOCKED", reason=blocked)
    return _seek(record, event, portfolio, context)


def _blocked(record: SymbolRecord, event: CandleClosed, portfolio: Portfolio) -> str:
    """Why the symbol may not even look for a signal; empty when it may."""
    if record.quarantine is not None:
        return f"QUARANTINE {record.quarantine.cause}"
    if record.released is not None:
        return "RELEASED"
    if record.paused:
        return "PAUSED"
    if portfolio.blocked:
        return portfolio.blocked
    if event.at_ms < record.cooldown_until_ms:
        return "COOLDOWN"
    if record.close_unheard_ms is not None and event.at_ms < record.close_unheard_ms + CLOSE_LATE_MS:
        return "CLOSE_UNRESOLVED"
    if event.candle_ms < event.blocked_until_ms:
        return candle_hole(event.blocked_until_ms)
    return ""


def candle_hole(until_ms: int) -> str:
    """The reason of a symbol that opens nothing behind a hole in its candles (R66)."""
    return f"CANDLE_HOLE until {moment(until_ms)} UTC"


def moment(at_ms: int) -> str:
    """A time of the exchange's clock as people read it, to the minute."""
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M}"


def _seek(record: SymbolRecord, event: CandleClosed, portfolio: Portfolio, context: DecisionContext) -> CandleVerdict:
    route = context.rules.route(event.regime.regime)
    signal = context.rules.seek(route, event.facts, traced=False)
    if signal is None:
        short = event.warming.get(CLASSIFIER) if event.regime.regime == NO_TRADE else None
        return CandleVerdict(outcome="NO_TRADE", reason=warming_up(short) if short else route.reason)
    if signal.side is None:
        short = event.warming.get(signal.strategy) if signal.reason is Reason.UNKNOWN_FACTS else None
        reason = warming_up(short) if short else signal.reason
        return CandleVerdict(outcome="NO_SIGNAL", reason=reason, strategy=signal.strategy)
    if signal.strategy in portfolio.resting:
        return CandleVerdict(outcome="BLOCKED", reason=STRATEGY_RESTS, strategy=signal.strategy)
    trade, guards = plan_trade(record, event, signal, portfolio, context)
    refused = failed(guards)
    if refused is not None:
        return CandleVerdict(outcome="BLOCKED", reason=refused.name, strategy=signal.strategy, guards=guards)
    after = msgspec.structs.replace(
        record,
        trade=trade,
        trades_opened=trade.number,
        abandoned=_may_turn_up(record.abandoned),
        signal_candle_ms=event.candle_ms,
    )
    policy = context.policy
    setup = EnsureSetup(
        symbol=record.symbol, margin_type=policy.account.margin_type, leverage=policy.leverage_of(record.symbol)
    )
    made = decision(Trigger.SIGNAL, f"{signal.strategy} {trade.side}", after, intents=(setup,), guards=guards)
    return CandleVerdict(outcome="SIGNAL", reason=made.reason, strategy=signal.strategy, guards=guards, decision=made)


def _may_turn_up(abandoned: Trade | None) -> Trade | None:
    """An entry that nobody saw may arrive at any time, also beside another trade; of others the rest is history."""
    return abandoned if abandoned is not None and abandoned.entry.filled == 0 else None


def _wait(record: SymbolRecord, event: CandleClosed, context: DecisionContext) -> CandleVerdict:
    """A signal whose setup was never answered does not outlive its age."""
    assert record.trade is not None
    too_old = signal_age_ms(record.trade, event.at_ms, context) > context.policy.candle_age_ms_max
    made = drop(record, "CANDLE_AGE") if too_old else None
    return CandleVerdict(outcome="IN_TRADE", reason=State.SIGNALLED.value, decision=made)


def _manage(record: SymbolRecord, event: CandleClosed, context: DecisionContext) -> CandleVerdict:
    trade = record.trade
    assert trade is not None
    assert trade.stop is not None
    if trade.adopted and trade.strategy == "adopted":
        return CandleVerdict(outcome="IN_TRADE", reason=HOLDING)
    entry = trade.entry_price or trade.entry_price_planned
    held = (event.candle_ms - trade.signal_candle_ms) // context.rules.entry_timeframe.ms
    managed = context.rules.manage(
        trade.strategy,
        trade.side.value,
        event.facts,
        entry=float(entry),
        stop=float(trade.stop.trigger_price),
        risk=float(abs(entry - trade.stop_price_initial)),
        candles_held=held,
        regime_ended=trade.regime != event.regime.regime,
        traced=False,
    )
    made = manage_trade(record, event, managed, context)
    reason = HOLDING if made is None else made.reason
    return CandleVerdict(outcome="IN_TRADE", reason=reason, strategy=trade.strategy, decision=made)
