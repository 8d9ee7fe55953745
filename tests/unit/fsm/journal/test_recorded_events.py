"""Rows that are older than our words for refusals are read by the numbers of the exchange they came from."""

from __future__ import annotations

import msgspec

from exchange.refusals import RefusalReason
from exchange.types import MarkPrice, Refused
from fsm.bootstrap import RECORDED_WORDS
from fsm.core.model.events import SetupEnded, SymbolEvent
from fsm.core.model.records import ZERO
from fsm.journal.recorded_events import in_our_words


def ended(outcome: Refused) -> SetupEnded:
    prices = MarkPrice(symbol="BTCUSDT", mark_price=ZERO, last_price=ZERO, time_ms=0)
    return SetupEnded(symbol="BTCUSDT", at_ms=1, outcome=outcome, prices=prices)


def read(event: SetupEnded, *, old: bool) -> SymbolEvent:
    row = msgspec.json.encode(event)
    row = row.replace(b',"reason":"UNSTATED"', b"") if old else row
    return in_our_words(msgspec.json.decode(row, type=SymbolEvent), RECORDED_WORDS, edition=1)


def test_r52_an_old_row_has_the_reason_of_its_number() -> None:
    found = read(ended(Refused(-2015, "no")), old=True)
    assert found == ended(Refused(-2015, "no", RefusalReason.KEY_NOT_ACCEPTED))


def test_a_row_that_states_its_reason_keeps_it_whatever_its_number() -> None:
    stated = ended(Refused(-2015, "another exchange's", RefusalReason.TOO_LARGE))
    assert read(stated, old=False) == stated
