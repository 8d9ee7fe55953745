"""The port as a whole: reads, one look at a symbol, and that the client is what the engine expects."""

from __future__ import annotations

import asyncio
import contextlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.binance.endpoints import TICKER_DAY
from exchange.client_ids import Leg, client_id
from exchange.errors import ExchangeError, MalformedReply, RateLimited, Refusal, Unreachable
from exchange.port import Exchange
from exchange.priority import Priority
from exchange.types import LookRequest, OrderStatus
from indicators.candle import Timeframe

pytestmark = pytest.mark.anyio
OPEN, OPEN_ALGOS = "GET /fapi/v1/openOrders", "GET /fapi/v1/openAlgoOrders"
QUERY, ALGO_QUERY = "GET /fapi/v1/order", "GET /fapi/v1/algoOrder"
POSITIONS, ACCOUNT = "GET /fapi/v3/positionRisk", "GET /fapi/v3/account"
LAST = "GET /fapi/v2/ticker/price"
TRADES, INCOME = "GET /fapi/v1/userTrades", "GET /fapi/v1/income"

ENTRY_ID, STOP_ID, TARGET_ID, CLOSE_ID = (
    client_id("0000000a", "BTCUSDT", 1, leg, 0, 1) for leg in (Leg.ENTRY, Leg.STOP, Leg.TARGET, Leg.CLOSE)
)
ORDER = {
    "orderId": 5, "symbol": "BTCUSDT", "status": "FILLED", "clientOrderId": ENTRY_ID, "origQty": "0.010",
    "executedQty": "0.010", "avgPrice": "60000.0", "side": "BUY",
}  # fmt: skip
ALGO = {
    "algoId": 7, "clientAlgoId": STOP_ID, "symbol": "BTCUSDT", "side": "SELL", "algoStatus": "NEW",
    "orderType": "STOP_MARKET", "triggerPrice": "58800", "closePosition": True, "workingType": "MARK_PRICE",
}  # fmt: skip
POSITION = {
    "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.010", "entryPrice": "60000.0",
}  # fmt: skip
MISSING = {"code": -2013, "msg": "Order does not exist."}


def _is_the_port(client: BinanceClient) -> Exchange:
    """mypy's proof that the client implements the port."""
    return client


@pytest.fixture
def quiet(exchange: Any, answer: Any) -> Any:
    """A flat symbol, and nothing else."""
    exchange.on(OPEN, [])
    exchange.on(OPEN_ALGOS, [])
    exchange.on(POSITIONS, [])
    exchange.on(QUERY, answer(MISSING, status=400))
    exchange.on(ALGO_QUERY, answer(MISSING, status=400))
    exchange.on(TRADES, [])
    exchange.on(INCOME, [])
    exchange.on(ACCOUNT, {"assets": []})
    return exchange


async def test_a_look_at_a_flat_symbol_shows_nothing(quiet: Any, client: BinanceClient, clock: Any) -> None:
    began_ms = clock.now_ms()
    seen = await _is_the_port(client).look("BTCUSDT", LookRequest())
    assert (seen.position, seen.orders, seen.algo_orders, seen.fills, seen.income, seen.account) == (
        None, (), (), (), (), None,
    )  # fmt: skip
    assert seen.at_ms == began_ms
    used = next(w.used for w in client.http.budget.windows.all if w.kind == "REQUEST_WEIGHT")
    assert used == 7 + 1, "5 position, 1 + 1 orders, and the first time measurement"


async def test_a_look_reads_the_orders_before_the_position_they_protect(quiet: Any, client: BinanceClient) -> None:
    await client.look("BTCUSDT", LookRequest(tracked=(ENTRY_ID,)))
    names = quiet.names()
    assert max(names.index(OPEN), names.index(OPEN_ALGOS)) < names.index(POSITIONS)


async def test_a_look_asks_for_tracked_orders_that_are_not_listed_each_in_its_family(
    quiet: Any, client: BinanceClient
) -> None:
    quiet.on(OPEN_ALGOS, [ALGO])
    quiet.on(QUERY, ORDER)
    seen = await client.look("BTCUSDT", LookRequest(tracked=(ENTRY_ID, STOP_ID, TARGET_ID, ENTRY_ID)))
    assert [order.client_id for order in seen.orders] == [ENTRY_ID]
    assert seen.orders[0].status is OrderStatus.FILLED
    assert [algo.client_id for algo in seen.algo_orders] == [STOP_ID]
    assert [asked.params["origClientOrderId"] for asked in quiet.calls(QUERY)] == [ENTRY_ID]
    assert [asked.params["clientAlgoId"] for asked in quiet.calls(ALGO_QUERY)] == [TARGET_ID]


