"""What a running bot tells: sentences with prices on a terminal, JSON lines for programs."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from exchange.types import AlgoRequest, ConditionalType, OrderRequest, OrderType, Side, WorkingType
from fsm.cli.telling import JsonTeller, Teller
from fsm.core.candle_close import CandleVerdict
from fsm.core.model.decision import Step
from fsm.core.model.intents import PlaceEntry, PlaceStop
from fsm.core.model.transition_table import State, Trigger
from fsm.live.context.observer import Close, News, RegimeChange
from fsm.live.operator.alerts import RESULT_FOLLOWS
from fsm.live.process.own_audit import HEAD_KEY

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


def news(text: str, **changed: object) -> News:
    given: dict[str, object] = {
        "at_ms": AT_MS, "kind": "trade_opened", "severity": "info", "symbol": "XRPUSDT", "key": text,
    }  # fmt: skip
    return News(text=text, **{**given, **changed})  # type: ignore[arg-type]


OPENED = (
    "XRPUSDT: LONG 1718.8 at 0.6086 (1,046.06 USDT, trend_pullback), stop 0.5808 (-4.57 %) confirmed, 49.65 at risk."
)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_a_trade_is_told_in_prices_below_the_date_and_never_over_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(width=60)
    teller.told(news(OPENED))
    shown = lines(capsys)
    assert shown[0] == "2024-08-20 (UTC)"
    assert shown[1].startswith("07:00:00  XRPUSDT     LONG 1718.8 at 0.6086 (1,046.06")
    assert all(len(line) <= 60 for line in shown)
    assert " ".join(line.strip() for line in shown[1:]).split() == ["07:00:00", "XRPUSDT", *OPENED.split()[1:]]


def test_no_state_of_the_machine_is_shown_but_what_leaves_and_what_came_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    request = OrderRequest(
        symbol="XRPUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("1718.8"), client_id="f1-E"
    )
    teller = Teller(width=100)
    for told in (
        step(),
        step(trigger=Trigger.SIGNAL, dest=State.SIGNALLED, reason="trend_pullback LONG"),
        step(trigger=Trigger.ENTER, intents=(("1.0", PlaceEntry(symbol="XRPUSDT", request=request)),)),
        step(trigger=Trigger.ABANDON, dest=State.IDLE, reason="ENTRY_FINISHED"),
    ):
        teller.step(told)
    assert lines(capsys)[1:] == [
        "07:00:12  XRPUSDT     sends BUY 1718.8 at the market: all conditions of trend_pullback LONG hold",
        "                      (`why XRPUSDT` lists them)",
        "07:00:12  XRPUSDT     no position came of it: the entry ended unfilled",
    ]


def test_the_time_to_the_stop_is_told_in_real_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(width=100)
    teller.told(news(OPENED))
    teller.protected("XRPUSDT", 172.8)
    assert lines(capsys)[-1].endswith("stop confirmed at the exchange 173 ms after the fill was seen")


def test_the_same_message_is_told_once_and_that_all_is_well_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller(width=100)
    for _ in range(3):
        teller.told(news("XRPUSDT: its stop is being placed again.", key="incident"))
    teller.told(news("The bot is alive.", kind="heartbeat", symbol=None))
    assert len(lines(capsys)) == 2


def test_closes_repeat_nothing_where_no_terminal_is_but_new_regimes_and_missing_candles_show(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdicts = {"XRPUSDT": CandleVerdict(outcome="IN_TRADE", reason="HOLDING")}
    change = RegimeChange(symbol="BTCUSDT", before="RANGE", after="TREND", confidence=0.5)
    teller = Teller(width=100)
    teller.closed(Close(at_ms=AT_MS, verdicts=verdicts))
    teller.closed(Close(at_ms=AT_MS, verdicts=verdicts, regimes=[change], missing=["DOGEUSDT"]))
    assert lines(capsys)[1:] == [
        "07:00:00  BTCUSDT     regime RANGE → TREND (confidence 0.50)",
        "07:00:00  DOGEUSDT    its candle did not come: nothing is decided there",
    ]


def test_on_a_terminal_one_line_is_written_over_and_stays_below_what_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsm.cli.output.is_terminal", lambda: True)
    verdicts = {
        "BTCUSDT": CandleVerdict(outcome="NO_SIGNAL", reason="NO_SETUP"),
        "ETHUSDT": CandleVerdict(outcome="NO_SIGNAL", reason="NO_SETUP"),
        "SOLUSDT": CandleVerdict(outcome="BLOCKED", reason="MAX_OPEN_POSITIONS"),
        "XRPUSDT": CandleVerdict(outcome="IN_TRADE", reason="HOLDING"),
    }
    teller = Teller(width=120)
    teller.closed(Close(at_ms=AT_MS, verdicts=verdicts))
    teller.told(news(OPENED))
    teller.closed(Close(at_ms=AT_MS + 3_600_000, verdicts=verdicts))
    teller.ended()
    shown = capsys.readouterr().out
    assert shown.count("  in a trade: XRPUSDT · no setup: 2 · as many positions are open as config") == 5
    assert [line.rpartition("\r")[2] for line in shown.split("\n")][1].startswith("07:00:00  XRPUSDT")
    assert shown.endswith("\n")


def test_on_a_narrow_terminal_the_line_loses_whole_parts_and_never_what_is_open(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsm.cli.output.is_terminal", lambda: True)
    verdicts = {
        "BTCUSDT": CandleVerdict(outcome="NO_TRADE", reason="NO_TRADE_REGIME"),
        "SOLUSDT": CandleVerdict(outcome="BLOCKED", reason="MAX_OPEN_POSITIONS"),
        "XRPUSDT": CandleVerdict(outcome="IN_TRADE", reason="HOLDING"),
    }
    for width, wanted in (
        (80, "2024-08-20 07:00 UTC  in a trade: XRPUSDT · regime not traded: 1 …"),
        (60, "2024-08-20 07:00 UTC  in a trade: XRPUSDT …"),
        (30, "2024-08-20 07:00 UTC  in a t…"),
    ):
        Teller(width=width).closed(Close(at_ms=AT_MS, verdicts=verdicts))
        assert capsys.readouterr().out.rpartition("\r")[2].removeprefix("\x1b[K") == wanted
        assert len(wanted) < width


HIT = f"XRPUSDT: the stop at 0.5808 was hit and closed LONG 1718.8. {RESULT_FOLLOWS}"
CLOSED = "XRPUSDT: LONG 1718.8 is closed, 0.6086 to 0.5808, because the stop was hit: -49.89 USDT net (-1.00 R)."


def test_an_exit_is_one_line_on_a_terminal_and_two_only_where_its_result_is_late(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsm.cli.output.is_terminal", lambda: True)
    for between, wanted in (
        ([], ["CLOSED"]),
        ([Close(at_ms=AT_MS, verdicts={}, missing=["BTCUSDT"])], ["HIT", "CLOSED"]),
    ):
        teller = Teller(width=150)
        teller.told(news(HIT, kind="stop_hit"))
        shown_at_once = capsys.readouterr().out
        assert "the stop at 0.5808 was hit" in shown_at_once
        assert "\n" not in shown_at_once.rpartition("UTC")[2], "it can still be written over"
        for close in between:
            teller.closed(close)
        teller.told(news(CLOSED, kind="trade_closed"))
        teller.ended()
        kept = [line.rpartition("\x1b[K")[2] for line in capsys.readouterr().out.split("\n")]
        assert ["HIT"] * any("was hit and closed" in line for line in kept) + ["CLOSED"] * any(
            "is closed, " in line for line in kept
        ) == wanted


def test_an_exit_whose_result_never_comes_is_told_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsm.cli.output.is_terminal", lambda: True)
    teller = Teller(width=150)
    teller.told(news(HIT, kind="stop_hit"))
    teller.ended()
    assert any("was hit and closed" in line.rpartition("\x1b[K")[2] for line in lines(capsys)[1:])


def test_a_hash_stays_whole_in_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    found = "2368afd6" * 8
    Teller(width=80).told(news(f"The journal's head is {found}. Keep it.", symbol=None, kind="journal_head"))
    shown = lines(capsys)
    assert f"{found}." in shown
    assert max(map(len, shown)) <= 80


def test_a_stop_that_moves_over_a_bridge_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    asked = AlgoRequest(
        symbol="XRPUSDT", side=Side.SELL, type=ConditionalType.STOP_MARKET, trigger_price=Decimal("0.6"),
        close_position=True, working_type=WorkingType.MARK_PRICE, client_id="f1-B",
    )  # fmt: skip
    moved = PlaceStop(symbol="XRPUSDT", request=asked)
    Teller(width=80).step(step(trigger=Trigger.RESTOP, intents=(("1.0", moved), ("1.1", moved))))
    assert lines(capsys)[1:] == ["07:00:12  XRPUSDT     its stop moves to 0.6"]


def test_a_stop_that_moves_is_told_with_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    def placed(price: str) -> tuple[str, PlaceStop]:
        asked = AlgoRequest(
            symbol="XRPUSDT", side=Side.SELL, type=ConditionalType.STOP_MARKET, trigger_price=Decimal(price),
            close_position=True, working_type=WorkingType.MARK_PRICE, client_id=f"f1-{price}",
        )  # fmt: skip
        return ("1.0", PlaceStop(symbol="XRPUSDT", request=asked))

    teller = Teller(width=80)
    teller.step(step(trigger=Trigger.FILL, intents=(placed("0.58"),)))
    teller.step(step(trigger=Trigger.RESTOP, intents=(placed("0.6"),)))
    teller.step(step(trigger=Trigger.RESTOP, intents=(placed("0.61"),)))
    assert [line.split("its stop ")[1] for line in lines(capsys)[1:]] == [
        "moves from 0.58 to 0.6",
        "moves from 0.6 to 0.61",
    ]


def test_where_the_journal_ends_is_no_news_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It is in the alerts, in the log of JSON lines and in a file."""
    told = news("The journal's head is 23. Keep it.", kind="lifecycle", symbol=None, key=f"{HEAD_KEY}17")
    Teller(width=80).told(told)
    assert lines(capsys) == []
    JsonTeller().told(told)
    assert len(lines(capsys)) == 1


