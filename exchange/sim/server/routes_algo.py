"""Conditional orders over REST: a family of their own, which the calls for regular orders do not see."""

from __future__ import annotations

from enum import StrEnum

from exchange.errors import Refusal
from exchange.sim.core.orders import AlgoState
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.endpoint import Endpoint, signed
from exchange.sim.server.params import Params
from exchange.sim.server.payloads_orders import algo_row, cancelled_algo_row, is_forgotten, queried_algo_row
from exchange.sim.server.refusals import missing, not_modelled, not_required
from exchange.sim.server.routes_orders import ALL_CANCELLED, closes_a_leg, refuse_unmodelled, window
from exchange.sim.server.weights import by_symbol
from exchange.types import AlgoRequest, ConditionalType, Side, WorkingType

_UNMODELLED_TYPES = ("STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET")


class Validity(StrEnum):
    """timeInForce of a conditional order; these make no difference to one that becomes a market order."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


def place(emulator: Emulator, params: Params) -> object:
    request = algo_request(emulator, params)
    algo_id = emulator.write(lambda: emulator.venue.place_algo(request)).algo_id
    return algo_row(_state_of(emulator, algo_id), emulator.numerals[request.symbol])


def query(emulator: Emulator, params: Params) -> object:
    algo = find(emulator, params)
    if algo is None:
        raise Refusal(-2013, "Order does not exist.")
    return queried_algo_row(algo, emulator.numerals[algo.symbol], listed=False)


def cancel(emulator: Emulator, params: Params) -> object:
    algo = find(emulator, params)
    if algo is None:
        raise Refusal(-2011, "Unknown order sent.")
    emulator.write(lambda: emulator.venue.cancel_algo(algo_id=algo.algo_id))
    return cancelled_algo_row(algo)


def cancel_all(emulator: Emulator, params: Params) -> object:
    symbol = emulator.symbol(params)
    emulator.write(lambda: emulator.venue.cancel_all_algos(symbol))
    return ALL_CANCELLED


def open_algos(emulator: Emulator, params: Params) -> object:
    algo_id = params.whole_or("algoId")
    return [
        queried_algo_row(algo, emulator.numerals[symbol], listed=True)
        for symbol in emulator.symbols(params)
        for algo in emulator.state.algos.open(symbol)
        if algo.algo_id not in emulator.hidden and algo_id in (None, algo.algo_id)
    ]


def all_algos(emulator: Emulator, params: Params) -> object:
    symbol, limit = emulator.symbol(params), params.limit(500, 1_000)
    first_id = params.whole_or("algoId", 0) or 0
    start_ms, end_ms = window(emulator, params)
    found = [
        algo
        for algo in emulator.state.algos
        if algo.symbol == symbol
        and algo.algo_id >= first_id
        and (first_id or start_ms <= algo.created_ms <= end_ms)
        and not _is_gone(emulator, algo)
    ]
    chosen = found[:limit] if first_id or "startTime" in params else found[-limit:]
    return [queried_algo_row(algo, emulator.numerals[symbol], listed=True) for algo in chosen]


def algo_request(emulator: Emulator, params: Params) -> AlgoRequest:
    """What POST /fapi/v1/algoOrder asks for. triggerPrice, not stopPrice (field reports, 2025-12)."""
    if params.text("algoType") != "CONDITIONAL":
        raise Refusal(-1102, "Mandatory parameter 'algotype' was not sent, was empty/null, or malformed.")
    symbol = emulator.symbol(params)
    side = params.choice("side", Side, Refusal(-1117, "Invalid side."))
    if params.text("type") in _UNMODELLED_TYPES:
        raise not_modelled(f"the conditional type {params.text('type')}")
    kind = params.choice("type", ConditionalType, Refusal(-1116, "Invalid orderType."))
    _refuse_unmodelled(params)
    close_position, closes = params.flag("closePosition"), closes_a_leg(emulator, params, side)
    if close_position and params.flag("reduceOnly"):
        raise not_required("reduceOnly")
    if not close_position and "quantity" not in params:
        raise missing("quantity")
    return AlgoRequest(
        symbol=symbol,
        side=side,
        type=kind,
        trigger_price=params.decimal("triggerPrice"),
        working_type=params.choice(
            "workingType", WorkingType, Refusal(-4031, "Invalid workingType."), WorkingType.CONTRACT_PRICE
        ),
        quantity=params.decimal_or_none("quantity"),
        close_position=close_position,
        reduce_only=(closes and not close_position) or params.flag("reduceOnly"),
        client_id=params.text_or("clientAlgoId") or emulator.new_client_id(),
    )


def find(emulator: Emulator, params: Params) -> AlgoState | None:
    """The conditional order a request names, unless queries no longer find it. No symbol is needed."""
    algo_id, client_id = params.whole_or("algoId"), params.text_or("clientAlgoId")
    if algo_id is not None:
        found = emulator.state.algos.get(algo_id)
    elif client_id is not None:
        found = emulator.state.algos.find(client_id)
    else:
        raise Refusal(-1102, "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!")
    return None if found is None or _is_gone(emulator, found) else found


def _refuse_unmodelled(params: Params) -> None:
    refuse_unmodelled(params)
    if params.flag("priceProtect"):
        raise not_modelled("priceProtect")
    if params.text_or("timeInForce") == "GTE_GTC":
        raise not_modelled("timeInForce GTE_GTC")
    params.choice("timeInForce", Validity, Refusal(-1115, "Invalid timeInForce."), Validity.GTC)


def _state_of(emulator: Emulator, algo_id: int) -> AlgoState:
    found = emulator.state.algos.get(algo_id)
    assert found is not None
    return found


def _is_gone(emulator: Emulator, algo: AlgoState) -> bool:
    if algo.algo_id in emulator.hidden:
        return True
    return is_forgotten(algo.status, algo.executed, algo.updated_ms, emulator.now_ms)


ENDPOINTS: tuple[Endpoint, ...] = (
    signed("POST", "/fapi/v1/algoOrder", place, 0, orders=(1, 1)),
    signed("GET", "/fapi/v1/algoOrder", query, 1),
    signed("DELETE", "/fapi/v1/algoOrder", cancel, 1),
    signed("DELETE", "/fapi/v1/algoOpenOrders", cancel_all, 1),
    signed("GET", "/fapi/v1/openAlgoOrders", open_algos, by_symbol(1, 40)),
    signed("GET", "/fapi/v1/allAlgoOrders", all_algos, 5),
)