async def test_a_tracked_id_that_is_not_ours_is_looked_for_in_both_families(quiet: Any, client: BinanceClient) -> None:
    await client.look("BTCUSDT", LookRequest(tracked=("web_123",)))
    assert (len(quiet.calls(QUERY)), len(quiet.calls(ALGO_QUERY))) == (1, 1)


async def test_r26_a_look_sees_a_close_position_stop_without_quantity(quiet: Any, client: BinanceClient) -> None:
    quiet.on(OPEN_ALGOS, [{**ALGO, "quantity": None}, {**ALGO, "clientAlgoId": TARGET_ID, "quantity": "0"}])
    seen = await client.look("BTCUSDT", LookRequest())
    assert [algo.close_position for algo in seen.algo_orders] == [True, True]


async def test_a_look_brings_fills_income_and_account_when_asked(quiet: Any, client: BinanceClient, clock: Any) -> None:
    fill = {"symbol": "BTCUSDT", "id": 9, "orderId": 5, "side": "BUY", "price": "1", "qty": "1", "time": 1}
    quiet.on(TRADES, [fill])
    quiet.on(INCOME, [{"incomeType": "COMMISSION", "income": "-1", "time": clock.now_ms() - 5, "tranId": 1}])
    row = {"asset": "USDT", "walletBalance": "1000", "unrealizedProfit": "1", "availableBalance": "900"}
    quiet.on(ACCOUNT, {"assets": [row]})
    quiet.on(POSITIONS, [POSITION])
    request = LookRequest(fills_after_id=8, income_start_ms=clock.now_ms() - 1_000, with_account=True)
    seen = await client.look("BTCUSDT", request)
    assert [f.fill_id for f in seen.fills] == [9]
    assert quiet.calls(TRADES)[0].params["fromId"] == "9"
    assert [i.income for i in seen.income] == [Decimal(-1)]
    assert seen.account is not None
    assert seen.account.equity == 1001
    assert seen.position is not None
    assert seen.position.quantity == Decimal("0.010")


async def test_a_commission_in_bnb_comes_with_the_price_of_bnb_at_the_time(
    quiet: Any, client: BinanceClient, clock: Any
) -> None:
    """R43: nothing for what is paid in USDT, nor for what was filled long ago at a price that nobody knows."""
    row = {"symbol": "BTCUSDT", "orderId": 5, "side": "BUY", "price": "60000", "qty": "0.01", "commission": "0.0005"}
    now_ms, long_ago_ms = clock.now_ms(), clock.now_ms() - 2 * 3_600_000
    rows = [
        {**row, "id": 9, "commissionAsset": "BNB", "time": long_ago_ms},
        {**row, "id": 10, "commissionAsset": "BNB", "time": now_ms},
        {**row, "id": 11, "commissionAsset": "USDT", "time": now_ms},
    ]
    quiet.on(TRADES, rows)
    quiet.on(LAST, {"symbol": "BNBUSDT", "price": "60251", "time": 4})
    seen = await client.look("BTCUSDT", LookRequest(fills_after_id=8))
    assert [fill.commission_price for fill in seen.fills] == [None, Decimal(60251), None]
    assert [asked.params["symbol"] for asked in quiet.calls(LAST)].count("BNBUSDT") == 1


async def test_a_price_that_cannot_be_had_leaves_the_fills_as_they_are(quiet: Any, client: BinanceClient) -> None:
    fill = {
        "symbol": "BTCUSDT", "id": 9, "orderId": 5, "side": "BUY", "price": "1", "qty": "1", "commission": "0.1",
        "commissionAsset": "BNB", "time": 2**60,
    }  # fmt: skip
    quiet.on(TRADES, [fill])
    quiet.on(LAST, {"code": -1121, "msg": "Invalid symbol."})
    (found,) = await client.fills("BTCUSDT", after_fill_id=8)
    assert found.commission_price is None


