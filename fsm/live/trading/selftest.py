"""Proves, before the first entry of a session, that a conditional order can be placed, found and cancelled (R1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from exchange.client_ids import Leg, client_id
from exchange.errors import ExchangeError
from exchange.filters import Rounding, SymbolFilters
from exchange.port import Exchange
from exchange.refusals import RefusalReason
from exchange.types import AlgoOrder, AlgoRequest, ConditionalType, Outcome, Refused, Side, Unknown, WorkingType
from fsm.core.refusals import PERMISSION
from fsm.live.context.clock import Clock
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.reconcile import Reconciler

log = structlog.get_logger("fsm.selftest")

FAR_PCT = 20
"""How far below the mark the test stop lies: it must not trigger in the seconds that it rests."""

NEARER_PCT = (FAR_PCT, 8, 3)
"""Where the exchange takes none so far away (-4210, -4211 and the like), it is tried nearer."""

ROUTE_WORKS = frozenset({RefusalReason.NO_POSITION, RefusalReason.NOTHING_TO_REDUCE})
"""Refused only because there is no position to reduce: the route itself works."""

MAY_BE_TOO_FAR = frozenset({RefusalReason.OTHER, RefusalReason.PRICE_TOO_LOW, RefusalReason.PRICE_TOO_FAR})

ATTEMPTS = 3
PAUSE_S = 1.0

LAG_S_MAX = 5.0
LAG_PAUSE_S = 0.5
"""How long and how often a trial stop that was accepted is looked for: an exchange may show it seconds later."""


class Readiness(StrEnum):
    PROVED = "PROVED"
    ROUTE_WORKS = "ROUTE_WORKS"
    NOT_READY = "NOT_READY"
    NOT_NOW = "NOT_NOW"
    UNKNOWN = "UNKNOWN"

    @property
    def is_enough(self) -> bool:
        """Stops can be placed, as far as this can be known while flat."""
        return self in (Readiness.PROVED, Readiness.ROUTE_WORKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A far reduce-only stop on a flat symbol: placed, read back, cancelled. It can never open a position.

    ``before_sending`` hears of each client id before it leaves.
    """

    exchange: Exchange
    clock: Clock
    filters: SymbolFilters
    working_type: WorkingType
    database_id: str
    before_sending: Callable[[str], None] = lambda client_id: None

    async def run(self) -> tuple[Readiness, str, RefusalReason | None]:
        """How ready the exchange is, what it said, and why it refused. A few attempts where nobody knows."""
        readiness, detail, reason = Readiness.UNKNOWN, "", None
        nearer = 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                readiness, detail, reason = await self._once(attempt, NEARER_PCT[nearer])
            except ExchangeError as error:
                readiness, detail, reason = Readiness.UNKNOWN, str(error), None
            if readiness is Readiness.NOT_NOW and reason in MAY_BE_TOO_FAR:
                nearer = min(nearer + 1, len(NEARER_PCT) - 1)
            elif readiness is not Readiness.UNKNOWN:
                break
            await self.clock.sleep(PAUSE_S)
        return readiness, detail, reason

    async def _once(self, attempt: int, away_pct: int) -> tuple[Readiness, str, RefusalReason | None]:
        exchange, symbol = self.exchange, self.filters.symbol
        request = await self._far_stop(attempt, away_pct)
        self.before_sending(request.client_id)
        outcome = await exchange.place_algo(request)
        if isinstance(outcome, Refused):
            return _meaning(outcome.reason), f"{outcome.code}: {outcome.message}", outcome.reason
        found, why = await self._found(request.client_id)
        cancelled: Outcome = await exchange.cancel_algo(symbol, request.client_id)
        if found is None or isinstance(cancelled, Unknown):  # one that is found was placed, whatever was answered
            seen = why or str(found is not None)
            return Readiness.UNKNOWN, f"placed: {outcome}, found: {seen}, cancelled: {cancelled}", None
        after = await self._shown(request.client_id, open_still=False)
        if after is not None and after.status.is_open:
            return Readiness.NOT_NOW, f"{request.client_id} is still open after it was cancelled", None
        return Readiness.PROVED, request.client_id, None

    async def _found(self, client_id: str) -> tuple[AlgoOrder | None, str]:
        """The trial stop, or why it could not be asked for: it is cancelled all the same."""
        try:
            return await self._shown(client_id), ""
        except ExchangeError as error:
            return None, str(error)

    async def _shown(self, client_id: str, *, open_still: bool = True) -> AlgoOrder | None:
        """The order as the exchange shows it, which may lag some seconds behind what it has answered."""
        until_s = self.clock.monotonic() + LAG_S_MAX
        while True:
            shown = await self.exchange.algo(self.filters.symbol, client_id) or await self._listed(client_id)
            is_told = shown is not None if open_still else shown is None or not shown.status.is_open
            if is_told or self.clock.monotonic() >= until_s:
                return shown
            await self.clock.sleep(LAG_PAUSE_S)

    async def _listed(self, client_id: str) -> AlgoOrder | None:
        open_algos = await self.exchange.open_algos(self.filters.symbol)
        return next((algo for algo in open_algos if algo.client_id == client_id), None)

    async def _far_stop(self, attempt: int, away_pct: int) -> AlgoRequest:
        symbol, started_s = self.filters.symbol, self.clock.now_ms() // 1000
        return await far_stop(
            self.exchange,
            self.filters,
            working_type=self.working_type,
            client_id=client_id(self.database_id, symbol, 0, Leg.PROBE, started_s, attempt),
            away_pct=away_pct,
        )


