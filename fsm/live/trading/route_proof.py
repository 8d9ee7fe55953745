"""Proves again that stops can be placed, after a position that got none: until then nothing is entered (R60)."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from fsm.core import stop_route
from fsm.core.model.events import Commanded
from fsm.core.model.records import HaltCause, RouteDoubt
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.wording import because
from fsm.live.trading.proof_of_stops import AGAIN_S, Say
from fsm.live.trading.reconcile import Reconciler
from fsm.live.trading.selftest import Readiness, is_flat, self_test
from fsm.live.trading.symbol_worker import SymbolWorker

log = structlog.get_logger("fsm.selftest")

POLL_S = 1.0


class RouteProof:
    """The doubt itself is the account's, journalled by the engine; here it is tested while flat, and told."""

    def __init__(
        self, live: LiveContext, workers: Mapping[str, SymbolWorker], reconciler: Reconciler, say: Say
    ) -> None:
        self._live = live
        self._reconciler = reconciler
        self._workers = workers
        self._say = say
        self._known: RouteDoubt | None = None
        self._told_ms: int | None = None
        self._attempts = 0
        self._again_s = float("-inf")

    async def run(self) -> None:
        """Once a second is often enough: nothing is entered meanwhile."""
        while True:
            await self._live.clock.sleep(POLL_S)
            await self.once()

    async def once(self) -> None:
        doubt = self._live.engine.account.route
        if doubt is None and self._known is not None:
            self._over()
        elif doubt is not None and (self._known is None or self._known.since_ms != doubt.since_ms):
            self._begun(doubt)
        self._known = doubt
        self._tell_halt()
        now_s = self._live.clock.monotonic()
        if doubt is not None and not doubt.proof and now_s >= self._again_s:
            await self._test()

    def _begun(self, doubt: RouteDoubt) -> None:
        """Entries that wait at the exchange are taken back: they could fill into the same."""
        self._attempts, self._again_s = 0, float("-inf")
        at_ms = self._live.clock.now_ms()
        for symbol, worker in self._workers.items():
            worker.handle(Commanded(symbol=symbol, at_ms=at_ms, command="withdraw", cause=stop_route.UNPROVED))
        text = (
            f"{doubt.symbol} got no stop, because {because(doubt.reason)}. Nothing is entered before it is proved "
            "again that stops can be placed, which is tested as soon as nothing waits for its stop."
        )
        self._say("reconciliation_anomaly", text, key=f"route {doubt.since_ms}")

    def _tell_halt(self) -> None:
        halt = self._live.engine.account.halt
        if halt is None or halt.cause != HaltCause.PROTECTION or self._told_ms == halt.since_ms:
            return
        self._told_ms = halt.since_ms
        text = "Positions got no stop in time twice, with none confirmed between: nothing is entered until `resume`. "
        text += "`doctor` says whether stops can be placed."
        self._say("kill_switch", text, key=f"route halt {halt.since_ms}")

    def _over(self) -> None:
        self._say("lifecycle", "A stop was confirmed: entries are as before.", key=f"route {self._live.clock.now_ms()}")

    async def _test(self) -> None:
        symbol = self._flat_symbol()
        if symbol is None:
            return
        readiness, detail = await self_test(self._live, symbol)
        self._again_s = self._live.clock.monotonic() + AGAIN_S[min(self._attempts, len(AGAIN_S) - 1)]
        self._attempts += 1
        doubt = self._live.engine.account.route
        if not readiness.is_enough or doubt is None:
            log.warning("route_unproved", symbol=symbol, reason=readiness.value, detail=detail)
            return
        self._live.engine.prove_route(self._live.clock.now_ms(), readiness.value)
        how = "of the smallest size in one symbol, until its stop is confirmed" if _is_half(readiness) else "as before"
        text = f"It was tested that stops can be placed: entries are allowed again, {how}."
        self._say("reconciliation_anomaly", text, key=f"route {doubt.since_ms} {readiness.value}")

    def _flat_symbol(self) -> str | None:
        """One after the other, of those where nothing is open; none while a position waits for its stop or close."""
        live, engine, filters = self._live, self._live.engine, self._live.active.filters
        if any((trade := engine.record(name).trade) and trade.protected_ms is None for name in engine.active()):
            return None
        flat = [name for name in self._workers if filters[name].tradable and is_flat(live, self._reconciler, name)]
        return flat[self._attempts % len(flat)] if flat else None


def _is_half(readiness: Readiness) -> bool:
    return readiness is Readiness.ROUTE_WORKS
