"""Events as the journal holds them, with the exchange's words put into ours where the row is older than ours."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from exchange.origin import Stated
from exchange.recorded_words import RecordedWords
from exchange.refusals import RefusalReason
from exchange.types import Order, Outcome, Refused
from fsm.core.model.events import IntentEnded, JournalFoundOld, SetupEnded, SymbolEvent, SymbolObserved


def in_our_words(event: SymbolEvent, words: RecordedWords, edition: int) -> SymbolEvent:
    """The same event: every refusal has its reason, every order of the exchange's own its origin."""
    if isinstance(event, IntentEnded | SetupEnded):
        outcome = _with_reason(event.outcome, words)
        return event if outcome is event.outcome else replace(event, outcome=outcome)
    if isinstance(event, SymbolObserved | JournalFoundOld):
        if all(order.origin is not msgspec.UNSET for order in event.snapshot.orders):
            return event
        origin_of = words.origin_of if edition > 1 else words.origin_at_first
        orders = tuple(_with_origin(order, origin_of) for order in event.snapshot.orders)
        return replace(event, snapshot=replace(event.snapshot, orders=orders))
    return event


def _with_origin(order: Order, origin_of: Callable[[str], Stated]) -> Order:
    return replace(order, origin=origin_of(order.client_id)) if order.origin is msgspec.UNSET else order


def _with_reason(outcome: Outcome, words: RecordedWords) -> Outcome:
    if isinstance(outcome, Refused) and outcome.reason is RefusalReason.UNSTATED:
        return replace(outcome, reason=words.reason_of(outcome.code))
    return outcome
