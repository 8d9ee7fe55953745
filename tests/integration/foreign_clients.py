"""Clients that nobody here wrote, used against the simulator, unmodified but for the address and the clock.

``python tests/integration/foreign_clients.py`` writes the table of what they call into docs/simulator.md. To import
them takes ten seconds.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import httpx
import pytest
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_derivatives_trading_usds_futures import (
    derivatives_trading_usds_futures as sdk,
)

from exchange.sim.server.launch import Launched, launched

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
BEGIN, END = "<!-- calls: begin -->", "<!-- calls: end -->"
HOUR_MS = 3_600_000
PATIENCE_S = 120.0
PAIR, SYMBOL = "BTC/USDT:USDT", "BTCUSDT"

# The clock of these clients is the machine's, and simulated time is not: time stamps are not checked (-1).
OPTIONS = ("--symbols", "BTCUSDT,SOLUSDT", "--speed", "0", "--clock-slack-ms", "-1", "--start", "2024-10-01")


@dataclass
class Calls:
    """Runs what a client can do, one after the other, and notes which calls of the exchange each comes down to."""

    sim: Launched
    made: dict[str, list[str]] = field(default_factory=dict)

    def run(self, name: str, action: Callable[[], Any]) -> Any:
        httpx.delete(f"{self.sim.rest}/sim/v1/log", trust_env=False, verify=False)
        result = action()
        entries = httpx.get(f"{self.sim.rest}/sim/v1/log", trust_env=False, verify=False).json()["requests"]
        for entry in entries:
            assert entry["status"] == 200, (name, entry)
            self.note(f"{entry['method']} {entry['path']}", name)
        return result

    def note(self, call: str, name: str) -> None:
        names = self.made.setdefault(call, [])
        if name not in names:
            names.append(name)


def control(sim: Launched, path: str, **body: object) -> None:
    httpx.post(f"{sim.rest}/sim/v1/{path}", json=body, trust_env=False, verify=False).raise_for_status()


def pointed(urls: Any, sim: Launched) -> Any:
    """The client's addresses with other hosts."""
    if isinstance(urls, dict):
        return {name: pointed(url, sim) for name, url in urls.items()}
    return re.sub(r"^https://[^/]+", sim.rest, re.sub(r"^wss://[^/]+", sim.ws, urls)) if isinstance(urls, str) else urls


def ccxt_client(kind: Any, sim: Launched) -> Any:
    client = kind({"apiKey": sim.api_key, "secret": sim.api_secret})
    client.urls["api"] = pointed(client.urls["api"], sim)
    return client


def use_ccxt(sim: Launched) -> Calls:
    """Markets, candles, settings, orders of both families, account."""
    calls, client = Calls(sim), ccxt_client(ccxt.binanceusdm, sim)
    run = calls.run
    assert set(run("load_markets", client.load_markets)) == {PAIR, "SOL/USDT:USDT"}
    market = client.market(PAIR)
    assert (market["limits"]["cost"]["min"], market["precision"]["amount"]) == (50, 0.001)
    assert run("fetch_time", client.fetch_time) == 1_727_740_800_000
    ccxt_market_data(calls, client)
    run("set_margin_mode", lambda: client.set_margin_mode("isolated", PAIR))
    assert run("set_leverage", lambda: client.set_leverage(10, PAIR))["leverage"] == 10
    assert run("fetch_margin_mode", lambda: client.fetch_margin_mode(PAIR))["marginMode"] == "isolated"
    assert run("fetch_leverages", lambda: client.fetch_leverages([PAIR]))[PAIR]["longLeverage"] == 10
    assert run("fetch_position_mode", client.fetch_position_mode)["hedged"] is False
    ccxt_orders(calls, client)
    ccxt_account(calls, client)
    return calls


