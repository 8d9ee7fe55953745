"""One incident is one message: what repeats itself is told once, and again only when it has got worse."""

from __future__ import annotations

import re
from decimal import Decimal

from msgspec.structs import replace

from exchange.types import AlgoStatus
from fsm.config.settings import Settings, SymbolSettings
from fsm.core.close_forms import FORMS
from fsm.core.model.intents import ClosePosition, PlaceStop
from fsm.live.operator.alerts import Alerts, held_in_words
from tests.unit.fsm.core.parts import FILTERS, SYMBOL
from tests.unit.fsm.core.stage import Stage

CODE_WORD = re.compile(r"\b[A-Z]{2,}_[A-Z_]+\b")
"""A word of the machine's, which means nothing to a trader."""

SETTINGS = Settings(version=1, symbols={SYMBOL: SymbolSettings()})


def messages(stage: Stage) -> list[str]:
    """What the operator hears of all that happened on this stage; the same key is delivered once."""
    alerts = Alerts(lambda: SETTINGS, "run1", tick_of=lambda symbol: FILTERS.tick_size)
    told = {}
    for number, (before, decision, event) in enumerate(stage.ledger.rows):
        for row in alerts.of_transition(number, before, decision, event):
            told.setdefault(row.dedupe_key, row.text)
    return list(told.values())


def test_r62_a_close_that_never_gets_through_is_told_when_it_begins_and_when_it_gets_worse() -> None:
    """15 alerts in half a minute had been sent for one lot that was too large."""
    stage = Stage().protected()
    stage.fate = lambda intent: "-2022" if isinstance(intent, ClosePosition) else "ok"
    stage.command("exit")
    for _ in range(120):
        stage.wait(250).look()
    assert stage.trade.close_failed > FORMS
    told = [text for text in messages(stage) if "close" in text]
    assert len(told) == 2, told
    assert "LONG 0.069 open, stop 59400.0" in told[0]


def test_r62_a_lowered_lot_is_one_message() -> None:
    stage = Stage().protected()
    stage.exchange.filters = replace(FILTERS, market_quantity_max=Decimal("0.01"))
    stage.command("exit")
    stage.settle()
    assert stage.exchange.position == 0
    assert len([text for text in messages(stage) if "did not get through" in text]) == 1


def test_pieces_that_do_their_part_are_no_news() -> None:
    stage = Stage().protected()
    stage.exchange.takes = Decimal("0.03")
    stage.command("exit")
    stage.settle()
    assert [text for text in messages(stage) if "did not get through" in text] == []


def test_a_stop_that_moves_and_is_read_back_is_no_news() -> None:
    stage = Stage().protected()
    before = len(messages(stage))
    stage.next_hour().price("61000")
    stage.signal(rsi=50.0, atr=100.0)
    assert "restop STOP_MOVED" in stage.reasons
    assert stage.reasons[-1] == "reprotect STOP_CONFIRMED"
    assert len(messages(stage)) == before


def test_a_target_that_was_hit_names_its_price_what_it_closed_and_about_what_it_made() -> None:
    stage = Stage().protected()
    stage.price("60600").exchange.trigger(stage.trade.targets[0].client_id)
    stage.look()
    (told,) = [text for text in messages(stage) if "target at" in text and "was hit" in text]
    assert told == (
        "BTCUSDT: the target at 60600.0 was hit and closed 0.034 (about +20.40 USDT, +0.41 R). "
        "LONG 0.035 of BTCUSDT open, stop 59400.0."
    )


def test_a_stop_that_vanished_is_told_once_and_that_it_is_back() -> None:
    stage = Stage().protected()
    before = len(messages(stage))
    stage.exchange.end_algo(stage.trade.stop.client_id, AlgoStatus.CANCELED)  # type: ignore[union-attr]
    fates = ["-1008", "-1008", "-1008"]
    stage.fate = lambda intent: fates.pop() if isinstance(intent, PlaceStop) and fates else "ok"
    for _ in range(60):
        stage.patient_look(500)
    gone, back = messages(stage)[before:]
    assert "because the exchange cancelled its stop. LONG 0.069 of BTCUSDT open, NO STOP." in gone
    assert "its stop rests at the exchange again. LONG 0.069 of BTCUSDT open, stop 59400.0." in back


def test_every_message_is_a_sentence_that_names_what_is_open_or_what_is_done() -> None:
    """R69: `sweep: ORPHANS` says nothing to somebody who has just been woken up."""
    stage = Stage().protected()
    stage.command("quarantine")
    stage.command("exit")
    stage.settle()
    told = messages(stage)
    assert len(told) >= 3
    for text in told:
        assert text.endswith((".", "`")), text
        assert SYMBOL in text
        assert any(sign.isdigit() for sign in text), text
        assert not CODE_WORD.search(text), text
    (quarantined,) = [text for text in told if "no entries until" in text]
    assert "LONG 0.069 of BTCUSDT open, stop 59400.0, and stays managed." in quarantined


def test_a_stop_that_is_announced_as_back_names_its_price_and_one_that_is_missing_says_so() -> None:
    stage = Stage().protected()
    assert held_in_words(stage.trade, FILTERS.tick_size) == "LONG 0.069 of BTCUSDT open, stop 59400.0"
    assert held_in_words(stage.trade) == "LONG 0.069 of BTCUSDT open, stop 59400"
    assert held_in_words(replace(stage.trade, stop=None)) == "LONG 0.069 of BTCUSDT open, NO STOP"
