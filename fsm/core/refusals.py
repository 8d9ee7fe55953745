"""What the exchange's refusals mean to the machine (error catalogue of USDⓈ-M futures, checked 2026-11)."""

from __future__ import annotations

from msgspec.structs import replace

from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import HaltCause, Refusals, SymbolRecord

PERMISSION = frozenset({-1002, -1022, -1102, -2014, -2015, -4120, 451})
"""Lasting by their nature: no retry mends a key, a signature, a route or a region that does not allow trading. They end
entries, never attempts to protect. Every other refusal passes (R61)."""

PERMISSION_AT_FIRST = frozenset({-1002, -2014, -2015, -2017, -2023, -4087, -4088, -4120, -4192})
"""What the first edition took for lasting."""

TEMPORARY = frozenset({-1003, -1008, -1015, -1021, -5028, 503})
"""These say nothing of the request: the exchange, our own budget or our clock could not do it now."""

ALREADY_THERE = frozenset({-4116, -4130})
"""An order with this id, or a closePosition order of this kind, exists: evidence that ours rests. Read it back."""

WOULD_TRIGGER = frozenset({-2021, -4142})
"""The market is already beyond the trigger price."""

DUPLICATE_ID = -4116
"""An order with this id is or was there: for an entry, the earlier attempt was accepted (R16)."""

NO_POSITION = frozenset({-4509, -4129})
"""closePosition without a position: it lags behind its own fill, or is gone."""

NO_COUNTERPARTY = -4131
"""The best opposite price is outside PERCENT_PRICE: a LIMIT IOC may step in."""

TOO_LARGE = frozenset({-4005})
"""More than the largest lot: it may have been lowered since we read it."""

TOO_SMALL = frozenset({-4003, -4004, -4164})
"""Less than the smallest lot or notional; what reduces may ask for more, the exchange clamps it to the position."""

TOO_FINE = frozenset({-1111, -4014, -4023})
"""More decimals than the symbol has, or between its steps: they may have become coarser since we read them."""

LIMIT_TOO_FAR = frozenset({-4002, -4013, -4016, -4024})
"""The price of a LIMIT is beyond what the exchange lets it trade at."""

FORM_REFUSED = frozenset({NO_COUNTERPARTY}) | TOO_LARGE | TOO_SMALL | TOO_FINE | LIMIT_TOO_FAR
"""These say what is wrong with a closing order, so that the next one can leave at once."""

REFUSALS_BEFORE_COOLDOWN = 2
REFUSALS_BEFORE_HALT = 4
REFUSAL_COOLDOWN_CANDLES = 6


def refused_for_good(record: SymbolRecord, at_ms: int, code: int, context: DecisionContext) -> SymbolRecord:
    """Halted if the refusal says that trading is not allowed (R1)."""
    lasting = PERMISSION if context.edition > 1 else PERMISSION_AT_FIRST
    return record.halted(HaltCause.PERMISSION, at_ms) if code in lasting else record


def refused_again(record: SymbolRecord, at_ms: int, code: int, context: DecisionContext) -> SymbolRecord:
    """The same refusal again and again cools the symbol down, then halts it (R45). What says nothing of the request
    does neither: it is over when the exchange, our budget or our clock is right again."""
    if context.edition > 1 and code in TEMPORARY:
        return record
    before = record.refusal
    count = before.count + 1 if before is not None and before.code == code else 1
    record = refused_for_good(replace(record, refusal=Refusals(code, count)), at_ms, code, context)
    if count >= REFUSALS_BEFORE_HALT:
        return record.halted(HaltCause.REFUSALS, at_ms)
    if count >= REFUSALS_BEFORE_COOLDOWN:
        until = at_ms + REFUSAL_COOLDOWN_CANDLES * context.rules.entry_timeframe.ms
        return replace(record, cooldown_until_ms=max(record.cooldown_until_ms, until))
    return record