def ccxt_market_data(calls: Calls, client: Any) -> None:
    run = calls.run
    candles = run("fetch_ohlcv", lambda: client.fetch_ohlcv(PAIR, "1h", limit=3))
    assert [row[0] for row in candles] == [1_727_740_800_000 + hour * HOUR_MS for hour in (-2, -1, 0)]
    assert len(run("fetch_mark_ohlcv", lambda: client.fetch_mark_ohlcv(PAIR, "4h", limit=3))) == 3
    price = run("fetch_ticker", lambda: client.fetch_ticker(PAIR))["last"]
    book = run("fetch_order_book", lambda: client.fetch_order_book(PAIR, 5))
    assert book["bids"][0][0] < price < book["asks"][0][0]
    assert set(run("fetch_bids_asks", client.fetch_bids_asks)) == {PAIR, "SOL/USDT:USDT"}
    assert run("fetch_last_prices", lambda: client.fetch_last_prices([PAIR]))[PAIR]["price"] == price
    assert run("fetch_funding_rate", lambda: client.fetch_funding_rate(PAIR))["fundingRate"] is not None
    assert len(run("fetch_funding_rate_history", lambda: client.fetch_funding_rate_history(PAIR, limit=2))) == 2
    assert run("fetch_funding_intervals", client.fetch_funding_intervals) == {}
    assert run("fetch_open_interest", lambda: client.fetch_open_interest(PAIR))["openInterestAmount"]
    assert run("fetch_leverage_tiers", lambda: client.fetch_leverage_tiers([PAIR]))[PAIR][0]["maxLeverage"] == 150


def ccxt_orders(calls: Calls, client: Any) -> None:
    run = calls.run
    price = client.fetch_ticker(PAIR)["last"]
    trigger = {"trigger": True}
    low, high = (round(price * factor, 1) for factor in (0.95, 1.05))
    bought = run("create_order market", lambda: client.create_order(PAIR, "market", "buy", 0.02))
    assert (bought["status"], bought["filled"]) == ("closed", 0.02)
    found = run("fetch_order", lambda: client.fetch_order(bought["id"], PAIR))
    assert found["average"] > price
    resting = run("create_order limit", lambda: client.create_order(PAIR, "limit", "buy", 0.01, low))
    stop = run(
        "create_order stop market",
        lambda: client.create_order(PAIR, "market", "sell", 0.01, None, {"stopLossPrice": low, "reduceOnly": True}),
    )
    closing = run(
        "create_order STOP_MARKET closePosition",
        lambda: client.create_order(PAIR, "STOP_MARKET", "sell", None, None, {"stopPrice": low, "closePosition": True}),
    )
    target = run(
        "create_order take profit market",
        lambda: client.create_order(PAIR, "market", "sell", 0.01, None, {"takeProfitPrice": high, "reduceOnly": True}),
    )
    assert [order["type"] for order in (stop, closing, target)] == ["market", "market", "market"]
    assert [order["id"] for order in run("fetch_open_orders", lambda: client.fetch_open_orders(PAIR))] == [
        resting["id"]
    ]
    listed = run("fetch_open_orders trigger", lambda: client.fetch_open_orders(PAIR, params=trigger))
    assert [order["id"] for order in listed] == [stop["id"], closing["id"], target["id"]]
    one = run("fetch_order trigger", lambda: client.fetch_order(stop["id"], PAIR, trigger))
    assert (one["status"], one["triggerPrice"]) == ("open", low)
    assert run("cancel_order", lambda: client.cancel_order(resting["id"], PAIR))["status"] == "canceled"
    run("cancel_order trigger", lambda: client.cancel_order(stop["id"], PAIR, trigger))
    run("cancel_all_orders", lambda: client.cancel_all_orders(PAIR))
    run("cancel_all_orders trigger", lambda: client.cancel_all_orders(PAIR, trigger))
    assert client.fetch_open_orders(PAIR, params=trigger) == []
    rows = [{"symbol": PAIR, "type": "limit", "side": "buy", "amount": 0.01, "price": low}] * 2
    batch = run("create_orders", lambda: client.create_orders(rows))
    ids = [order["id"] for order in batch]
    assert [row["id"] for row in run("cancel_orders", lambda: client.cancel_orders(ids, PAIR))] == ids
    with pytest.raises(ccxt.ExchangeError, match="-2019"):
        client.create_order(PAIR, "market", "buy", 100)
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("5", PAIR)


