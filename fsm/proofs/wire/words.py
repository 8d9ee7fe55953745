"""Knows which answers and events tell the bot of a position, or of a stop that is gone: from then on it must act."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from exchange.events import AccountChanged, OrderChanged, StreamEvent, TradeTold
from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked
from fsm.proofs.torture.naked_time import NakedTimeChecker

ORDER, ALGO = "/fapi/v1/order", "/fapi/v1/algoOrder"
POSITIONS, OPEN_ALGOS, FILLS = "/fapi/v3/positionRisk", "/fapi/v1/openAlgoOrders", "/fapi/v1/userTrades"
NOT_THERE = -2013


def answer_tells(judge: NakedTimeChecker, asked: Asked, answer: Answer | None) -> None:
    """Read an answer as the emulator wrote it, not as the client understood it."""
    if answer is None or not judge.record.lasting:
        return
    value: Any = answer.value
    if asked.path == ALGO and asked.method == "GET":
        _algo_tells(judge, asked, value)
    elif answer.status != 200:
        return
    elif asked.path == ORDER and isinstance(value, dict) and Decimal(str(value.get("executedQty", 0))) > 0:
        judge.word(asked.symbol)
    elif asked.path == POSITIONS:
        for row in value:
            if Decimal(str(row["positionAmt"])) != 0:
                judge.word(str(row["symbol"]))
    elif asked.path == OPEN_ALGOS and not any(map(_is_stop, value)):
        judge.word(asked.symbol, of_stop=True)
    elif asked.path == FILLS:
        naked = judge.record.lasting.get(asked.symbol)
        if naked is not None and any(int(row["time"]) >= naked.from_ms for row in value):
            judge.word(asked.symbol)


def _algo_tells(judge: NakedTimeChecker, asked: Asked, value: Any) -> None:
    """A stop that was asked for by its id, and has ended or is not there."""
    for symbol in list(judge.record.lasting):
        stop = isinstance(value, Mapping) and value.get("symbol") == symbol and not _is_open(value)
        if stop and value.get("orderType") == "STOP_MARKET":
            judge.word(symbol, of_stop=True)


def _is_open(row: Mapping[str, Any]) -> bool:
    return row.get("algoStatus") in ("NEW", "TRIGGERING", "TRIGGERED")


def _is_stop(row: Mapping[str, Any]) -> bool:
    return row.get("orderType") == "STOP_MARKET" and _is_open(row)


def event_tells(judge: NakedTimeChecker, event: StreamEvent) -> None:
    """Fills and positions, as the stream tells them."""
    if not judge.record.lasting:
        return
    match event:
        case OrderChanged(order=order) if order.executed_quantity > 0:
            judge.word(order.symbol)
        case TradeTold(symbol=symbol):
            judge.word(symbol)
        case AccountChanged(positions=positions):
            for position in positions:
                if position.quantity != 0:
                    judge.word(position.symbol)
