"""Turns what happens to the account into messages of the user-data stream (stream pages, checked 2026-11).

One execution is told as the exchange tells it: ORDER_TRADE_UPDATE NEW → TRADE_LITE → ORDER_TRADE_UPDATE TRADE →
ACCOUNT_UPDATE; a conditional order wraps that into ALGO_UPDATE TRIGGERING → TRIGGERED → … → FINISHED.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from exchange.filters import SymbolFilters
from exchange.sim.core.events import (
    AccountUpdated,
    AlgoUpdated,
    Execution,
    HoldingView,
    LeverageChanged,
    OrderUpdated,
    VenueEvent,
)
from exchange.sim.server.numerals import Numerals, money, plain
from exchange.sim.server.payloads_orders import STP_MODE, average
from exchange.types import AlgoStatus, OrderType, WorkingType

Json = dict[str, object]

_ZERO = Decimal(0)


class Message(msgspec.Struct, frozen=True):
    """One event: its type, and what is sent. ``symbol`` is empty for events about the whole account."""

    kind: str
    symbol: str
    payload: Json


def messages(event: VenueEvent, filters: dict[str, SymbolFilters]) -> Iterator[Message]:
    """What the stream tells about one event of the venue."""
    if isinstance(event, OrderUpdated):
        numerals = Numerals.of(filters[event.order.symbol])
        if event.fill is not None:
            yield Message("TRADE_LITE", event.order.symbol, _trade_lite(event, numerals))
        yield Message("ORDER_TRADE_UPDATE", event.order.symbol, _order_update(event, numerals))
    elif isinstance(event, AlgoUpdated):
        numerals = Numerals.of(filters[event.algo.symbol])
        yield Message("ALGO_UPDATE", event.algo.symbol, _algo_update(event, numerals))
    elif isinstance(event, AccountUpdated):
        symbol = event.positions[0].holding.symbol if event.positions else ""
        yield Message("ACCOUNT_UPDATE", symbol, _account_update(event))
    elif isinstance(event, LeverageChanged):
        changed = {"s": event.symbol, "l": event.leverage}
        yield Message(
            "ACCOUNT_CONFIG_UPDATE", event.symbol, {**_head("ACCOUNT_CONFIG_UPDATE", event.at_ms), "ac": changed}
        )


def listen_key_expired(listen_key: str, at_ms: int) -> Message:
    return Message("listenKeyExpired", "", {"e": "listenKeyExpired", "E": at_ms, "listenKey": listen_key})


def _head(kind: str, at_ms: int) -> Json:
    return {"e": kind, "E": at_ms, "T": at_ms}


def _trade_lite(event: OrderUpdated, numerals: Numerals) -> Json:
    order, fill = event.order, event.fill
    assert fill is not None
    return {
        **_head("TRADE_LITE", event.at_ms),
        "s": order.symbol,
        "q": numerals.ordered_quantity(order.quantity),
        "p": numerals.ordered(order.price),
        "m": fill.maker,
        "c": order.client_id,
        "S": order.side.value,
        "L": numerals.ordered(fill.price),
        "l": numerals.ordered_quantity(fill.quantity),
        "t": fill.fill_id,
        "i": order.order_id,
    }


def _order_update(event: OrderUpdated, numerals: Numerals) -> Json:
    order, fill = event.order, event.fill
    told: Json = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side.value,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": numerals.ordered_quantity(order.quantity),
        "p": numerals.ordered(order.price),
        "ap": average(order.average_price),
        "sp": numerals.ordered(order.trigger_price),
        "x": event.execution.value,
        "X": "NEW" if event.execution is Execution.NEW else order.status.value,
        "i": order.order_id,
        "l": numerals.ordered_quantity(fill.quantity if fill else None),
        "z": numerals.ordered_quantity(order.executed),
        "L": numerals.ordered(fill.price if fill else None),
        "T": event.at_ms,
        "t": fill.fill_id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": (order.working_type or WorkingType.CONTRACT_PRICE).value,
        "ot": order.original_type or order.type.value,
        "ps": "BOTH",
        "cp": order.close_position,
        "rp": money(fill.realized_pnl) if fill else "0",
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": STP_MODE,
        "pm": "NONE",
        "gtd": order.good_till_ms or 0,
        "er": event.expiry_reason.value,
    }
    if fill is not None:
        told |= {"N": fill.commission_asset, "n": money(fill.commission)}
    return {**_head("ORDER_TRADE_UPDATE", event.at_ms), "o": told}


def _algo_update(event: AlgoUpdated, numerals: Numerals) -> Json:
    algo = event.algo
    told: Json = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type.value,
        "s": algo.symbol,
        "S": algo.side.value,
        "ps": "BOTH",
        "f": "GTC",
        "q": numerals.ordered_quantity(algo.quantity),
        "X": algo.status.value,
        "ai": "" if algo.actual_order_id is None else str(algo.actual_order_id),
        "tp": numerals.ordered(algo.trigger_price),
        "p": "0",
        "V": STP_MODE,
        "wt": algo.working_type.value,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": False,
        "R": algo.reduce_only,
        "tt": algo.triggered_ms or 0,
        "gtd": 0,
    }
    if algo.actual_order_id is not None:
        price = average(algo.actual_price) if algo.actual_price is not None else "0"
        told |= {"ap": price, "aq": plain(algo.executed), "act": OrderType.MARKET.value}
    if algo.status is AlgoStatus.REJECTED:
        told["rm"] = algo.reject_reason or ""
    return {**_head("ALGO_UPDATE", event.at_ms), "o": told}


def _account_update(event: AccountUpdated) -> Json:
    told: Json = {
        "m": event.reason,
        "B": [
            {
                "a": "USDT",
                "wb": money(event.wallet_balance),
                "cw": money(event.cross_wallet),
                "bc": money(event.balance_change),
            }
        ],
        "P": [_position(view) for view in event.positions],
    }
    if event.reason == "FUNDING_FEE" and event.positions:
        told["S"] = event.positions[0].holding.symbol  # since 2026-08-07
    return {**_head("ACCOUNT_UPDATE", event.at_ms), "a": told}


def _position(view: HoldingView) -> Json:
    holding = view.holding
    return {
        "s": holding.symbol,
        "pa": plain(holding.quantity),
        "ep": plain(holding.entry_price),
        "bep": plain(holding.break_even_price),
        "cr": money(holding.realized),
        "up": money(view.unrealized),
        "mt": "isolated" if holding.isolated else "cross",
        "iw": money(holding.isolated_wallet),
        "ps": "BOTH",
    }