def ccxt_account(calls: Calls, client: Any) -> None:
    run, sim = calls.run, calls.sim
    (position,) = run("fetch_positions", lambda: client.fetch_positions([PAIR]))
    assert (position["side"], position["contracts"], position["marginMode"]) == ("long", 0.02, "isolated")
    assert 0 < position["liquidationPrice"] < position["entryPrice"]
    assert run("fetch_balance", client.fetch_balance)["USDT"]["used"] > 0
    control(sim, "advance", ms=9 * HOUR_MS)
    client.create_order(PAIR, "market", "sell", 0.02, None, {"reduceOnly": True})
    trades = run("fetch_my_trades", lambda: client.fetch_my_trades(PAIR))
    assert [(trade["side"], trade["amount"]) for trade in trades] == [("buy", 0.02), ("sell", 0.02)]
    kinds = [entry["info"]["incomeType"] for entry in run("fetch_ledger", client.fetch_ledger)]
    assert kinds == ["COMMISSION", "FUNDING_FEE", "REALIZED_PNL", "COMMISSION"]
    assert len(run("fetch_funding_history", lambda: client.fetch_funding_history(PAIR))) == 1
    assert len(run("fetch_orders", lambda: client.fetch_orders(PAIR))) >= 3
    assert len(run("fetch_orders trigger", lambda: client.fetch_orders(PAIR, params={"trigger": True}))) == 3
    assert run("fetch_trading_fee", lambda: client.fetch_trading_fee(PAIR))["taker"] == 0.0005


async def use_ccxt_streams(sim: Launched, calls: Calls) -> None:
    """Candles and own orders, as they come."""
    client = ccxt_client(ccxt.pro.binanceusdm, sim)
    try:
        await client.load_markets()
        candles = asyncio.ensure_future(client.watch_ohlcv(PAIR, "1h"))
        orders = asyncio.ensure_future(client.watch_orders(PAIR))
        await subscribed(sim, "btcusdt@kline_1h", "private")
        await client.create_order(PAIR, "market", "buy", 0.01)
        async with patience():
            assert (await orders)[0]["symbol"] == PAIR
        await asyncio.to_thread(control, sim, "advance", ms=60_000)
        async with patience():
            assert (await candles)[0][0] % HOUR_MS == 0
    finally:
        await client.close()
    calls.note("WS /market", "watch_ohlcv")
    calls.note("WS /private", "watch_orders")


def patience() -> asyncio.Timeout:
    return asyncio.timeout(PATIENCE_S)


async def subscribed(sim: Launched, *wanted: str) -> None:
    """Until the simulator knows of these streams or routes."""
    async with httpx.AsyncClient(base_url=sim.rest, trust_env=False, verify=False) as client, patience():
        while True:
            rows = (await client.get("/sim/v1/streams")).json()["connections"]
            known = {name for row in rows for name in (*row["streams"], row["route"])}
            if known >= set(wanted):
                return


def use_sdk(sim: Launched) -> Calls:
    """The official SDK's REST interface: the same ground."""
    calls = Calls(sim)
    client = sdk_client(sim).rest_api

    def run(name: str, *args: Any, **params: Any) -> Any:
        return calls.run(name, lambda: getattr(client, name)(*args, **params).data())

    sdk_market_data(run)
    assert run("change_margin_type", SYMBOL, "ISOLATED").code == 200
    assert run("change_initial_leverage", SYMBOL, 10).leverage == 10
    assert run("symbol_configuration", SYMBOL)[0].leverage == 10
    assert run("get_current_position_mode").dual_side_position is False
    assert run("get_current_multi_assets_mode").multi_assets_margin is False
    sdk_orders(run, float(run("symbol_price_ticker_v2", SYMBOL).actual_instance.price))
    sdk_account(run, sim)
    return calls


def sdk_client(sim: Launched) -> Any:
    return sdk.DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(api_key=sim.api_key, api_secret=sim.api_secret, base_path=sim.rest),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=sim.ws),
    )


