"""Proves, before the first entry of a session, that a conditional order can be placed, found and cancelled (R1)."""

from __future__ import annotations

from enum import StrEnum

import structlog

from exchange.client_ids import Leg, client_id
from exchange.errors import ExchangeError
from exchange.filters import Rounding
from exchange.types import AlgoRequest, ConditionalType, Outcome, Refused, Side, Unknown
from fsm.live.shared import Shared

log = structlog.get_logger("fsm.selftest")

FAR_PCT = 20
"""How far below the mark the test stop lies: it must not trigger in the seconds that it rests."""

ROUTE_WORKS = frozenset({-4509, -2022})
"""Refused only because there is no position to reduce: the route itself works (error catalogue, checked 2026-11)."""

ATTEMPTS = 3
PAUSE_S = 1.0


class Readiness(StrEnum):
    PROVED = "PROVED"
    ROUTE_WORKS = "ROUTE_WORKS"
    NOT_READY = "NOT_READY"
    UNKNOWN = "UNKNOWN"


async def self_test(shared: Shared, symbol: str) -> tuple[Readiness, str]:
    """Place a far reduce-only stop on a flat symbol, read it back, cancel it. It can never open a position."""
    readiness, detail = Readiness.UNKNOWN, ""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            readiness, detail = await _once(shared, symbol, attempt)
        except ExchangeError as error:
            readiness, detail = Readiness.UNKNOWN, str(error)
        if readiness is not Readiness.UNKNOWN:
            break
        await shared.clock.sleep(PAUSE_S)
    shared.books.note(shared.clock.now_ms(), "SELF_TEST", readiness.value, symbol=symbol, detail=detail)
    log.info("self_test", symbol=symbol, reason=readiness.value, detail=detail)
    return readiness, detail


async def _once(shared: Shared, symbol: str, attempt: int) -> tuple[Readiness, str]:
    exchange = shared.exchange
    request = await _far_stop(shared, symbol, attempt)
    shared.books.note(shared.clock.now_ms(), "SELF_TEST_SENT", request.client_id, symbol=symbol)
    outcome = await exchange.place_algo(request)
    if isinstance(outcome, Refused):
        ready = Readiness.ROUTE_WORKS if outcome.code in ROUTE_WORKS else Readiness.NOT_READY
        return ready, f"{outcome.code}: {outcome.message}"
    found = await exchange.algo(symbol, request.client_id)
    cancelled: Outcome = await exchange.cancel_algo(symbol, request.client_id)
    if isinstance(outcome, Unknown) or found is None or isinstance(cancelled, Unknown):
        return Readiness.UNKNOWN, f"placed: {outcome}, found: {found is not None}, cancelled: {cancelled}"
    after = await exchange.algo(symbol, request.client_id)
    if after is not None and after.status.is_open:
        return Readiness.NOT_READY, f"{request.client_id} is still open after it was cancelled"
    return Readiness.PROVED, request.client_id


async def _far_stop(shared: Shared, symbol: str, attempt: int) -> AlgoRequest:
    filters, in_force = shared.in_force.filters[symbol], shared.in_force
    mark = (await shared.exchange.mark_price(symbol)).mark_price
    trigger = filters.round_price(mark * (100 - FAR_PCT) / 100, Rounding.DOWN)
    least = max(filters.market_quantity_min, filters.notional_min / trigger + filters.market_quantity_min)
    started_s = shared.clock.now_ms() // 1000
    return AlgoRequest(
        symbol=symbol,
        side=Side.SELL,
        type=ConditionalType.STOP_MARKET,
        trigger_price=trigger,
        working_type=in_force.policy.working_type,
        client_id=client_id(in_force.database_id, symbol, 0, Leg.PROBE, started_s, attempt),
        quantity=filters.floor_quantity(least, market=True),
        reduce_only=True,
    )
