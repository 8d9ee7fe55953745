"""How often each symbol is charged funding: asked for beside the filters, which never wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import TypeVar

from msgspec.structs import replace

from exchange.binance import codec_market, endpoints
from exchange.binance.http import Http
from exchange.errors import ExchangeError
from exchange.filters import FUNDING_HOURS, SymbolFilters

WAIT_S = 0.5
"""So much later than the filters the answer may come: a stop may be waiting for its tick."""

T = TypeVar("T")


class FundingIntervals:
    """The last known ones hold where the exchange does not answer."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._hours: Mapping[str, int] = {}

    async def beside(self, answer: Awaitable[T]) -> T:
        """Ask while another answer is awaited. Raises what that one raises, and nothing of its own."""
        asked = asyncio.create_task(self._ask())
        try:
            found = await answer
            await asyncio.wait({asked}, timeout=WAIT_S)
            return found
        finally:
            asked.cancel()

    def put_into(self, filters: Mapping[str, SymbolFilters]) -> dict[str, SymbolFilters]:
        return {
            name: replace(found, funding_interval_hours=self._hours.get(name, FUNDING_HOURS))
            for name, found in filters.items()
        }

    async def _ask(self) -> None:
        with suppress(ExchangeError):
            self._hours = codec_market.funding_intervals(await self._http.call(endpoints.FUNDING_INFO))