async def test_a_look_with_hedge_legs_is_an_error_and_never_one_leg_silently(quiet: Any, client: BinanceClient) -> None:
    quiet.on(
        POSITIONS, [{**POSITION, "positionSide": "LONG"}, {**POSITION, "positionSide": "SHORT", "positionAmt": "-1"}]
    )
    with pytest.raises(MalformedReply, match="2 hedge-mode legs"):
        await client.look("BTCUSDT", LookRequest())


@pytest.mark.parametrize("failing", [OPEN, OPEN_ALGOS, POSITIONS, QUERY, ALGO_QUERY])
async def test_a_look_is_whole_or_an_exchange_error(
    quiet: Any, client: BinanceClient, answer: Any, failing: str
) -> None:
    quiet.on(failing, answer(b"<html>", status=502))
    with pytest.raises(Unreachable):
        await client.look("BTCUSDT", LookRequest(tracked=(ENTRY_ID, STOP_ID)))


async def test_a_look_under_a_ban_is_rate_limited(quiet: Any, client: BinanceClient, answer: Any) -> None:
    quiet.on(POSITIONS, answer(b"", status=418))
    with pytest.raises(RateLimited):
        await client.look("BTCUSDT", LookRequest())


async def test_positions_come_as_listed(quiet: Any, client: BinanceClient) -> None:
    flat = {**POSITION, "symbol": "ETHUSDT", "positionAmt": "0"}
    quiet.on(POSITIONS, [POSITION, flat])
    assert [p.symbol for p in await client.positions()] == ["BTCUSDT", "ETHUSDT"]
    assert "symbol" not in quiet.calls(POSITIONS)[0].params


async def test_filters_teach_the_budget_the_stated_limits(
    exchange: Any, client: BinanceClient, own_payloads: Path
) -> None:
    exchange.on("GET /fapi/v1/exchangeInfo", json.loads((own_payloads / "exchange_info.json").read_bytes()))
    filters = await client.filters()
    assert filters["BTCUSDT"].tick_size == Decimal("0.10")
    assert {(w.kind, w.limit) for w in client.http.budget.windows.all} == {
        ("REQUEST_WEIGHT", 6000), ("ORDERS", 1200), ("ORDERS", 300),
    }  # fmt: skip


async def test_funding_intervals_come_with_the_filters_which_never_wait_for_them(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    """R65: and the last known ones stay where the exchange does not answer."""

    async def hours() -> int:
        async with asyncio.timeout(60):
            return (await client.filters())["BTCUSDT"].funding_interval_hours

    assert await hours() == 8
    rows = [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}, {"symbol": "ETHUSDT", "fundingIntervalHours": "?"}, 5]
    exchange.on("GET /fapi/v1/fundingInfo", rows)
    assert await hours() == 4
    for silent in (answer(hang=True), answer({"code": -1121, "msg": "no"}, status=400), "x"):
        exchange.on("GET /fapi/v1/fundingInfo", silent)
        assert await hours() == 4
    exchange.on("GET /fapi/v1/fundingInfo", [])
    assert await hours() == 8


async def test_brackets_and_rates_are_read_per_symbol(exchange: Any, client: BinanceClient, own_payloads: Path) -> None:
    exchange.on("GET /fapi/v1/leverageBracket", json.loads((own_payloads / "leverage_bracket.json").read_bytes())[0])
    exchange.on("GET /fapi/v1/commissionRate", {"makerCommissionRate": "0.0002", "takerCommissionRate": "0.0005"})
    assert (await client.brackets("BTCUSDT"))[0].initial_leverage == 150
    assert await client.commission_rates("BTCUSDT") == (Decimal("0.0002"), Decimal("0.0005"))


async def test_the_offset_of_our_clock_is_known_after_asking(exchange: Any, client: BinanceClient, clock: Any) -> None:
    exchange.on("GET /fapi/v1/time", {"serverTime": clock.now_ms() + 777})
    assert await client.server_time_ms() == clock.now_ms() + 777
    assert client.clock_offset_ms == 777


async def test_one_failing_read_of_a_look_cancels_the_others(quiet: Any, client: BinanceClient, answer: Any) -> None:
    quiet.on(POSITIONS, answer({"code": -2015, "msg": "no"}, status=401))
    quiet.on(ACCOUNT, answer(hang=True))
    async with asyncio.timeout(2):
        with pytest.raises(Refusal, match="-2015"):
            await client.look("BTCUSDT", LookRequest(with_account=True))


