"""What the exchange's refusals mean to the machine: how it takes each reason, whatever number stood behind it."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import Refused
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import HaltCause, Refusals, SymbolRecord

PERMISSION = frozenset(
    {
        RefusalReason.NOT_ALLOWED,
        RefusalReason.KEY_MALFORMED,
        RefusalReason.KEY_NOT_ACCEPTED,
        RefusalReason.BAD_SIGNATURE,
        RefusalReason.NOT_UNDERSTOOD,
        RefusalReason.WRONG_ROUTE,
        RefusalReason.NOT_SERVED,
    }
)
"""Lasting by their nature: no retry mends a key, a signature, a route or a region that does not allow trading. They end
entries, never attempts to protect. Every other refusal passes (R61)."""

PERMISSION_AT_FIRST = frozenset(
    {
        RefusalReason.NOT_ALLOWED,
        RefusalReason.KEY_MALFORMED,
        RefusalReason.KEY_NOT_ACCEPTED,
        RefusalReason.KEY_LOCKED,
        RefusalReason.WRONG_ROUTE,
        RefusalReason.BARRED_FOR_NOW,
        RefusalReason.NO_ORDERS,
    }
)
"""What the first edition took for lasting."""

TEMPORARY = frozenset({RefusalReason.TRY_LATER, RefusalReason.CLOCK_OFF})
"""These say nothing of the request: the exchange, our own budget or our clock could not do it now."""

MAY_REST_LATER = TEMPORARY | {
    RefusalReason.OTHER,
    RefusalReason.KEY_LOCKED,
    RefusalReason.BARRED_FOR_NOW,
    RefusalReason.NO_ORDERS,
    RefusalReason.NOT_TRADING,
    RefusalReason.NO_SUCH_ORDER,
    RefusalReason.NOTHING_TO_REDUCE,
}
"""Nothing here says that the same stop could never rest, though nobody knows when it will (R84)."""

ALREADY_THERE = frozenset({RefusalReason.DUPLICATE_ID, RefusalReason.ALREADY_RESTS})
"""Evidence that ours rests. Read it back."""

WRONG_TICK = frozenset({RefusalReason.TOO_PRECISE, RefusalReason.OFF_TICK})
"""The tick is another one than we read."""

TOO_SMALL = frozenset({RefusalReason.TOO_SMALL, RefusalReason.WORTH_TOO_LITTLE})
"""What reduces may ask for more: the exchange clamps it to the position."""

TOO_FINE = WRONG_TICK | {RefusalReason.OFF_STEP}
"""Ticks or steps may have become coarser since we read them."""

LIMIT_TOO_FAR = frozenset({RefusalReason.PRICE_TOO_LOW, RefusalReason.PRICE_TOO_FAR})
"""The price of a LIMIT is beyond what the exchange lets it trade at."""

FORM_REFUSED = (
    frozenset({RefusalReason.NO_COUNTERPARTY, RefusalReason.TOO_LARGE}) | TOO_SMALL | TOO_FINE | LIMIT_TOO_FAR
)
"""These say what is wrong with a closing order, so that the next one can leave at once."""

REFUSALS_BEFORE_COOLDOWN = 2
REFUSALS_BEFORE_HALT = 4
REFUSAL_COOLDOWN_CANDLES = 6


def refused_for_good(record: SymbolRecord, at_ms: int, refused: Refused, context: DecisionContext) -> SymbolRecord:
    """Halted if the refusal says that trading is not allowed (R1)."""
    lasting = PERMISSION if context.edition > 1 else PERMISSION_AT_FIRST
    return record.halted(HaltCause.PERMISSION, at_ms) if refused.reason in lasting else record


def refused_again(record: SymbolRecord, at_ms: int, refused: Refused, context: DecisionContext) -> SymbolRecord:
    """The same refusal again and again cools the symbol down, then halts it (R45). What says nothing of the request
    does neither: it is over when the exchange, our budget or our clock is right again."""
    if context.edition > 1 and refused.reason in TEMPORARY:
        return record
    before = record.refusal
    count = before.count + 1 if before is not None and before.code == refused.code else 1
    record = refused_for_good(replace(record, refusal=Refusals(refused.code, count)), at_ms, refused, context)
    if count >= REFUSALS_BEFORE_HALT:
        return record.halted(HaltCause.REFUSALS, at_ms)
    if count >= REFUSALS_BEFORE_COOLDOWN:
        until = at_ms + REFUSAL_COOLDOWN_CANDLES * context.rules.entry_timeframe.ms
        return replace(record, cooldown_until_ms=max(record.cooldown_until_ms, until))
    return record