def sdk_market_data(run: Any) -> None:
    run("test_connectivity")
    assert run("check_server_time").server_time == 1_727_740_800_000
    assert [row.symbol for row in run("exchange_information").symbols] == ["BTCUSDT", "SOLUSDT"]
    assert len(run("kline_candlestick_data", SYMBOL, "1h", limit=3)) == 3
    assert len(run("mark_price_kline_candlestick_data", SYMBOL, "4h", limit=3)) == 3
    assert run("mark_price", SYMBOL).actual_instance.symbol == SYMBOL
    assert len(run("get_funding_rate_history", SYMBOL, limit=2)) == 2
    assert run("get_funding_rate_info") == []
    assert run("symbol_order_book_ticker", SYMBOL).actual_instance.symbol == SYMBOL
    assert run("symbol_price_ticker", SYMBOL).actual_instance.symbol == SYMBOL
    assert run("ticker24hr_price_change_statistics", SYMBOL).actual_instance.count > 0
    assert len(run("order_book", SYMBOL, limit=5).bids) == 5
    assert run("open_interest", SYMBOL).symbol == SYMBOL


def sdk_orders(run: Any, price: float) -> None:
    low, high = round(price * 0.97, 1), round(price * 1.03, 1)
    market = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": 0.02}
    limit = {**market, "type": "LIMIT", "quantity": 0.01, "price": low, "time_in_force": "GTC"}
    run("test_order", **market)
    bought = run("new_order", **market, new_order_resp_type="RESULT")
    assert (bought.status, bought.executed_qty) == ("FILLED", "0.020")
    assert run("query_order", SYMBOL, order_id=bought.order_id).status == "FILLED"
    resting = run("new_order", **limit)
    assert run("query_current_open_order", SYMBOL, order_id=resting.order_id).status == "NEW"
    assert [row.order_id for row in run("current_all_open_orders", SYMBOL)] == [resting.order_id]
    assert run("cancel_order", SYMBOL, order_id=resting.order_id).status == "CANCELED"
    run("cancel_all_open_orders", SYMBOL)
    batch = run("place_multiple_orders", [limit_row(limit), limit_row(limit)])
    assert [row.status for row in batch] == ["NEW", "NEW"]
    run("cancel_multiple_orders", SYMBOL, order_id_list=[row.order_id for row in batch])
    algo = {"algo_type": "CONDITIONAL", "symbol": SYMBOL, "side": "SELL"}
    stop = run("new_algo_order", **algo, type="STOP_MARKET", trigger_price=low, close_position="true")
    target = run("new_algo_order", **algo, type="TAKE_PROFIT_MARKET", trigger_price=high, close_position="true")
    assert run("query_algo_order", algo_id=stop.algo_id).algo_status == "NEW"
    listed = [row.algo_id for row in run("current_all_algo_open_orders", symbol=SYMBOL)]
    assert listed == [stop.algo_id, target.algo_id]
    assert run("cancel_algo_order", algo_id=stop.algo_id).algo_id == stop.algo_id
    run("cancel_all_algo_open_orders", SYMBOL)
    assert len(run("query_all_algo_orders", SYMBOL)) == 2
    run("auto_cancel_all_open_orders", SYMBOL, 0)


def limit_row(limit: dict[str, Any]) -> dict[str, Any]:
    """In a batch the SDK takes the exchange's own names, and texts."""
    return {
        "symbol": limit["symbol"], "side": limit["side"], "type": "LIMIT", "quantity": str(limit["quantity"]),
        "price": str(limit["price"]), "timeInForce": "GTC",
    }  # fmt: skip


