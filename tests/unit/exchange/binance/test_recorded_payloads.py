"""Every recorded payload is understood, and none that is mutated makes anything but a MalformedReply."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.binance import codec_account, codec_events, codec_market, codec_orders, fields, replies
from exchange.errors import MalformedReply
from tests.effort import examples

Reader = Callable[[Any], object]

READERS: dict[str, Reader] = {
    # by the beginning of a file's name, the first that fits
    "exchange_info": codec_market.exchange_info,
    "http_futures_market_exchange_info": codec_market.exchange_info,
    "leverage_bracket": lambda payload: [codec_market.brackets(payload, row["symbol"]) for row in payload],
    "http_futures_market_klines": codec_market.candle_rows,
    "http_futures_market_continuous_klines": codec_market.candle_rows,
    "http_futures_market_index_price_klines": codec_market.candle_rows,
    "http_futures_market_mark_price_klines": codec_market.candle_rows,
    "http_futures_market_premium_index": codec_market.mark_price,
    "http_futures_market_ticker_price": codec_market.last_price,
    "http_futures_wallet_commission_rate": codec_market.commission_rates,
    "http_futures_account_orders": codec_orders.orders,
    "order_response": codec_orders.order,
    "open_algo_orders": codec_orders.algo_orders,
    "http_futures_account_positions": codec_account.positions,
    "position_risk": codec_account.positions,
    "http_futures_account_symbol_config": lambda p: [codec_account.symbol_config(p, row["symbol"]) for row in p],
    "http_futures_account_trades": codec_account.fills,
    "account_info_v2": lambda payload: codec_account.account(payload, at_ms=1),
    "kline_stream": codec_events.market_event,
    "agg_trade_stream": codec_events.market_event,
    "book_ticker_stream": codec_events.market_event,
    "depth_update_stream": codec_events.market_event,
    "liquidation_stream": codec_events.market_event,
    "mark_price_stream": codec_events.market_event,
    "ticker_stream": codec_events.market_event,
    "trade_stream": codec_events.market_event,
    "ws_futures_book_ticker": codec_events.market_event,
    "ws_futures_depth": codec_events.market_event,
    "ws_futures_ticker_24hr": codec_events.market_event,
    "ws_futures_": codec_events.user_event,
    "order_update": codec_events.user_event,
    "account_update": codec_events.user_event,
    "algo_update": codec_events.user_event,
    "trade_lite": codec_events.user_event,
}
NEVER_ASKED_FOR = {
    "balance",
    "http_futures_account_position_side_dual",
    "http_futures_market_agg_trades",
    "http_futures_market_asset_index",
    "http_futures_market_book_ticker",
    "http_futures_market_depth",
    "http_futures_market_funding_rate",
    "http_futures_market_historical_trades",
    "http_futures_market_index_info",
    "http_futures_market_open_interest",
    "http_futures_market_ticker_24hr",
    "http_futures_market_trades",
}
ODD_VALUES: list[Any] = [
    None, "", "0", 0, -1, 1.5, True, False, "abc", "NaN", "Infinity", "1e999", "-1e-999", "1_0", "١٢", " 1", "9" * 5000,
    2**63, 10**60, 1e300, [], {}, [[]], [None], {"a": None}, "\x00", "🙂", "null", "true", "2026-11-01",
]  # fmt: skip


def _files(folders: list[Path]) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.json"))


def _reader(path: Path) -> Reader:
    return next(reader for prefix, reader in READERS.items() if path.name.startswith(prefix))


def test_every_recorded_payload_is_understood(payload_dirs: list[Path]) -> None:
    understood = 0
    for path in _files(payload_dirs):
        body = path.read_bytes()
        if path.stem in NEVER_ASKED_FOR:
            assert replies.classify("GET /x", 200, body, is_write=False).error is None
            continue
        assert _reader(path)(fields.decode(body, path.name)), path.name
        understood += 1
    assert understood >= 20


def test_no_symbol_of_the_recorded_dumps_is_left_out(payload_dirs: list[Path]) -> None:
    for path in _files(payload_dirs):
        if "exchange_info" in path.name:
            payload = json.loads(path.read_bytes())
            info = codec_market.exchange_info(payload)
            assert info.skipped == ()
            assert len(info.filters) == len(payload["symbols"])
            assert len(info.rate_limits) == 3


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in [(*prefix, key), *_paths(item, (*prefix, key))]]
    if isinstance(value, list):
        return [p for index, item in enumerate(value[:3]) for p in [(*prefix, index), *_paths(item, (*prefix, index))]]
    return []


def _mutated(payload: Any, path: tuple[Any, ...], odd: Any, *, delete: bool) -> Any:
    result = copy.deepcopy(payload)
    at = result
    for step in path[:-1]:
        at = at[step]
    if delete:
        del at[path[-1]]
    else:
        at[path[-1]] = odd
    return result


def _read(reader: Reader, payload: Any) -> None:
    said = ""
    try:
        reader(payload)
    except MalformedReply as error:
        said = str(error)
    assert len(said) < 500, "an error is to be read"


# READERS name these per symbol with the payload's own fields; mutated, those are the test's to survive, not the codec's
_FIXED_SYMBOL: dict[str, Reader] = {
    "leverage_bracket": lambda payload: codec_market.brackets(payload, "BTCUSDT"),
    "http_futures_account_symbol_config": lambda payload: codec_account.symbol_config(payload, "BTCUSDT"),
}


PLACES_MAX = examples(120)


def test_any_single_field_may_be_missing_or_odd(own_payloads: Path) -> None:
    rng = random.Random(7)
    for path in _files([own_payloads]):
        reader = _FIXED_SYMBOL.get(path.stem) or _reader(path)
        payload = json.loads(path.read_bytes())
        places = _paths(payload)
        for place in places if len(places) < PLACES_MAX else rng.sample(places, PLACES_MAX):
            _read(reader, _mutated(payload, place, None, delete=True))
            for odd in ODD_VALUES:
                _read(reader, _mutated(payload, place, odd, delete=False))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD_VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(payload=ANY_JSON)
@settings(max_examples=examples(300), deadline=None)
def test_any_json_is_understood_or_malformed(payload: Any) -> None:
    readers: list[Reader] = [
        *(reader for name, reader in READERS.items() if name not in _FIXED_SYMBOL),
        *_FIXED_SYMBOL.values(),
        codec_market.server_time,
        codec_account.account_modes,
        codec_account.income,
        codec_account.leverage_set,
        codec_account.listen_key,
    ]
    for reader in readers:
        _read(reader, payload)


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_decode_or_are_malformed(body: bytes) -> None:
    try:
        fields.decode(body, "test")
    except MalformedReply:
        return


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b'"\\ud800"', b"1e400", b""])
def test_hostile_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReply):
        fields.decode(body, "test")


@given(
    events=st.dictionaries(
        st.sampled_from(["e", "E", "T", "o", "a", "k", "s", "st", "p", "ac", "data", "stream"]),
        st.sampled_from(["ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE", "kline", "MARGIN_CALL", 1, None, ""])
        | st.dictionaries(st.sampled_from("siIcSoXxlLtTaBPmqpzaidk"), st.text(max_size=4) | st.integers(), max_size=9)
        | st.lists(st.dictionaries(st.sampled_from("sapwb"), st.text(max_size=3), max_size=3), max_size=2),
    )
)
@settings(max_examples=examples(400), deadline=None)
def test_things_that_look_like_events_are_events_or_malformed(events: dict[str, Any]) -> None:
    _read(codec_events.user_event, events)
    _read(codec_events.market_event, events)
