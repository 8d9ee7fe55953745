"""Market data: filters, limits, candles, prices and brackets."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.binance import codec_market
from exchange.errors import MalformedReply

ROW = [1764000000000, "60000.0", "60120.5", "59980.0", "60090.1", "812.331", 1764000899999, "48790112.40", 20113]


@pytest.fixture
def dump(own_payloads: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((own_payloads / "exchange_info.json").read_bytes())
    return loaded


def test_filters_are_taken_from_the_filter_objects_and_not_from_the_precisions(dump: dict[str, Any]) -> None:
    btc = codec_market.exchange_info(dump).filters["BTCUSDT"]
    assert (btc.tick_size, btc.price_min, btc.price_max) == (Decimal("0.10"), Decimal("261.10"), Decimal(809484))
    assert (btc.step_size, btc.quantity_min, btc.market_quantity_max) == (Decimal("0.001"), Decimal("0.001"), 1000)
    assert (btc.notional_min, btc.multiplier_up, btc.orders_max) == (Decimal(100), Decimal("1.0500"), 10000)
    assert (btc.market_take_bound, btc.trigger_protect) == (Decimal("0.30"), Decimal("0.0500"))
    assert btc.tradable


def test_other_contract_types_are_known_but_not_tradable(dump: dict[str, Any]) -> None:
    filters = codec_market.exchange_info(dump).filters
    kinds = {name: (f.contract_type, f.tradable) for name, f in filters.items()}
    assert kinds["XAUUSDT"] == ("TRADIFI_PERPETUAL", False)
    assert kinds["BTCUSDT_260327"] == ("CURRENT_QUARTER", False)
    assert kinds["ETHUSDT_250627"] == ("CURRENT_QUARTER DELIVERING", False)
    assert kinds["ETHUSDT"] == ("PERPETUAL", True)


@pytest.mark.parametrize("lost", ["PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL"])
def test_a_symbol_without_an_essential_filter_is_left_out_by_name(dump: dict[str, Any], lost: str) -> None:
    btc = dump["symbols"][0]
    btc["filters"] = [f for f in btc["filters"] if f["filterType"] != lost]
    info = codec_market.exchange_info(dump)
    assert info.skipped == ("BTCUSDT",)
    assert "ETHUSDT" in info.filters


@pytest.mark.parametrize("step", ["0", "-0.1", "", None])
def test_a_tick_that_cannot_be_rounded_to_leaves_the_symbol_out(dump: dict[str, Any], step: object) -> None:
    dump["symbols"][0]["filters"][0]["tickSize"] = step
    assert codec_market.exchange_info(dump).skipped == ("BTCUSDT",)


def test_unknown_filters_statuses_and_fields_are_tolerated(dump: dict[str, Any]) -> None:
    btc = dump["symbols"][0]
    btc["filters"].append({"filterType": "INVENTED", "x": [1]})
    btc["status"] = "TRADING_HALT"
    btc["new"] = {"deep": []}
    found = codec_market.exchange_info(dump).filters["BTCUSDT"]
    assert found.status == "TRADING_HALT"
    assert not found.tradable


def test_rate_limits_are_read_and_odd_rows_are_dropped() -> None:
    rows = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
        {"rateLimitType": "ORDERS", "interval": "FORTNIGHT", "intervalNum": 1, "limit": 5},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 6100},
        "odd",
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 0},
    ]
    assert [(x.kind, x.interval_ms, x.limit) for x in codec_market.rate_limits(rows)] == [
        ("REQUEST_WEIGHT", 60_000, 2400),
        ("ORDERS", 10_000, 300),
    ]
    assert codec_market.rate_limits(None) == ()


def test_a_candle_row_becomes_a_candle_and_its_close_time() -> None:
    [row] = codec_market.candle_rows([ROW])
    assert (row.candle.open_time_ms, row.close_time_ms) == (1764000000000, 1764000899999)
    assert (row.candle.open, row.candle.high, row.candle.low, row.candle.close) == (60000.0, 60120.5, 59980.0, 60090.1)
    assert row.candle.volume == 812.331


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (1, "NaN"),
        (2, "59000.0"),
        (3, "60100.0"),
        (3, "0"),
        (4, "-1"),
        (4, None),
        (5, "-0.1"),
        (5, "inf"),
        (2, "1e400"),
    ],
)
def test_r66_a_candle_that_contradicts_itself_counts_as_missing(index: int, value: object) -> None:
    row = list(ROW)
    row[index] = value  # type: ignore[call-overload]
    [read] = codec_market.candle_rows([row])
    assert (read.open_time_ms, read.candle) == (1764000000000, None)


@pytest.mark.parametrize(("index", "value"), [(0, -1), (0, None), (6, 1764000000000)])
def test_a_row_of_no_time_is_malformed(index: int, value: object) -> None:
    row = list(ROW)
    row[index] = value  # type: ignore[call-overload]
    with pytest.raises(MalformedReply):
        codec_market.candle_rows([row])


def test_brackets_come_as_list_or_as_single_object(own_payloads: Path) -> None:
    payload = json.loads((own_payloads / "leverage_bracket.json").read_bytes())
    listed = codec_market.brackets(payload, "BTCUSDT")
    single = codec_market.brackets(payload[0], "BTCUSDT")
    assert listed == single
    assert (listed[2].maintenance_margin_ratio, listed[2].cumulative) == (Decimal("0.0065"), Decimal("1500.0"))
    assert listed[-1].notional_cap == Decimal("1800000000")


def test_brackets_of_another_symbol_are_not_ours(own_payloads: Path) -> None:
    payload = json.loads((own_payloads / "leverage_bracket.json").read_bytes())
    with pytest.raises(MalformedReply, match="SOLUSDT"):
        codec_market.brackets(payload, "SOLUSDT")
    with pytest.raises(MalformedReply, match="empty"):
        codec_market.brackets([{"symbol": "SOLUSDT", "brackets": []}], "SOLUSDT")


@pytest.mark.parametrize("price", ["0", "-1", "", None])
def test_a_price_of_nothing_is_no_price(price: object) -> None:
    with pytest.raises(MalformedReply):
        codec_market.mark_price({"symbol": "BTCUSDT", "markPrice": price, "time": 1})
    with pytest.raises(MalformedReply):
        codec_market.last_price({"symbol": "BTCUSDT", "price": price, "time": 1})


def test_a_whole_number_may_come_as_an_exact_float_below_2_to_the_53() -> None:
    assert codec_market.server_time({"serverTime": 1.764e12}) == 1_764_000_000_000


@pytest.mark.parametrize("told", [1764000000000.437, "1764000000000.437", "1764000000000"])
def test_a_fraction_of_a_millisecond_is_let_go(told: object) -> None:
    """Seen: an exchange whose clock counts in floats was never traded on, as if it had no clock at all (R64)."""
    row = [told, *ROW[1:6], told if isinstance(told, str) else told + 899_999, *ROW[7:]]
    assert codec_market.server_time({"serverTime": told}) == 1_764_000_000_000
    assert codec_market.mark_price({"markPrice": "1", "time": told}).time_ms == 1_764_000_000_000
    if not isinstance(told, str):
        assert codec_market.candle_rows([row])[0].close_time_ms == 1764000899999


@pytest.mark.parametrize(
    "payload", [{}, [], {"serverTime": 0.5}, {"serverTime": 1e30}, {"serverTime": 0}, {"serverTime": 10**15}]
)
def test_a_server_time_that_is_no_time_is_malformed(payload: object) -> None:
    with pytest.raises(MalformedReply):
        codec_market.server_time(payload)


class TestWhatWasTradedInADay:
    """GET /fapi/v1/ticker/24hr."""

    def test_is_the_quote_volume_of_each_symbol_as_exactly_as_it_was_written(self) -> None:
        told = codec_market.day_volumes(
            [{"symbol": "BTCUSDT", "quoteVolume": "12345678901.23"}, {"symbol": "ETHUSDT", "quoteVolume": "0"}]
        )
        assert told.quote == {"BTCUSDT": Decimal("12345678901.23"), "ETHUSDT": Decimal(0)}
        assert told.unread == ()

    @pytest.mark.parametrize("volume", [None, "", "NaN", "-1", "1e99", True, [], {}])
    def test_a_volume_that_cannot_be_read_names_its_symbol(self, volume: object) -> None:
        told = codec_market.day_volumes(
            [{"symbol": "BTCUSDT", "quoteVolume": volume}, {"symbol": "ETHUSDT", "quoteVolume": "5"}]
        )
        assert (told.quote, told.unread) == ({"ETHUSDT": Decimal(5)}, ("BTCUSDT",))

    def test_two_rows_of_one_symbol_contradict_each_other(self) -> None:
        told = codec_market.day_volumes(
            [{"symbol": "BTCUSDT", "quoteVolume": "1"}, {"symbol": "BTCUSDT", "quoteVolume": "2"}]
        )
        assert (told.quote, told.unread) == ({}, ("BTCUSDT",))

    @pytest.mark.parametrize(
        "payload", [None, {}, [], "no", [1], [None], [{}], [{"quoteVolume": "1"}], [{"symbol": 7}]]
    )
    def test_what_is_no_list_of_symbols_is_malformed(self, payload: object) -> None:
        with pytest.raises(MalformedReply):
            codec_market.day_volumes(payload)
