"""What the market stream and public REST tell of prices, as recorded; and what cannot be true is no price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.codec_prices import Forming, MarkTold, formed, premium, price_event
from exchange.errors import MalformedReply
from indicators.candle import Timeframe

KLINE: dict[str, Any] = {
    "e": "kline", "E": 1764000000123, "s": "BTCUSDT",
    "k": {"t": 1764000000000, "T": 1764000059999, "s": "BTCUSDT", "i": "1m", "f": 100, "L": 200, "o": "60000.0",
          "c": "60090.1", "h": "60120.5", "l": "59980.0", "v": "812.331", "n": 20113, "x": False, "q": "48790112.4",
          "V": "401.1", "Q": "24089000.1", "B": "0"},
}  # fmt: skip
MARK: dict[str, Any] = {
    "e": "markPriceUpdate", "E": 1764000000000, "s": "BTCUSDT", "p": "60010.12345678", "ap": "60009.1", "i": "60008.2",
    "P": "60011.0", "r": "0.00010000", "T": 1764028800000, "st": 1,
}  # fmt: skip


def heard(payload: object) -> Forming | MarkTold | None:
    return price_event(payload, Timeframe.M1)


def test_a_candle_under_way_is_read_to_the_digit() -> None:
    found = heard({"stream": "btcusdt@kline_1m", "data": KLINE})
    prices = [Decimal(text) for text in ("60000.0", "60120.5", "59980.0", "60090.1")]
    assert isinstance(found, Forming)
    assert (found.symbol, found.open_ms) == ("BTCUSDT", 1764000000000)
    assert [found.open, found.high, found.low, found.close] == prices
    assert heard(KLINE) == found, "also without the wrapping of combined streams"


def test_a_mark_comes_with_the_funding_to_come() -> None:
    found = heard(MARK)
    assert isinstance(found, MarkTold)
    assert (found.price, found.rate, found.funding_ms) == (Decimal("60010.12345678"), Decimal("0.0001"), 1764028800000)


@pytest.mark.parametrize(
    "payload",
    [
        {**MARK, "st": 2},
        {**KLINE, "k": {**KLINE["k"], "i": "1h"}},
        {"e": "bookTicker", "s": "BTCUSDT"},
        {"result": None, "id": 1},
    ],
    ids=["of COIN-M", "of another length", "of the book", "an acknowledgement"],
)
def test_what_is_about_something_else_is_let_pass(payload: object) -> None:
    assert heard(payload) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"h": "59000"},
        {"l": "60001"},
        {"c": "0"},
        {"o": "NaN"},
        {"c": None},
        {"t": "soon"},
    ],
)
def test_a_candle_that_cannot_be_true_is_malformed(changed: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        heard({**KLINE, "k": {**KLINE["k"], **changed}})


@pytest.mark.parametrize("price", ["0", "-1", "", "Infinity", None])
def test_a_mark_that_is_no_price_is_malformed(price: str | None) -> None:
    with pytest.raises(MalformedReply):
        heard({**MARK, "p": price})


def test_rows_that_contradict_themselves_are_left_out_and_others_are_not() -> None:
    row = [1764000000000, "1.0", "1.2", "0.9", "1.1", "5", 1764000059999, "5", 1, "2", "2", "0"]
    wrong = [1764000060000, "1.0", "0.8", "0.9", "1.1", "5", 1764000119999]
    assert [found.open_ms for found in formed([row, wrong], "BTCUSDT")] == [1764000000000]
    with pytest.raises(MalformedReply):
        formed([[1, 2]], "BTCUSDT")
    with pytest.raises(MalformedReply):
        formed({"code": 0}, "BTCUSDT")


def test_the_premium_index_is_a_mark_too() -> None:
    found = premium(
        {"symbol": "BTCUSDT", "markPrice": "60010.1", "lastFundingRate": "-0.0002", "nextFundingTime": 8, "time": 7}
    )
    assert found == MarkTold(symbol="BTCUSDT", at_ms=7, price=Decimal("60010.1"), rate=Decimal("-0.0002"), funding_ms=8)
