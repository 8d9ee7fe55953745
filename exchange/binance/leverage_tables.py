"""Asks for the leverage brackets of symbols as the exchange writes them, with a key and once: for the store."""

from __future__ import annotations

from collections.abc import Collection

from exchange.binance import endpoints, fields
from exchange.binance.http import Http
from exchange.clock import Clock
from exchange.errors import Refusal
from exchange.priority import Priority
from exchange.secrets import Credentials

_NO_SUCH_SYMBOL = -1121


async def leverage_tables(
    url: str, clock: Clock, credentials: Credentials, symbols: Collection[str]
) -> tuple[int, dict[str, fields.Row]]:
    """When it was asked, and the entries of those symbols that it lists. Raises ExchangeError."""
    http = Http(base_url=url, clock=clock, credentials=credentials)
    found: dict[str, fields.Row] = {}
    try:
        now_ms = await http.server_time_ms(Priority.BULK)
        for symbol in symbols:
            try:
                answer = await http.call(endpoints.LEVERAGE_BRACKET, {"symbol": symbol}, priority=Priority.BULK)
            except Refusal as error:
                if error.code != _NO_SUCH_SYMBOL:
                    raise
                continue
            rows = fields.rows(answer, endpoints.LEVERAGE_BRACKET.name)
            found |= {str(row.get("symbol")): row for row in rows}
    finally:
        await http.aclose()
    return now_ms, {symbol: found[symbol] for symbol in symbols if symbol in found}
