"""Passes public questions on to the real exchange, and its answers back as they are: nothing else ever leaves.

What is passed on is a GET of one of these paths with its parameters; no header of whoever asked, so no key. It goes to
the one address that was given, and redirections are not followed.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

import httpx

from exchange.binance.connections import Pool
from exchange.environment import is_loopback
from exchange.sim.server.gateway import Answer

MIRRORED = frozenset({
    "/fapi/v1/exchangeInfo",
    "/fapi/v1/klines",
    "/fapi/v1/markPriceKlines",
    "/fapi/v1/premiumIndex",
    "/fapi/v1/fundingRate",
    "/fapi/v1/fundingInfo",
    "/fapi/v1/ticker/bookTicker",
    "/fapi/v1/ticker/price",
    "/fapi/v2/ticker/price",
    "/fapi/v1/ticker/24hr",
    "/fapi/v1/depth",
    "/fapi/v1/openInterest",
})  # fmt: skip
SECRET = frozenset({"signature", "timestamp", "recvWindow", "listenKey"})
TIMEOUT_S = 10.0
_CONNECTIONS_MAX = 20
_PASSED_BACK = ("retry-after", "x-mbx-used-weight-1m", "date")


class Mirror:
    """Close it with ``aclose``."""

    def __init__(self, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        direct = is_loopback(base_url)
        self._pool = Pool(transport, most=_CONNECTIONS_MAX, wait_s=TIMEOUT_S, trust_env=not direct)

    async def aclose(self) -> None:
        await self._pool.client.aclose()

    async def ask(self, path: str, query: str) -> Answer:
        """Raises ConnectionResetError where there is no answer."""
        if any(name in SECRET for name, _ in parse_qsl(query, keep_blank_values=True)):
            return Answer(400, {"code": -1101, "msg": "Too many parameters; public questions are not signed."})
        url = f"{self._base_url}{path}{'?' if query else ''}{query}"
        try:
            async with asyncio.timeout(TIMEOUT_S), self._pool.place():
                response, body = await self._pool.send(self._pool.client.build_request("GET", url, timeout=TIMEOUT_S))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, RuntimeError) as error:
            raise ConnectionResetError(f"{path}: {type(error).__name__} {error}") from None
        headers = {name: response.headers[name] for name in _PASSED_BACK if name in response.headers}
        headers["content-type"] = response.headers.get("content-type", "application/json")
        return Answer(response.status_code, body.decode("utf-8", "replace"), headers)
