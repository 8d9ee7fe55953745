"""Events as the journal holds them, with the exchange's words put into ours where the row is older than ours."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.recorded_words import RecordedWords
from exchange.refusals import RefusalReason
from exchange.types import Outcome, Refused
from fsm.core.model.events import IntentEnded, SetupEnded, SymbolEvent


def in_our_words(event: SymbolEvent, words: RecordedWords) -> SymbolEvent:
    """The same event, every refusal with its reason."""
    if isinstance(event, IntentEnded | SetupEnded):
        return replace(event, outcome=_with_reason(event.outcome, words))
    return event


def _with_reason(outcome: Outcome, words: RecordedWords) -> Outcome:
    if isinstance(outcome, Refused) and outcome.reason is RefusalReason.UNSTATED:
        return replace(outcome, reason=words.reason_of(outcome.code))
    return outcome
