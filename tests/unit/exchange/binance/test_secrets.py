"""A planted key and secret appear nowhere: not in logs, output, exceptions with their locals, or reprs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from exchange.binance.client import BinanceClient
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.user_stream import UserStream
from exchange.errors import ExchangeError
from exchange.event_queue import EventQueue
from exchange.types import (
    AlgoRequest,
    ConditionalType,
    LookRequest,
    OrderRequest,
    OrderType,
    Side,
    WorkingType,
)

pytestmark = pytest.mark.anyio
PLANTED = ("planted-key-7f3a9", "planted-secret-c41d8", "plantedlistenkey", "signature=0", "signature=a")
LISTEN_KEY = "plantedlistenkey42"
PATHS = (
    "order", "algoOrder", "openOrders", "openAlgoOrders", "allOpenOrders", "algoOpenOrders", "premiumIndex",
    "userTrades", "income", "symbolConfig", "accountConfig", "leverage", "marginType", "klines", "listenKey",
)  # fmt: skip


def _echo(answer: Any, status: int, *, html: bool) -> Any:
    """A server at its worst: it prints the whole request, headers included, into its answer."""

    def respond(asked: Any) -> Any:
        text = f"{asked.raw_query} {asked.headers}"
        body: object = f"<html>{text}</html>".encode() if html else {"code": -1100, "msg": text[-150:]}
        return answer(body, status=status)

    return respond


def _failures(answer: Any) -> list[Any]:
    return [
        _echo(answer, 400, html=False),
        _echo(answer, 200, html=False),
        _echo(answer, 200, html=True),
        _echo(answer, 502, html=True),
        _echo(answer, 401, html=True),
        answer(drop=True),
        answer({"code": -1021, "msg": "Timestamp"}, status=400),
        answer({"odd": 1}),
        _echo(answer, 403, html=True),
    ]


async def _everything(client: BinanceClient) -> list[str]:
    """Use every signed call once; returns all that its failures show."""
    order = OrderRequest(symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1), client_id="x")
    stop = AlgoRequest(
        symbol="BTCUSDT",
        side=Side.SELL,
        type=ConditionalType.STOP_MARKET,
        trigger_price=Decimal(1),
        working_type=WorkingType.MARK_PRICE,
        client_id="y",
        close_position=True,
    )
    symbol = "BTCUSDT"
    look = LookRequest(tracked=("x",), fills_after_id=1, income_start_ms=1, with_account=True)
    calls = [
        client.place_order(order),
        client.place_algo(stop),
        client.cancel_order(symbol, "x"),
        client.cancel_algo(symbol, "y"),
        client.cancel_all(symbol),
        client.ensure_leverage(symbol, 2),
        client.ensure_one_way(),
        client.open_orders(),
        client.look(symbol, look),
        client.account(),
        client.account_modes(),
        ListenKeys(client.http).create(),
    ]
    shown: list[str] = []
    for call in calls:
        try:
            shown.append(repr(await call))
        except ExchangeError as error:
            shown.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
            shown.append(repr(error))
    return shown


async def test_a_planted_secret_appears_nowhere_in_a_debug_run_full_of_failures(
    exchange: Any,
    client: BinanceClient,
    credentials: Any,
    answer: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    await client.server_time_ms()
    shown: list[str] = [repr(vars(client)), repr(vars(client.http)), repr(credentials), repr(client)]
    for failure in _failures(answer):
        for verb in ("GET", "POST", "DELETE", "PUT"):
            for path in PATHS:
                exchange.on(f"{verb} /fapi/v1/{path}", failure)
        for path in ("positionRisk", "account"):
            exchange.on(f"GET /fapi/v3/{path}", failure)
        shown += await _everything(client)
        clock.seconds += 600
    logged = "\n".join(f"{record.getMessage()} {record.exc_text} {vars(record)}" for record in caplog.records)
    out, err = capfd.readouterr()
    assert "HTTP Request" in logged, "httpx was listened to"
    assert "fapi/v1/order" in logged
    for text in (*shown, logged, out, err):
        for planted in PLANTED:
            assert planted not in text, text[:2_000]


async def test_the_listen_key_is_not_logged_by_the_stream_either(
    exchange: Any, client: BinanceClient, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exchange.on("POST /fapi/v1/listenKey", {"listenKey": LISTEN_KEY})
    served = 0

    async def misbehave(connection: ServerConnection) -> None:
        nonlocal served
        served += 1
        await connection.send(f'{{"e":"odd {connection.request and connection.request.path}')
        await connection.send(f'{{"e":"listenKeyExpired","listenKey":"{LISTEN_KEY}"}}')
        await connection.close(reason=f"listenKey={LISTEN_KEY}")

    queue = EventQueue()
    async with serve(misbehave, "127.0.0.1", 0, logger=logging.getLogger("server.silent")) as server:
        logging.getLogger("server.silent").disabled = True
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stream = UserStream(
            keys=ListenKeys(client.http), base_urls=(url, "ws://127.0.0.1:1"), clock=clock, sink=queue.put
        )
        task = asyncio.create_task(stream.run())
        told = [repr(await asyncio.wait_for(queue.get(), 60)) for _ in range(12)]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert served >= 2
    assert "stream ended" in logged
    for text in (*told, logged):
        assert LISTEN_KEY not in text, text[:2_000]
