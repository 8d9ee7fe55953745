"""A program that talks to an exchange as badly as it can with every log on: what it prints must hold no secret.

    python tests/integration/full_debug_run.py REST_URL WS_URL      (keys from the environment)

It succeeds, is refused, times out, is dropped, banned and lied to, prints every object it has, and fails at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pprint
import sys
import traceback
from decimal import Decimal

import httpx

from exchange import environment
from exchange.binance.client import BinanceClient
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.user_stream import UserStream
from exchange.event_queue import EventQueue
from exchange.secrets import Credentials, Secret
from exchange.types import LookRequest, OrderRequest, OrderType, Side

FAULTS: list[object] = [
    "unknown_503", "unknown_503_text", "timeout_408", "internal_500", "bad_gateway_502", "disconnect", "empty_200",
    "unavailable_503", "engine_clock", "duplicate_id", "not_found", "firewall_403", "rate_limit_429", "ban_418",
    {"status": 400, "body": {"code": -1022, "msg": "Signature for this request is not valid."}},
    {"status": 200, "body": "not JSON"},
]  # fmt: skip


class Clock:
    """The exchange's time stands still, and so does ours; waiting takes no time."""

    def __init__(self) -> None:
        self.at_ms = 0
        self.waited_s = 0.0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.waited_s

    async def sleep(self, seconds: float) -> None:
        self.waited_s += seconds
        await asyncio.sleep(0)


class Held(Clock):
    """Nobody who waits on it ever goes on."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


async def attempt(what: object) -> None:
    """Do it and print what comes of it, exception and all."""
    try:
        print(repr(await what))  # type: ignore[misc]
    except Exception as error:
        print(repr(error), error.__dict__)
        traceback.print_exc()


async def talk(client: BinanceClient) -> None:
    """One of each kind of call."""
    order = OrderRequest(
        symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.010"), client_id="debug-1"
    )
    await attempt(client.filters())
    await attempt(client.place_order(order))
    await attempt(client.look("BTCUSDT", LookRequest(with_account=True, fills_after_id=0, income_start_ms=0)))
    await attempt(client.account_modes())
    await attempt(client.cancel_all("BTCUSDT"))
    await attempt(client.order("NOSUCHUSDT", "debug-1"))


async def listen(client: BinanceClient, ws_url: str, sim: httpx.AsyncClient) -> None:
    """A user stream that connects, is expired and cut, and one that cannot connect."""
    keys = ListenKeys(client.http)
    for url in (ws_url, "ws://127.0.0.1:1"):
        queue = EventQueue()
        stream = UserStream(keys=keys, base_urls=(url,), clock=Held(), sink=queue.put)
        task = asyncio.create_task(stream.run())
        async with asyncio.timeout(10):
            print(repr(await queue.get()))
            if url == ws_url:
                await sim.post("/sim/v1/streams", json={"action": "expire_listen_key"})
                print(repr(await queue.get()), repr(await queue.get()))
        task.cancel()
        print(repr(stream), pprint.pformat(vars(stream)))


async def main(rest_url: str, ws_url: str) -> None:
    settings = {**os.environ, "BINANCE_ENV": "sim", "SIM_REST_URL": rest_url, "SIM_WS_URL": ws_url}
    credentials = environment.credentials(settings)
    print(environment.resolve(settings), credentials, vars(Credentials).keys(), repr(credentials), f"{credentials!s}")
    async with httpx.AsyncClient(base_url=rest_url, trust_env=False, verify=False) as sim:
        clock = Clock()
        client = BinanceClient(base_url=rest_url, clock=clock, credentials=credentials)
        await talk(client)
        await listen(client, ws_url, sim)
        for fault in FAULTS:
            await sim.post("/sim/v1/faults", json={"match": {"path": "/fapi/*"}, "effect": fault})
            client = BinanceClient(base_url=rest_url, clock=clock, credentials=credentials)
            await talk(client)
            await attempt(ListenKeys(client.http).create())
            await sim.delete("/sim/v1/faults")
        clock.at_ms += 3_600_000
        await talk(client)
        wrong = Credentials(api_key=credentials.api_key, api_secret=Secret("another secret"))
        await talk(BinanceClient(base_url=rest_url, clock=clock, credentials=wrong))
        await talk(BinanceClient(base_url="http://127.0.0.1:1", clock=clock, credentials=credentials))
        print(pprint.pformat(vars(client)), pprint.pformat(vars(client.http)))
        await client.aclose()
        await talk(client)
    await client.http._client.get(f"{rest_url}/fapi/v1/time?signature={'5' * 64}")  # an error nobody catches


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    asyncio.run(main(sys.argv[1], sys.argv[2]), debug=True)
