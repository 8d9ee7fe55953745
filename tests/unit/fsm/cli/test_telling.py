"""What a terminal shows of a running bot."""

from __future__ import annotations

import pytest

from fsm.cli.telling import Teller
from fsm.core.candle_close import CandleVerdict
from fsm.core.model.decision import Step
from fsm.core.model.transition_table import State, Trigger
from fsm.live.context.observer import Close, RegimeChange

AT_MS = 1_724_137_200_000  # 2024-08-20 07:00


def step(**changed: object) -> Step:
    given: dict[str, object] = {
        "transition_id": 1,
        "at_ms": AT_MS + 12_345,
        "symbol": "XRPUSDT",
        "source": State.ENTERING,
        "dest": State.PROTECTED,
        "trigger": Trigger.PROTECT,
        "reason": "STOP_CONFIRMED",
        "trade_id": "XRPUSDT-1",
        "intents": (),
    }
    return Step(**{**given, **changed})  # type: ignore[arg-type]


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_transition_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Teller().step(step())
    (line,) = lines(capsys)
    assert line.split() == [
        "2024-08-20", "07:00:12", "XRPUSDT", "ENTERING", "→", "PROTECTED", "protect", "STOP_CONFIRMED", "(XRPUSDT-1)",
    ]  # fmt: skip


def test_the_time_to_protection_is_told_in_real_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    teller.step(step())
    teller.protected("XRPUSDT", 172.8)
    assert lines(capsys)[1].endswith("stop confirmed at the exchange 173 ms (real time) after the fill was seen")


def test_a_close_says_what_came_why_nothing_was_entered_and_new_regimes(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = {
        "BTCUSDT": CandleVerdict(outcome="NO_SIGNAL", reason="NO_SETUP"),
        "ETHUSDT": CandleVerdict(outcome="NO_SIGNAL", reason="NO_SETUP"),
        "SOLUSDT": CandleVerdict(outcome="BLOCKED", reason="MAX_OPEN_POSITIONS"),
        "XRPUSDT": CandleVerdict(outcome="IN_TRADE", reason="HOLDING"),
    }
    change = RegimeChange(symbol="BTCUSDT", before="RANGE", after="TREND", confidence=0.5)
    Teller().closed(Close(at_ms=AT_MS, verdicts=verdicts, regimes=[change], missing=["DOGEUSDT"]))
    first, second = lines(capsys)
    assert first.endswith(
        "candles of 4 symbols; no entry: NO_SETUP 2, MAX_OPEN_POSITIONS 1; in a trade: XRPUSDT; MISSING: DOGEUSDT"
    )
    assert second.endswith("regime RANGE → TREND (confidence 0.50)")


def test_where_money_is_real_every_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller("MAINNET")
    teller.step(step())
    teller.protected("XRPUSDT", 100.0)
    teller.closed(Close(at_ms=AT_MS, verdicts={"XRPUSDT": CandleVerdict(outcome="IN_TRADE", reason="HOLDING")}))
    assert [line.split()[0] for line in lines(capsys)] == ["MAINNET"] * 3


def test_there_is_no_colour_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    Teller("MAINNET").step(step())
    assert "\x1b" not in capsys.readouterr().out