def sdk_account(run: Any, sim: Launched) -> None:
    assert run("position_information_v3", SYMBOL)[0].position_amt == "0.02"
    assert run("position_information_v2", SYMBOL)[0].leverage == "10"
    assert float(run("account_information_v3").total_position_initial_margin) > 0
    assert run("account_information_v2").can_trade is True
    for version in ("v2", "v3"):
        assert run(f"futures_account_balance_{version}")[0].asset == "USDT"
    assert run("futures_account_configuration").dual_side_position is False
    control(sim, "advance", ms=9 * HOUR_MS)
    kinds = [row.income_type for row in run("get_income_history")]
    assert kinds == ["COMMISSION", "FUNDING_FEE"]
    assert len(run("account_trade_list", SYMBOL)) == 1
    assert len(run("all_orders", symbol=SYMBOL)) == 4
    assert len(run("notional_and_leverage_brackets", SYMBOL).actual_instance) == 1
    assert run("user_commission_rate", SYMBOL).taker_commission_rate == "0.000500"
    assert len(run("query_user_rate_limit")) == 2
    run("futures_trading_quantitative_rules_indicators", symbol=SYMBOL)
    assert len(run("start_user_data_stream").listen_key) == 64
    run("keepalive_user_data_stream")
    run("close_user_data_stream")


async def use_sdk_streams(sim: Launched, calls: Calls) -> None:
    """Market and user data, the way the SDK connects: three routes, and the listen key subscribed on /private."""
    client = sdk_client(sim)
    key = (await asyncio.to_thread(client.rest_api.start_user_data_stream)).data().listen_key
    connection = await client.websocket_streams.create_connection()
    try:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        candles = await connection.kline_candlestick_streams(symbol="btcusdt", interval="1h")
        candles.on("message", lambda candle: heard.put_nowait(candle.k.t))
        user = await connection.user_data(key)
        user.on("message", lambda event: heard.put_nowait(type(event.actual_instance).__name__))
        await subscribed(sim, "btcusdt@kline_1h", key)
        order = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": 0.01}
        await asyncio.to_thread(lambda: client.rest_api.new_order(**order))
        async with patience():
            told = [await heard.get() for _ in range(4)]
        assert told == ["OrderTradeUpdate", "TradeLite", "OrderTradeUpdate", "AccountUpdate"]
        await asyncio.to_thread(control, sim, "advance", ms=60_000)
        async with patience():
            assert await heard.get() % HOUR_MS == 0
    finally:
        await connection.close_connection(close_session=True)
    calls.note("WS /market", "kline_candlestick_streams")
    calls.note("WS /private", "user_data")


def table(ccxt_calls: Calls, sdk_calls: Calls) -> str:
    """What both clients call, as Markdown."""

    def cell(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    rows = [
        f"| `{call}` | {cell(ccxt_calls.made.get(call, ()))} | {cell(sdk_calls.made.get(call, ()))} |"
        for call in sorted({*ccxt_calls.made, *sdk_calls.made}, key=lambda call: call.split()[::-1])
    ]
    return "\n".join(["| call | ccxt (binanceusdm) | official SDK |", "|---|---|---|", *rows])


def both() -> tuple[Calls, Calls]:
    with launched(*OPTIONS) as sim:
        ccxt_calls = use_ccxt(sim)
        asyncio.run(use_ccxt_streams(sim, ccxt_calls))
    with launched(*OPTIONS) as sim:
        sdk_calls = use_sdk(sim)
        asyncio.run(use_sdk_streams(sim, sdk_calls))
    return ccxt_calls, sdk_calls


def ccxt_with_its_own_clock() -> None:
    """Told to adjust it, ccxt signs with simulated time."""
    with launched("--symbols", "BTCUSDT", "--speed", "1", "--start", "2024-10-01") as sim:
        client = ccxt_client(ccxt.binanceusdm, sim)
        with pytest.raises(ccxt.InvalidNonce):
            client.fapiPrivateV3GetAccount()
        client.options["adjustForTimeDifference"] = True
        client.load_markets()
        assert client.fetch_balance()["USDT"]["total"] == 10_000


if __name__ == "__main__":
    text = DOCUMENT.read_text("utf-8")
    head, tail = text[: text.index(BEGIN)], text[text.index(END) :]
    DOCUMENT.write_text(f"{head}{BEGIN}\n{table(*both())}\n{tail}", "utf-8")
    sys.stdout.write(f"{DOCUMENT} is current\n")
