"""Orders of both families: what may be missing, what may not, and what we send."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.binance import codec_orders
from exchange.binance.codec_orders import UnsendableOrder
from exchange.errors import MalformedReply
from exchange.types import (
    AlgoRequest,
    AlgoStatus,
    ConditionalType,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    WorkingType,
)

# shapes of the documentation; the answer to POST order has no avgPrice since 2026-07-15
ORDER: dict[str, Any] = {
    "orderId": 4611875134427365377, "symbol": "BTCUSDT", "status": "NEW", "clientOrderId": "bot-e-01", "price": "0.00",
    "origQty": "0.010", "executedQty": "0.000", "cumQty": "0.000", "timeInForce": "GTC", "type": "MARKET",
    "reduceOnly": False, "closePosition": False, "side": "BUY", "positionSide": "BOTH", "stopPrice": "0.00",
    "workingType": "CONTRACT_PRICE", "priceProtect": False, "origType": "MARKET", "updateTime": 1764000000100,
}  # fmt: skip
ALGO: dict[str, Any] = {
    "algoId": 1000000033225453, "clientAlgoId": "bot-sl-01", "algoType": "CONDITIONAL", "orderType": "STOP_MARKET",
    "symbol": "BTCUSDT", "side": "SELL", "positionSide": "BOTH", "timeInForce": "GTC", "quantity": "0.010",
    "algoStatus": "NEW", "triggerPrice": "58800.0", "price": "0.0", "icebergQuantity": None,
    "workingType": "MARK_PRICE", "closePosition": False, "priceProtect": False, "reduceOnly": True,
    "activatePrice": "", "callbackRate": "", "createTime": 1764000001000, "updateTime": 1764000001001,
    "triggerTime": 0, "goodTillDate": 0,
}  # fmt: skip


def test_an_order_id_beyond_2_to_the_53_keeps_all_its_digits() -> None:
    assert codec_orders.order(ORDER).order_id == 4611875134427365377
    assert codec_orders.order({**ORDER, "orderId": "4611875134427365377"}).order_id == 4611875134427365377


def test_an_order_id_that_went_through_a_float_is_malformed() -> None:
    with pytest.raises(MalformedReply, match="orderId"):
        codec_orders.order({**ORDER, "orderId": 4611875134427365377.0})


@pytest.mark.parametrize("value", ["0", "0.00000", "", None, "abc"])
def test_an_average_price_that_is_not_known_yet_is_none(value: object) -> None:
    assert codec_orders.order({**ORDER, "avgPrice": value}).average_price is None
    assert codec_orders.order(ORDER).average_price is None


def test_an_average_price_that_is_known_is_kept_exactly() -> None:
    assert codec_orders.order({**ORDER, "avgPrice": "60000.10"}).average_price == Decimal("60000.10")


@pytest.mark.parametrize("status", ["NEW_INSURANCE", "NEW_ADL", "", None, 3, "new"])
def test_an_unknown_status_is_unrecognised_and_not_open(status: object) -> None:
    order = codec_orders.order({**ORDER, "status": status})
    algo = codec_orders.algo_order({**ALGO, "algoStatus": status})
    assert (order.status, algo.status) == (OrderStatus.UNRECOGNISED, AlgoStatus.UNRECOGNISED)
    assert not order.status.is_open
    assert not algo.status.is_open


@pytest.mark.parametrize("name", ["orderId", "symbol", "clientOrderId", "side"])
@pytest.mark.parametrize("value", [None, "", [], "?"])
def test_what_identifies_an_order_is_essential(name: str, value: object) -> None:
    if value == "?" and name in ("symbol", "clientOrderId"):
        return
    with pytest.raises(MalformedReply, match=name):
        codec_orders.order({**ORDER, name: value})


def test_how_much_was_executed_is_essential_and_may_be_called_cum_qty() -> None:
    without = {k: v for k, v in ORDER.items() if k != "executedQty"}
    assert codec_orders.order({**without, "cumQty": "0.004"}).executed_quantity == Decimal("0.004")
    with pytest.raises(MalformedReply):
        codec_orders.order({k: v for k, v in without.items() if k != "cumQty"})


@pytest.mark.parametrize("quantity", ["0", "0.000", 0, None, "", "missing"])
def test_r26_a_close_position_stop_is_seen_whatever_its_quantity_looks_like(quantity: object) -> None:
    source = {**ALGO, "closePosition": True, "reduceOnly": False, "quantity": quantity}
    if quantity == "missing":
        del source["quantity"]
    algo = codec_orders.algo_order(source)
    assert algo.close_position
    assert algo.quantity is None
    assert algo.status is AlgoStatus.NEW


def test_r26_close_position_may_come_as_text() -> None:
    assert codec_orders.algo_order({**ALGO, "closePosition": "true", "quantity": ""}).close_position


@pytest.mark.parametrize("value", ["", None, "0", 0])
def test_a_conditional_order_that_has_not_triggered_has_no_actual_order(value: object) -> None:
    algo = codec_orders.algo_order({**ALGO, "actualOrderId": value, "actualQty": "", "actualPrice": "0.00000"})
    assert algo.actual_order_id is None
    assert algo.executed_quantity == 0


def test_a_triggered_order_leads_to_its_actual_order_beyond_2_to_the_53() -> None:
    algo = codec_orders.algo_order(
        {**ALGO, "algoStatus": "FINISHED", "actualOrderId": "8389765739703625592", "actualQty": "0.010"}
    )
    assert algo.actual_order_id == 8389765739703625592
    assert algo.executed_quantity == Decimal("0.010")


def test_the_type_of_a_conditional_order_is_spelt_in_two_ways(own_payloads: Path) -> None:
    assert codec_orders.algo_order(ALGO).type == "STOP_MARKET"
    [recorded] = codec_orders.algo_orders(json.loads((own_payloads / "open_algo_orders.json").read_bytes()))
    assert recorded.type == "STOP_MARKET"
    assert recorded.quantity == Decimal("0.001")


def test_one_unreadable_order_fails_the_list_because_an_unseen_one_is_worse() -> None:
    with pytest.raises(MalformedReply):
        codec_orders.orders([ORDER, {**ORDER, "side": "?"}])


def _entry(**changes: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": Side.BUY, "type": OrderType.MARKET, "quantity": Decimal("0.010"),
        "client_id": "f-1",
    }  # fmt: skip
    return OrderRequest(**{**values, **changes})


def _stop(**changes: Any) -> AlgoRequest:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": Side.SELL, "type": ConditionalType.STOP_MARKET,
        "trigger_price": Decimal("58800.0"), "working_type": WorkingType.MARK_PRICE, "client_id": "f-2",
        "close_position": True,
    }  # fmt: skip
    return AlgoRequest(**{**values, **changes})


def test_a_market_order_asks_for_its_result_and_carries_no_price() -> None:
    assert codec_orders.order_params(_entry()) == {
        "symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "f-1",
        "newOrderRespType": "RESULT",
    }  # fmt: skip


def test_a_limit_order_carries_price_time_in_force_and_expiry() -> None:
    request = _entry(
        type=OrderType.LIMIT, price=Decimal("1E+2"), time_in_force=TimeInForce.GTD, good_till_ms=5, reduce_only=True
    )
    params = codec_orders.order_params(request)
    assert (params["price"], params["timeInForce"], params["goodTillDate"], params["reduceOnly"]) == (
        "100", "GTD", "5", "true",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "sent"), [("1E-7", "0.0000001"), ("2E+3", "2000"), ("0.0100", "0.01"), ("100", "100")]
)
def test_numbers_are_sent_without_exponents_and_trailing_zeros(quantity: str, sent: str) -> None:
    assert codec_orders.order_params(_entry(quantity=Decimal(quantity)))["quantity"] == sent


def test_r1_a_protective_stop_goes_out_with_trigger_price_and_our_own_algo_id() -> None:
    assert codec_orders.algo_params(_stop()) == {
        "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET",
        "triggerPrice": "58800", "workingType": "MARK_PRICE", "closePosition": "true", "clientAlgoId": "f-2",
    }  # fmt: skip


def test_a_partial_target_carries_quantity_and_reduce_only_instead_of_close_position() -> None:
    params = codec_orders.algo_params(_stop(close_position=False, quantity=Decimal("0.004"), reduce_only=True))
    assert (params["quantity"], params["reduceOnly"]) == ("0.004", "true")
    assert "closePosition" not in params


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal(0)},
        {"quantity": Decimal(-1)},
        {"quantity": Decimal("NaN")},
        {"quantity": Decimal("Infinity")},
        {"price": Decimal(1)},
        {"type": OrderType.LIMIT},
        {"type": OrderType.LIMIT, "price": Decimal(0)},
        {"client_id": ""},
        {"client_id": "x" * 37},
    ],
)
def test_an_order_that_contradicts_itself_is_never_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsendableOrder):
        codec_orders.order_params(_entry(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": Decimal(1)},
        {"close_position": False},
        {"reduce_only": True},
        {"trigger_price": Decimal(0)},
        {"close_position": False, "quantity": Decimal("-1")},
        {"client_id": "x" * 37},
    ],
)
def test_a_conditional_order_that_contradicts_itself_is_never_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsendableOrder):
        codec_orders.algo_params(_stop(**changes))
