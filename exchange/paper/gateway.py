"""Answers the bot on paper: questions about the market by the real exchange, everything about the account here.

While prices are not known, nothing is answered here: a request is dropped, or refused as the real exchange refused us.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil

from exchange.paper.feed import Feed
from exchange.paper.mirror import MIRRORED, Mirror
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.gateway import Answer, Gateway
from exchange.sim.server.params import Params
from exchange.sim.server.request_log import Entry, RequestLog

_TOO_MANY = -1003
_PAUSES = (418, 429)


class PaperGateway(Gateway):
    """``keep_time`` brings time and prices to where they are before anything is done."""

    def __init__(self, emulator: Emulator, feed: Feed, mirror: Mirror) -> None:
        super().__init__(emulator, RequestLog())
        self._live, self._feed, self._mirror = emulator, feed, mirror
        self.keep_time: Callable[[], Awaitable[None]] | None = None

    async def answer(self, method: str, path: str, query: str, body: str, api_key: str) -> Answer:
        """Raises ConnectionResetError where nothing comes back."""
        if method == "GET" and path in MIRRORED:
            return await self._mirrored(path, query)
        if self.keep_time is not None:
            await self.keep_time()
        symbol = Params.parse(query, body).text_or("symbol")
        known = symbol if symbol is not None and symbol in self._live.world.feeds else None
        if known is not None:
            self._feed.watch(known)
        if not self._feed.is_fresh(known):
            return self._unknown(method, path)
        return await super().answer(method, path, query, body, api_key)

    async def _mirrored(self, path: str, query: str) -> Answer:
        try:
            answer = await self._mirror.ask(path, query)
        except ConnectionResetError:
            self._noted("GET", path, 0, query)
            raise
        self._noted("GET", path, answer.status, query)
        return answer

    def _unknown(self, method: str, path: str) -> Answer:
        refused = self._feed.refused
        if refused is None:
            self._noted(method, path, 0)
            raise ConnectionResetError("prices are not known, so nothing is answered")
        status = _PAUSES[0] if refused.banned else _PAUSES[1]
        self._noted(method, path, status)
        headers = {"content-type": "application/json"}
        if refused.retry_after_ms:
            headers["retry-after"] = str(ceil(refused.retry_after_ms / 1_000))
        return Answer(status, {"code": _TOO_MANY, "msg": "The real exchange asks this address to wait."}, headers)

    def _noted(self, method: str, path: str, status: int, query: str = "") -> None:
        number, at_ms = self.requests.next_number(), self._live.now_ms
        params = dict(Params.parse(query, "").items())
        self.requests.add(Entry(number=number, at_ms=at_ms, method=method, path=path, params=params, status=status))
