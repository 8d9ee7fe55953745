"""Keeps connections to one address, and hands out places on them: first come, first served, for a limited wait.

The pool of httpx would queue too, but in time that grows with the square of the queue, and with time stamps that were
signed before they waited. So nobody comes to it without a place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from exchange.certificates import trusted

_IDLE_S_MAX = 20.0  # drop idle connections before the far side does
_KEPT_MAX = 20
_BODY_BYTES_MAX = 32 * 1024 * 1024  # exchangeInfo is about 1 MB


class Pool:
    """``most`` connections at once; whoever finds none free within ``wait_s`` was not sent. ``kept_free`` are as many
    more for what is urgent: a position without a stop waits for no connection behind those that hang."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport | None,
        *,
        most: int,
        wait_s: float,
        trust_env: bool,
        kept_free: int = 0,
    ) -> None:
        limits = httpx.Limits(
            max_connections=most + kept_free, max_keepalive_connections=_KEPT_MAX, keepalive_expiry=_IDLE_S_MAX
        )
        self.client = httpx.AsyncClient(
            transport=transport, trust_env=trust_env, limits=limits, verify=trusted(trust_env)
        )
        self._places = asyncio.Semaphore(most)
        self._kept_free = asyncio.Semaphore(kept_free)
        self._wait_s = wait_s

    @asynccontextmanager
    async def place(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """A connection to be used inside. Raises httpx.PoolTimeout."""
        places = self._kept_free if urgent and not self._kept_free.locked() else self._places
        try:
            async with asyncio.timeout(self._wait_s):
                await places.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(f"no connection was free for {self._wait_s} s") from None
        try:
            yield
        finally:
            places.release()

    async def send(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        """The answer and its body. Raises httpx's errors, and RuntimeError once it is closed."""
        response = await self.client.send(request, stream=True)
        try:
            return response, await _limited_body(response)
        finally:
            await response.aclose()


async def _limited_body(response: httpx.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _BODY_BYTES_MAX:
            raise httpx.ReadError(f"the answer is larger than {_BODY_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
