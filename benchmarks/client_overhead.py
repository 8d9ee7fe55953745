"""What our Binance client costs on top of a bare httpx call, measured on loopback in one run.

Both ask the same server for the same answer, in turn: the bare call with a prepared address and a decoded JSON
body, ours with budget, time stamp, signature, time-outs, classification and codec.

    python benchmarks/client_overhead.py [--requests N] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

import httpx
import msgspec

from exchange.binance.client import BinanceClient
from exchange.secrets import Credentials, Secret

WARM_UP = 200
POSITION = {
    "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "0.010", "entryPrice": "60000.0",
    "breakEvenPrice": "60030.0", "markPrice": "60250.10000000", "unRealizedProfit": "2.50100000",
    "liquidationPrice": "54216.8", "isolatedMargin": "62.50100000", "isolatedWallet": "60.00000000",
    "notional": "602.50100000", "marginAsset": "USDT", "updateTime": 1764000000000,
}  # fmt: skip


class WallClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A keep-alive server with two answers: the time, and one position."""
    position = _response(json.dumps([POSITION]).encode())
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            now = json.dumps({"serverTime": WallClock().now_ms()}).encode()
            writer.write(_response(now) if b"/fapi/v1/time" in head else position)
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()  # cancelled: the run is over


def _response(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-mbx-used-weight-1m: 5\r\ncontent-length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


async def _timed(call: Callable[[], Awaitable[object]]) -> int:
    began = time.perf_counter_ns()
    await call()
    return time.perf_counter_ns() - began


async def measure(requests: int) -> dict[str, float]:
    """Microseconds of both, alternating so that both see the same machine."""
    bare_ns: list[int] = []
    ours_ns: list[int] = []
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, httpx.AsyncClient(trust_env=False) as bare:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        credentials = Credentials(api_key=Secret("key"), api_secret=Secret("secret"))
        ours = BinanceClient(base_url=url, clock=WallClock(), credentials=credentials)

        async def bare_call() -> object:
            response = await bare.get(f"{url}/fapi/v3/positionRisk?symbol=BTCUSDT")
            return msgspec.json.decode(response.content)

        async def our_call() -> object:
            return await ours.positions("BTCUSDT")

        for n in range(WARM_UP + requests):
            ours.http.budget.windows.all[0].used = 0  # the server never refuses, so the budget must not either
            bare_one, ours_one = await _timed(bare_call), await _timed(our_call)
            if n >= WARM_UP:
                bare_ns.append(bare_one)
                ours_ns.append(ours_one)
        await ours.aclose()
    return _figures(bare_ns, ours_ns)


def _figures(bare_ns: list[int], ours_ns: list[int]) -> dict[str, float]:
    figures: dict[str, float] = {"requests": len(bare_ns)}
    for name, pct in (("p50", 50), ("p99", 99)):
        bare, ours = (sorted(ns)[len(ns) * pct // 100] / 1_000 for ns in (bare_ns, ours_ns))
        figures |= {f"bare_{name}_us": round(bare, 1), f"client_{name}_us": round(ours, 1)}
        figures[f"ratio_{name}"] = round(ours / bare, 3)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="overhead of the Binance client over bare httpx, on loopback")
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    figures = asyncio.run(measure(arguments.requests))
    if arguments.json:
        print(json.dumps(figures))
        return
    for name in ("p50", "p99"):
        bare, ours, ratio = (figures[key] for key in (f"bare_{name}_us", f"client_{name}_us", f"ratio_{name}"))
        print(f"{name}: bare httpx {bare:7.1f} us   client {ours:7.1f} us   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