def test_where_money_is_real_every_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller("MAINNET", width=60)
    teller.told(news(OPENED))
    teller.protected("XRPUSDT", 100.0)
    shown = lines(capsys)
    assert [line.split()[0] for line in shown[1:]] == ["MAINNET"] * len(shown[1:])
    assert all(len(line) <= 60 for line in shown)


def test_there_is_no_colour_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    Teller("MAINNET").told(news(OPENED, severity="critical"))
    assert "\x1b" not in capsys.readouterr().out


def test_programs_get_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    teller = JsonTeller()
    teller.started("sim", "http://127.0.0.1:1", "var/sim.sqlite")
    teller.dashboard("http://127.0.0.1:2")
    teller.step(step(reason='with "quotes"\nand lines'))
    teller.told(news(OPENED))
    verdicts = {"BTCUSDT": CandleVerdict(outcome="NO_SIGNAL", reason="NO_SETUP")}
    change = RegimeChange(symbol="BTCUSDT", before="RANGE", after="TREND", confidence=0.5)
    teller.closed(Close(at_ms=AT_MS, verdicts=verdicts, regimes=[change], missing=["DOGEUSDT"]))
    teller.protected("XRPUSDT", 172.8)
    rows = [json.loads(line) for line in lines(capsys)]
    assert [row["event"] for row in rows] == [
        "started", "dashboard", "transition", "message", "close", "regime", "protected",
    ]  # fmt: skip
    assert rows[2]["reason"] == 'with "quotes"\nand lines'
    assert rows[4]["symbols"] == {"BTCUSDT": {"outcome": "NO_SIGNAL", "reason": "NO_SETUP"}}