ODD_ANSWERS: list[Any] = [None, [], {}, [[]], [{}], "x", 5, {"code": "x"}, [None], {"data": []}]


@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_whatever_is_answered_reads_raise_exchange_errors_only_and_writes_none(
    exchange: Any, client: BinanceClient, odd: object
) -> None:
    for verb in ("GET", "POST", "DELETE"):
        for path in ("order", "algoOrder", "openOrders", "openAlgoOrders", "allOpenOrders", "algoOpenOrders", "klines",
                     "premiumIndex", "userTrades", "income", "symbolConfig", "accountConfig", "leverageBracket",
                     "exchangeInfo", "commissionRate"):  # fmt: skip
            exchange.on(f"{verb} /fapi/v1/{path}", odd)
    exchange.on(POSITIONS, odd)
    exchange.on(ACCOUNT, odd)
    exchange.on(LAST, odd)
    reads = [
        client.filters(), client.brackets("B"), client.commission_rates("B"), client.mark_price("B"), client.account(),
        client.positions(), client.open_orders(), client.open_algos(), client.order("B", "x"), client.algo("B", "x"),
        client.fills("B"), client.income(start_ms=0), client.symbol_config("B"), client.account_modes(),
        client.look("B", LookRequest()), client.candles("B", Timeframe.H1), client.server_time_ms(),
        client.mark_prices(["B"]),
    ]  # fmt: skip
    for read in reads:
        with contextlib.suppress(ExchangeError):
            await read
    await client.cancel_order("B", "x")
    await client.cancel_algo("B", "x")
    await client.cancel_all("B")
    await client.ensure_leverage("B", 2)
    await client.ensure_one_way()


async def test_a_day_of_all_symbols_is_one_read_that_weighs_forty(exchange: Any, client: BinanceClient) -> None:
    exchange.on("GET /fapi/v1/ticker/24hr", [{"symbol": "BTCUSDT", "quoteVolume": "7.5"}])
    told = await _is_the_port(client).day_volumes()
    assert told.quote == {"BTCUSDT": Decimal("7.5")}
    used = next(w.used for w in client.http.budget.windows.all if w.kind == "REQUEST_WEIGHT")
    assert used == 40
    assert TICKER_DAY.priority is Priority.READ, "never of the part that is kept for what protects"


@pytest.mark.parametrize("missing", [(b"", 404), ({"code": -1099, "msg": "Not found"}, 404)])
async def test_a_ledger_that_is_not_served_does_not_blind_the_look(
    quiet: Any, client: BinanceClient, answer: Any, missing: tuple[Any, int]
) -> None:
    """R64: a trade whose stop was hit was never booked where only the ledger was missing."""
    quiet.on(INCOME, answer(missing[0], status=missing[1]))
    seen = await client.look("BTCUSDT", LookRequest(income_start_ms=1))
    assert seen.income == ()
    quiet.on(INCOME, answer({"code": -1003, "msg": "Too many requests."}, status=429))
    with pytest.raises(RateLimited):
        await client.look("BTCUSDT", LookRequest(income_start_ms=1))


async def test_an_order_that_is_answered_with_a_bare_404_is_not_shown(
    quiet: Any, client: BinanceClient, answer: Any
) -> None:
    """R26: no more than -2013 says, and no less: the rest of the look is seen."""
    quiet.on(QUERY, answer(b"", status=404))
    quiet.on(ALGO_QUERY, answer(b"<html>404 Not Found</html>", status=404))
    seen = await client.look("BTCUSDT", LookRequest(tracked=(ENTRY_ID, STOP_ID)))
    assert (seen.orders, seen.algo_orders) == ((), ())


async def test_a_look_leaves_out_orders_of_other_symbols(quiet: Any, client: BinanceClient) -> None:
    """R54: an exchange that does not filter its lists must not have other symbols' stops swept as orphans."""
    quiet.on(OPEN, [{**ORDER, "symbol": "ETHUSDT", "status": "NEW"}])
    quiet.on(OPEN_ALGOS, [ALGO, {**ALGO, "symbol": "ETHUSDT", "clientAlgoId": TARGET_ID}])
    seen = await client.look("BTCUSDT", LookRequest())
    assert (seen.orders, [algo.client_id for algo in seen.algo_orders]) == ((), [STOP_ID])
    assert len(await client.open_algos()) == 2