async def far_stop(
    exchange: Exchange,
    filters: SymbolFilters,
    *,
    working_type: WorkingType,
    client_id: str,
    side: Side = Side.SELL,
    away_pct: int = FAR_PCT,
) -> AlgoRequest:
    """A reduce-only stop of the least size, too far from the mark to be hit."""
    mark = (await exchange.mark_price(filters.symbol)).mark_price
    away, rounding = (-away_pct, Rounding.DOWN) if side is Side.SELL else (away_pct, Rounding.UP)
    trigger = filters.round_price(mark * (100 + away) / 100, rounding)
    least = max(filters.market_quantity_min, filters.notional_min / trigger + filters.market_quantity_min)
    return AlgoRequest(
        symbol=filters.symbol,
        side=side,
        type=ConditionalType.STOP_MARKET,
        trigger_price=trigger,
        working_type=working_type,
        client_id=client_id,
        quantity=filters.floor_quantity(least, market=True),
        reduce_only=True,
    )


def _meaning(reason: RefusalReason) -> Readiness:
    """Only what is lasting by its nature means that stops cannot be placed here; everything else is tried again."""
    if reason in ROUTE_WORKS:
        return Readiness.ROUTE_WORKS
    return Readiness.NOT_READY if reason in PERMISSION else Readiness.NOT_NOW


def is_flat(live: LiveContext, reconciler: Reconciler, symbol: str) -> bool:
    """Nothing is open there, whoever it belongs to: a trial stop that fired would take something of it."""
    return live.engine.record(symbol).trade is None and symbol not in reconciler.held


async def self_test(live: LiveContext, symbol: str) -> tuple[Readiness, str]:
    """The probe of a session's start, journalled."""

    with live.on_trial.placing() as on_trial:

        def note(client_id: str) -> None:
            on_trial(client_id)
            live.journal.note(live.clock.now_ms(), "SELF_TEST_SENT", client_id, symbol=symbol)

        active = live.active
        readiness, detail, _ = await Probe(
            exchange=live.exchange,
            clock=live.clock,
            filters=active.filters[symbol],
            working_type=active.settings.orders.working_type,
            database_id=active.database_id,
            before_sending=note,
        ).run()
    live.journal.note(live.clock.now_ms(), "SELF_TEST", readiness.value, symbol=symbol, detail=detail)
    log.info("self_test", symbol=symbol, reason=readiness.value, detail=detail)
    return readiness, detail
