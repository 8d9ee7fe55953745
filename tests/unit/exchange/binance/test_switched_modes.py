"""What the client does when the account or the lists are not what they were: other modes, gone symbols, bad rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    Confirmed,
    LookRequest,
    OrderRequest,
    OrderType,
    Refused,
    Side,
    WorkingType,
)

pytestmark = pytest.mark.anyio
PLACE, ALGO, RISK = "POST /fapi/v1/order", "POST /fapi/v1/algoOrder", "GET /fapi/v3/positionRisk"
CLOSE = OrderRequest(
    symbol="BTCUSDT", side=Side.SELL, type=OrderType.MARKET, quantity=Decimal("0.1"), client_id="c1", reduce_only=True
)
STOP = AlgoRequest(
    symbol="BTCUSDT",
    side=Side.SELL,
    type=ConditionalType.STOP_MARKET,
    trigger_price=Decimal(100),
    working_type=WorkingType.MARK_PRICE,
    client_id="s1",
    close_position=True,
)
MISMATCH = {"code": -4061, "msg": "Order's position side does not match user's setting."}


def _done(client_id: str, **more: Any) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "orderId": 1, "clientOrderId": client_id, "side": "SELL", "status": "FILLED",
            "origQty": "0.1", "executedQty": "0.1", **more}  # fmt: skip


def _position(symbol: str, side: str, amount: str) -> dict[str, str]:
    return {"symbol": symbol, "positionSide": side, "positionAmt": amount, "entryPrice": "100", "markPrice": "100"}


async def test_r81_a_close_and_a_stop_find_the_form_that_hedge_mode_takes(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    exchange.on(PLACE, answer(MISMATCH, status=400), _done("c1"))
    assert isinstance(await client.place_order(CLOSE), Confirmed)
    first, second = (call.params for call in exchange.calls(PLACE))
    assert (first.get("reduceOnly"), first.get("positionSide")) == ("true", None)
    assert (second.get("reduceOnly"), second.get("positionSide")) == (None, "LONG")
    assert first["newClientOrderId"] == second["newClientOrderId"]
    exchange.on(ALGO, {"symbol": "BTCUSDT", "algoId": 2, "clientAlgoId": "s1", "side": "SELL", "algoStatus": "NEW"})
    assert isinstance(await client.place_algo(STOP), Confirmed)
    (stop,) = (call.params for call in exchange.calls(ALGO))
    assert (stop["positionSide"], stop["closePosition"]) == ("LONG", "true"), "what was learned is kept"
    exchange.on(PLACE, answer(MISMATCH, status=400), _done("c1"))
    assert isinstance(await client.place_order(CLOSE), Confirmed)
    assert exchange.calls(PLACE)[-1].params.get("positionSide") is None, "and one-way mode is found again"


async def test_r81_where_neither_form_is_taken_the_first_refusal_names_the_mode(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    nothing = answer({"code": -2022, "msg": "ReduceOnly Order is rejected."}, status=400)
    exchange.on(PLACE, answer(MISMATCH, status=400), nothing)
    outcome = await client.place_order(CLOSE)
    assert isinstance(outcome, Refused)
    assert outcome.code == -4061


async def test_r81_the_leg_of_the_entrys_side_is_the_position(exchange: Any, client: BinanceClient) -> None:
    exchange.on("GET /fapi/v1/openOrders", [])
    exchange.on("GET /fapi/v1/openAlgoOrders", [])
    exchange.on(RISK, [_position("BTCUSDT", "LONG", "0.1"), _position("BTCUSDT", "SHORT", "-0.3")])
    snapshot = await client.look("BTCUSDT", LookRequest(side=Side.BUY))
    assert snapshot.position is not None
    assert snapshot.position.quantity == Decimal("0.1")


async def test_r64_a_row_that_cannot_be_read_costs_its_own_symbol(exchange: Any, client: BinanceClient) -> None:
    told: list[str] = []
    client.tell_unreadable(lambda symbol, what: told.append(symbol))
    exchange.on(RISK, [_position("BTCUSDT", "BOTH", "?"), _position("ETHUSDT", "BOTH", "1")])
    assert [position.symbol for position in await client.positions()] == ["ETHUSDT"]
    exchange.on("GET /fapi/v1/openOrders", [{"symbol": "BTCUSDT"}, "?"])
    assert await client.open_orders() == []
    assert told == ["BTCUSDT", "BTCUSDT", ""]


async def test_r63_a_symbol_that_the_exchange_does_not_know_is_looked_at_through_its_lists(
    exchange: Any, client: BinanceClient, answer: Any
) -> None:
    invalid = answer({"code": -1121, "msg": "Invalid symbol."}, status=400)
    exchange.on("GET /fapi/v1/openOrders", invalid, [])
    exchange.on("GET /fapi/v1/openAlgoOrders", invalid, [])
    exchange.on(RISK, [_position("BTCUSDT", "BOTH", "0.1")])
    row = {"incomeType": "REALIZED_PNL", "income": "1", "asset": "USDT", "tranId": 1, "time": 5}
    exchange.on("GET /fapi/v1/income", [{**row, "symbol": "BTCUSDT"}, {**row, "symbol": "ETHUSDT"}])
    snapshot = await client.look("BTCUSDT", LookRequest(income_start_ms=0))
    assert snapshot.unlisted
    assert snapshot.position is not None
    assert [row.symbol for row in snapshot.income] == ["BTCUSDT"]
