"""What a fill of the entry asks for: the stop at once, and targets when it can fill no further."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from fsm.core.model.decision import Decision, decision
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.intents import Intent, Look
from fsm.core.model.records import EntryLeg, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.order_requests import place_stop, place_target, stop_leg
from fsm.core.planning import sized_targets


def fill(
    record: SymbolRecord, at_ms: int, filled: Decimal, average: Decimal | None, finished: bool, context: DecisionContext
) -> Decision:
    """Count executions of the entry. The first place the stop at once; targets follow when it can fill no further.

    While a stop that was placed earlier is not seen to rest they wait for it: it may never have been sent.
    """
    before = record.trade
    assert before is not None
    first = before.first_fill_ms is None
    entry = replace(before.entry, filled=filled, average_price=average or before.entry.average_price, finished=finished)
    trade = _counted(before, at_ms, entry, context)
    intents: list[Intent] = []
    if first:
        assert trade.stop is not None
        intents.append(place_stop(trade, trade.stop))
    waits_for_stop = not first and trade.uncovered_ms is not None
    if finished and not trade.targets_sent and not waits_for_stop:
        trade, orders = send_targets(trade, context)
        intents.extend(orders)
    if intents:
        intents.append(Look(symbol=record.symbol))
    more = "MORE_FILLED" if filled > before.entry.filled else "ENTRY_FINISHED"
    reason = "FIRST_FILL" if first else more
    return decision(Trigger.FILL, reason, replace(record, trade=trade), intents=tuple(intents))


def _counted(before: Trade, at_ms: int, entry: EntryLeg, context: DecisionContext) -> Trade:
    """The trade with so much of its entry filled. The first fill wants a stop, and the deadline begins."""
    first = before.first_fill_ms is None
    return replace(
        before,
        entry=entry,
        open_quantity=before.open_quantity + entry.filled - before.entry.filled,
        entry_price=entry.average_price or before.entry_price_planned,
        first_fill_ms=at_ms if first else before.first_fill_ms,
        uncovered_ms=at_ms if first else before.uncovered_ms,
        stop=before.stop or stop_leg(before, before.stop_price_initial, 1, context),
    )


def send_targets(trade: Trade, context: DecisionContext) -> tuple[Trade, list[Intent]]:
    """Size the targets to the position and ask for them."""
    trade = replace(trade, targets=sized_targets(trade, trade.open_quantity, context), targets_sent=True)
    return trade, [place_target(trade, target, context) for target in trade.targets if not target.done]
