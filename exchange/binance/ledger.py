"""Reads executions, past orders and the income ledger completely, whichever end of a full page the exchange cuts off.

GET /fapi/v1/userTrades: window of at most 7 days, 1000 rows, 3 months of history since 2026-08-26.
GET /fapi/v1/income: 1000 rows, 3 months; tranId is unique only within an incomeType (checked 2026-11).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from exchange.binance import codec_account, codec_orders, endpoints
from exchange.binance.http import Http
from exchange.errors import MalformedReply, Refusal, Unreachable
from exchange.priority import Priority
from exchange.refusals import RefusalReason
from exchange.types import Fill, Income, Order

PAGE_MAX = 1_000
WINDOW_MS = 7 * 86_400_000 - 1
HISTORY_MS = 89 * 86_400_000
"""A day less than three months; older rows are gone, so they are not asked for."""

REQUESTS_MAX = 300
"""Far more than three months of a busy account take; reaching it means that the paging does not converge."""

log = logging.getLogger(__name__)

T = TypeVar("T", Fill, Income, Order)


class Ledger:
    """What was executed and what it cost."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def fills(
        self, symbol: str, *, after_fill_id: int | None, start_ms: int | None, priority: Priority | None = None
    ) -> list[Fill]:
        """Executions after a fill id, or from a time on, or of the last 7 days; oldest first. A row of quantity 0 is
        none, whatever its id: the next question would begin behind it."""
        if after_fill_id is not None:
            return [fill for fill in await self._fills_after(symbol, after_fill_id, priority) if fill.quantity]
        now_ms = await self._http.server_time_ms(priority)

        async def page(first_ms: int, last_ms: int) -> list[Fill]:
            times = {"startTime": str(first_ms), "endTime": str(last_ms)}
            return await self._fill_page(symbol, times, priority)

        found = await _everything(page, now_ms - WINDOW_MS if start_ms is None else start_ms, now_ms, now_ms)
        return sorted({fill for fill in found if fill.quantity}, key=lambda fill: fill.fill_id)

    async def income(self, *, start_ms: int, end_ms: int | None, symbol: str | None) -> list[Income]:
        """Every row of the ledger in the span, oldest first."""
        now_ms = await self._http.server_time_ms()

        async def page(first_ms: int, last_ms: int) -> list[Income]:
            params = {"startTime": str(first_ms), "endTime": str(last_ms), "limit": str(PAGE_MAX)}
            if symbol is not None:
                params["symbol"] = symbol
            return codec_account.income(await self._http.call(endpoints.INCOME, params))

        found = await _everything(page, start_ms, now_ms if end_ms is None else end_ms, now_ms)
        wanted = {row for row in found if symbol is None or row.symbol in ("", symbol)}
        return sorted(wanted, key=lambda row: (row.time_ms, row.transaction_id, row.income_type))

    async def income_if_served(self, *, start_ms: int, symbol: str) -> list[Income]:
        """The same, or nothing where the exchange serves no ledger: no trade waits for rows that never come."""
        try:
            return await self.income(start_ms=start_ms, end_ms=None, symbol=symbol)
        except Refusal as refusal:
            if refusal.reason is not RefusalReason.OTHER:
                raise
            log.warning("the ledger of %s was not told: %s", symbol, refusal)
            return []

    async def past_orders(self, symbol: str, *, start_ms: int) -> list[Order]:
        """GET /fapi/v1/allOrders: every order that was made in the span, in the order of their ids. One that ended
        without a fill is gone after three days (checked 2026-11)."""
        now_ms = await self._http.server_time_ms()

        async def page(first_ms: int, last_ms: int) -> list[Order]:
            params = {"symbol": symbol, "startTime": str(first_ms), "endTime": str(last_ms), "limit": str(PAGE_MAX)}
            return codec_orders.orders(await self._http.call(endpoints.ALL_ORDERS, params))

        found = await _everything(page, start_ms, now_ms, now_ms)
        return sorted(set(found), key=lambda order: order.order_id)

    async def _fills_after(self, symbol: str, after_fill_id: int, priority: Priority | None) -> list[Fill]:
        """By id: ids rise, and fromId is inclusive and excludes times (checked 2026-11)."""
        found: list[Fill] = []
        last_id = after_fill_id
        for _ in range(REQUESTS_MAX):
            page = await self._fill_page(symbol, {"fromId": str(last_id + 1)}, priority)
            fresh = sorted((fill for fill in page if fill.fill_id > last_id), key=lambda fill: fill.fill_id)
            shown = {fill.fill_id for fill in page}
            if page and not fresh and (last_id not in shown or len(page) >= PAGE_MAX):
                raise MalformedReply(
                    f"userTrades {symbol}: fills at or before id {last_id} although later were asked for"
                )
            found += fresh
            if len(page) < PAGE_MAX:
                return found
            last_id = fresh[-1].fill_id
        raise Unreachable(f"userTrades {symbol}: more than {REQUESTS_MAX} pages after id {after_fill_id}")

    async def _fill_page(self, symbol: str, params: dict[str, str], priority: Priority | None) -> list[Fill]:
        asked = {"symbol": symbol, "limit": str(PAGE_MAX), **params}
        payload = await self._http.call(endpoints.USER_TRADES, asked, priority=priority)
        return [fill for fill in codec_account.fills(payload) if fill.symbol == symbol]


async def _everything(
    page: Callable[[int, int], Awaitable[list[T]]], start_ms: int, end_ms: int, now_ms: int
) -> list[T]:
    """All rows of [start, end]: weeks, and halves of a week whenever a page comes back full."""
    start_ms = max(start_ms, now_ms - HISTORY_MS)
    spans = [(first, min(first + WINDOW_MS, end_ms)) for first in range(start_ms, end_ms + 1, WINDOW_MS + 1)]
    spans.reverse()
    found: list[T] = []
    for _ in range(REQUESTS_MAX):
        if not spans:
            return found
        first_ms, last_ms = spans.pop()
        rows = await page(first_ms, last_ms)
        if len(rows) < PAGE_MAX:
            found += rows
        elif first_ms == last_ms:
            raise Unreachable(f"more than {PAGE_MAX} rows within millisecond {first_ms}: they cannot all be read")
        else:
            middle_ms = (first_ms + last_ms) // 2
            spans += [(middle_ms + 1, last_ms), (first_ms, middle_ms)]
    raise Unreachable(f"more than {REQUESTS_MAX} requests for the rows from {start_ms} to {end_ms}")
