"""Stream events: what each becomes, and that their order does not matter."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from exchange.binance.codec_events import market_event, user_event
from exchange.errors import MalformedReply
from exchange.events import (
    AccountChanged,
    AlgoChanged,
    ListenKeyExpired,
    MarginCalled,
    OrderChanged,
    OtherEvent,
    Resync,
    SettingsChanged,
    TradeTold,
    nudged_symbols,
    told_client_id,
)
from exchange.types import AlgoStatus, OrderStatus
from indicators.candle import Timeframe


def _load(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_bytes())


def test_an_order_event_carries_the_order_and_its_fill(own_payloads: Path) -> None:
    event = user_event(_load(own_payloads, "order_update_trade"))
    assert isinstance(event, OrderChanged)
    assert (event.order.status, event.execution) == (OrderStatus.PARTIALLY_FILLED, "TRADE")
    assert event.fill is not None
    assert (event.fill.fill_id, event.fill.price, event.fill.commission) == (
        12345678,
        Decimal("7100.50"),
        Decimal("0.01"),
    )


def test_a_liquidation_of_nothing_with_null_fields_has_no_fill(own_payloads: Path) -> None:
    event = user_event(_load(own_payloads, "ws_futures_order_update_liquidation_zero_qty"))
    assert isinstance(event, OrderChanged)
    assert event.fill is None
    assert event.order.average_price is None


def test_a_status_of_the_insurance_fund_is_unrecognised(own_payloads: Path) -> None:
    event = user_event(_load(own_payloads, "order_update_insurance"))
    assert isinstance(event, OrderChanged)
    assert event.order.status is OrderStatus.UNRECOGNISED


def test_the_recorded_life_of_a_stop_is_read_including_its_empty_actual_id(own_payloads: Path) -> None:
    seen = []
    for name in ("triggering", "triggered", "finished"):
        event = user_event(_load(own_payloads, f"ws_futures_algo_update_{name}"))
        assert isinstance(event, AlgoChanged)
        algo = event.algo_order
        seen.append((algo.status, algo.actual_order_id, algo.executed_quantity))
    assert seen == [
        (AlgoStatus.TRIGGERING, None, 0),
        (AlgoStatus.TRIGGERED, 88937381063, 0),
        (AlgoStatus.FINISHED, 88937381063, 38),
    ]


def test_r32_events_of_one_stop_in_any_order_nudge_the_same_symbol_and_none_is_lost(own_payloads: Path) -> None:
    names = ["triggering", "triggered", "finished"]
    payloads = [_load(own_payloads, f"ws_futures_algo_update_{name}") for name in names]
    fill = _load(own_payloads, "order_update_trade")
    fill["o"].update({"s": "DOGEUSDT", "i": 88937381063, "c": "O-20251211-053131-TEST-000-1"})
    account = {"e": "ACCOUNT_UPDATE", "E": 1, "T": 1, "a": {"m": "ORDER", "P": [{"s": "DOGEUSDT", "pa": "0"}]}}
    for order in permutations([*payloads, fill, account]):
        events = [user_event(payload) for payload in order]
        assert [nudged_symbols(event) for event in events] == [("DOGEUSDT",)] * 5
        # the truth is read over REST after any of them; what they carry is equal whatever came first
        assert {json.dumps(repr(event)) for event in events} == {json.dumps(repr(user_event(p))) for p in order}


def test_a_close_position_stop_in_an_event_has_no_quantity() -> None:
    o = {"caid": "f-1", "aid": 1, "o": "STOP_MARKET", "s": "BTCUSDT", "S": "SELL", "q": "0", "X": "NEW", "ai": "",
         "tp": "58800.0", "cp": True, "wt": "MARK_PRICE", "rm": ""}  # fmt: skip
    event = user_event({"e": "ALGO_UPDATE", "T": 5, "E": 6, "o": o})
    assert isinstance(event, AlgoChanged)
    assert (event.algo_order.quantity, event.algo_order.close_position, event.algo_order.reject_reason) == (
        None,
        True,
        None,
    )
    assert event.algo_order.update_time_ms == 5


def test_why_a_stop_was_rejected_at_trigger_is_kept() -> None:
    o = {
        "caid": "f-1",
        "aid": "1",
        "s": "BTCUSDT",
        "S": "SELL",
        "X": "REJECTED",
        "rm": "Reduce Only reject",
        "ia": True,
    }
    event = user_event({"e": "ALGO_UPDATE", "o": o})
    assert isinstance(event, AlgoChanged)
    assert event.algo_order.reject_reason == "Reduce Only reject"


def test_an_account_event_nudges_every_symbol_in_it(own_payloads: Path) -> None:
    event = user_event(_load(own_payloads, "account_update"))
    assert isinstance(event, AccountChanged)
    assert event.balances[0].wallet_balance == Decimal("122624.12345678")
    assert nudged_symbols(event) == ("BTCUSDT",)


def test_funding_names_its_symbol_since_2026_08() -> None:
    event = user_event({"e": "ACCOUNT_UPDATE", "a": {"m": "FUNDING_FEE", "S": "ETHUSDT", "B": None}})
    assert nudged_symbols(event) == ("ETHUSDT",)


def test_the_smaller_events_are_read(own_payloads: Path) -> None:
    lite = user_event(_load(own_payloads, "ws_futures_trade_lite"))
    assert isinstance(lite, TradeTold)
    assert lite.order_id == 8389765739703625592
    assert told_client_id(lite) == "O-20240930-081155-001-000-29"
    settings = user_event({"e": "ACCOUNT_CONFIG_UPDATE", "T": 1, "ac": {"s": "BTCUSDT", "l": 10}})
    assert isinstance(settings, SettingsChanged)
    assert (settings.leverage, nudged_symbols(settings)) == (10, ("BTCUSDT",))
    assets = user_event({"e": "ACCOUNT_CONFIG_UPDATE", "T": 1, "ai": {"j": True}})
    assert nudged_symbols(assets) == ()
    call = user_event({"e": "MARGIN_CALL", "E": 1, "p": [{"s": "BTCUSDT"}, {"s": "ETHUSDT"}]})
    assert isinstance(call, MarginCalled)
    assert nudged_symbols(call) == ("BTCUSDT", "ETHUSDT")
    expired = user_event({"e": "listenKeyExpired", "E": 7, "listenKey": "K"})
    assert expired == ListenKeyExpired(time_ms=7)
    assert nudged_symbols(Resync(stream="user", reason="x")) == ()


@pytest.mark.parametrize("kind", ["STRATEGY_UPDATE", "GRID_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT", "INVENTED"])
def test_events_that_need_nothing_done_pass_by(kind: str) -> None:
    event = user_event({"stream": "anything", "data": {"e": kind, "whatever": [1]}})
    assert event == OtherEvent(kind=kind)
    assert (nudged_symbols(event), told_client_id(event)) == ((), None)


def test_a_closed_candle_is_announced_and_a_forming_one_is_not(own_payloads: Path) -> None:
    closed = market_event(_load(own_payloads, "kline_stream_closed"))
    assert closed is not None
    assert closed.closed is not None
    assert (closed.closed.symbol, closed.closed.timeframe) == ("BTCUSDT", Timeframe.M1)
    forming = _load(own_payloads, "kline_stream_closed")
    forming["k"]["x"] = False
    seen = market_event(forming)
    assert seen is not None
    assert seen.closed is None


def test_coin_margined_symbols_of_merged_streams_are_filtered_out(own_payloads: Path) -> None:
    frame = _load(own_payloads, "kline_stream_closed")
    assert market_event({**frame, "st": 2}) is None
    assert market_event({**frame, "st": 1}) is not None


def test_answers_to_control_messages_are_not_data() -> None:
    assert market_event({"result": None, "id": 1}) is None


@pytest.mark.parametrize("change", [{"t": 1638747660001}, {"t": -60000}, {"o": "NaN"}, {"x": "maybe"}, {"i": None}])
def test_a_closed_candle_that_cannot_be_true_is_malformed(own_payloads: Path, change: dict[str, Any]) -> None:
    frame = _load(own_payloads, "kline_stream_closed")
    frame["k"].update(change)
    with pytest.raises(MalformedReply):
        market_event(frame)


def test_intervals_that_no_rule_uses_are_data_but_no_candle(own_payloads: Path) -> None:
    frame = _load(own_payloads, "kline_stream_closed")
    frame["k"]["i"] = "3d"
    seen = market_event(frame)
    assert seen is not None
    assert seen.closed is None
