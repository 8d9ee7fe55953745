"""An unknown outcome is resolved by evidence: found, shown absent, or still unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.binance.resolution import LOOKUP_PAUSES_S, Absent, Found, StillUnknown

pytestmark = pytest.mark.anyio
QUERY, ALGO_QUERY = "GET /fapi/v1/order", "GET /fapi/v1/algoOrder"
OPEN, OPEN_ALGOS = "GET /fapi/v1/openOrders", "GET /fapi/v1/openAlgoOrders"
POSITIONS = "GET /fapi/v3/positionRisk"
ORDER = {
    "orderId": 5, "symbol": "BTCUSDT", "status": "FILLED", "clientOrderId": "f-1", "origQty": "0.010",
    "executedQty": "0.010", "side": "BUY",
}  # fmt: skip
ALGO = {"algoId": 7, "clientAlgoId": "f-2", "symbol": "BTCUSDT", "side": "SELL", "algoStatus": "NEW"}
ZERO = Decimal(0)


@pytest.fixture
def absent(exchange: Any, answer: Any) -> Any:
    """An exchange that knows nothing of the order and holds nothing."""
    missing = answer({"code": -2013, "msg": "Order does not exist."}, status=400)
    exchange.on(QUERY, missing)
    exchange.on(ALGO_QUERY, missing)
    exchange.on(OPEN, [])
    exchange.on(OPEN_ALGOS, [])
    exchange.on(POSITIONS, [])
    return missing


async def test_r16_an_order_that_shows_after_seconds_of_lag_is_found(
    exchange: Any, client: BinanceClient, absent: Any, clock: Any
) -> None:
    exchange.on(QUERY, absent, absent, absent, ORDER)
    found = await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO)
    assert isinstance(found, Found)
    assert found.order is not None
    assert found.order.order_id == 5
    assert clock.slept == list(LOOKUP_PAUSES_S[:3])


async def test_r16_absent_needs_every_look_up_the_list_and_an_unmoved_position(
    exchange: Any, client: BinanceClient, absent: Any, clock: Any
) -> None:
    assert await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO) == Absent()
    assert sum(clock.slept) >= 7
    assert exchange.names() == [QUERY] * 6 + [OPEN, POSITIONS]


async def test_r20_a_position_that_moved_forbids_to_assume_it_never_happened(
    exchange: Any, client: BinanceClient, absent: Any
) -> None:
    exchange.on(POSITIONS, [{"symbol": "BTCUSDT", "positionAmt": "0.010", "entryPrice": "1"}])
    resolution = await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO)
    assert isinstance(resolution, StillUnknown)
    assert "0.010" in resolution.reason
    assert await client.resolve_order("BTCUSDT", "f-1", quantity_before=Decimal("0.010")) == Absent()


async def test_an_order_that_only_the_list_shows_is_found(exchange: Any, client: BinanceClient, absent: Any) -> None:
    exchange.on(OPEN, [{**ORDER, "clientOrderId": "other"}, {**ORDER, "status": "NEW"}])
    resolution = await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO)
    assert isinstance(resolution, Found)


async def test_look_ups_that_are_not_answered_prove_nothing(
    exchange: Any, client: BinanceClient, absent: Any, answer: Any
) -> None:
    exchange.on(QUERY, answer(b"", status=502))
    resolution = await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO)
    assert isinstance(resolution, StillUnknown)
    assert "only 0 of 6" in resolution.reason


async def test_the_last_evidence_may_be_missing_too(
    exchange: Any, client: BinanceClient, absent: Any, answer: Any
) -> None:
    exchange.on(POSITIONS, answer(b"", status=502))
    assert isinstance(await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO), StillUnknown)
    exchange.on(POSITIONS, [])
    exchange.on(OPEN, answer(b"garbage"))
    assert isinstance(await client.resolve_order("BTCUSDT", "f-1", quantity_before=ZERO), StillUnknown)


async def test_a_stop_is_found_among_conditional_orders(exchange: Any, client: BinanceClient, absent: Any) -> None:
    exchange.on(ALGO_QUERY, absent, ALGO)
    resolution = await client.resolve_algo("BTCUSDT", "f-2", quantity_before=ZERO)
    assert isinstance(resolution, Found)
    assert resolution.algo_order is not None


async def test_a_triggered_stop_may_show_only_as_its_real_order(
    exchange: Any, client: BinanceClient, absent: Any
) -> None:
    exchange.on(QUERY, {**ORDER, "clientOrderId": "f-2", "side": "SELL"})
    resolution = await client.resolve_algo("BTCUSDT", "f-2", quantity_before=ZERO)
    assert isinstance(resolution, Found)
    assert (resolution.algo_order, resolution.order is None) == (None, False)


async def test_a_stop_forgotten_by_the_query_but_listed_is_found(
    exchange: Any, client: BinanceClient, absent: Any
) -> None:
    exchange.on(OPEN_ALGOS, [ALGO])
    assert isinstance(await client.resolve_algo("BTCUSDT", "f-2", quantity_before=ZERO), Found)
    exchange.on(OPEN_ALGOS, [])
    assert await client.resolve_algo("BTCUSDT", "f-2", quantity_before=ZERO) == Absent()
