"""A look at a symbol that the exchange says it does not have: what its lists of the whole account still show of it."""

from __future__ import annotations

from contextlib import suppress

from exchange.errors import Refusal
from exchange.port import Exchange
from exchange.types import AlgoOrder, LookRequest, SymbolSnapshot

LEDGER_MS = 7 * 86_400_000
"""So far back the ledger is read for how the position ended, where the look does not say since when."""


async def look_unlisted(exchange: Exchange, symbol: str, request: LookRequest, at_ms: int) -> SymbolSnapshot:
    """Lists and ledger of the whole account take no symbol; conditional orders are found by their ids alone."""
    orders = [order for order in await exchange.open_orders() if order.symbol == symbol]
    algos = {algo.client_id: algo for algo in await exchange.open_algos() if algo.symbol == symbol}
    for client_id in request.tracked:
        found: AlgoOrder | None = None
        with suppress(Refusal):
            found = algos.get(client_id) or await exchange.algo(symbol, client_id)
        if found is not None:
            algos[client_id] = found
    positions = [position for position in await exchange.positions() if position.symbol == symbol]
    since_ms = request.income_start_ms if request.income_start_ms is not None else at_ms - LEDGER_MS
    income = [row for row in await exchange.income(start_ms=since_ms) if row.symbol == symbol]
    return SymbolSnapshot(
        symbol=symbol,
        at_ms=at_ms,
        position=next(iter(positions), None),
        orders=tuple(orders),
        algo_orders=tuple(algos.values()),
        fills=(),
        account=await exchange.account() if request.with_account else None,
        income=tuple(income),
        unlisted=True,
    )
