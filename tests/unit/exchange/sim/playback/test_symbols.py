"""The shipped rules are those of mainnet, and the shipped data can be played."""

from __future__ import annotations

from decimal import Decimal

from exchange.binance import codec_market
from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_brackets, shipped_exchange_info, shipped_filters, shipped_folder

D = Decimal


def test_mainnet_values_replace_those_of_the_demo_dump() -> None:
    filters = shipped_filters()
    btc = filters["BTCUSDT"]
    assert (btc.step_size, btc.notional_min, btc.market_take_bound) == (D("0.001"), D("50"), D("0.05"))
    assert (btc.market_quantity_max, btc.price_min) == (D("120"), D("556.80"))
    assert filters["ETHUSDT"].notional_min == 20
    assert {each.orders_max for each in filters.values()} == {200}
    assert {
        row["limit"] for row in shipped_exchange_info()["rateLimits"] if row["rateLimitType"] == "REQUEST_WEIGHT"
    } == {2400}  # type: ignore[union-attr, index, misc]


def test_every_shipped_symbol_is_a_trading_perpetual_and_most_have_brackets() -> None:
    filters, brackets = shipped_filters(), shipped_brackets()
    assert all(each.tradable for each in filters.values())
    assert set(filters) - set(brackets) == {"BTCDOMUSDT"}
    nine = {f"{coin}USDT" for coin in ("BTC", "ETH", "XRP", "ADA", "SOL", "BNB", "DOGE", "LINK", "TRX")}
    assert nine <= set(brackets)


def test_the_shipped_candles_can_be_read_and_have_rules() -> None:
    folders = CandleFolders([shipped_folder()])
    assert folders.symbols() == ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
    for symbol in folders.symbols():
        assert folders.candles(symbol).length == 13_128
        assert symbol in shipped_filters()
        assert symbol in shipped_brackets()
    marks = {symbol for symbol in folders.symbols() if folders.mark(symbol) is not None}
    assert marks == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    assert {symbol for symbol in folders.symbols() if folders.intrabar(symbol)} == {"SOLUSDT", "DOGEUSDT"}


def test_brackets_of_btc_are_the_documented_ones() -> None:
    first = shipped_brackets()["BTCUSDT"][0]
    assert (first.initial_leverage, first.notional_cap, first.maintenance_margin_ratio) == (150, 300_000, D("0.004"))


def test_the_client_reads_the_same_rules_out_of_the_same_file_with_other_lines() -> None:
    info = codec_market.exchange_info(shipped_exchange_info())
    assert info.filters == shipped_filters()
    assert not info.skipped
