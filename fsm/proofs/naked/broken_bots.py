"""Bots that were broken on purpose, one for each way in which positions have stood naked; its row must catch each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from exchange.binance import pausing
from exchange.types import Outcome, Refused, Unknown
from fsm.core import stop_route
from fsm.core.model.intents import ClosePosition, Intent, PlaceStop
from fsm.core.model.records import SymbolRecord
from fsm.core.states import closing
from fsm.live.context.observer import UnfeltObserver
from fsm.live.trading import looking
from fsm.live.trading.executor import Executor
from fsm.live.trading.lifeline import Lifeline
from fsm.live.trading.protection_timer import is_unsettled
from fsm.live.trading.stream_listener import StreamListener
from fsm.proofs.testkit.breaking import BrokenEngine, Replaced
from fsm.proofs.testkit.virtual_time import VirtualLoop

FOR_EVER_S = 300.0
THROWN_AWAY, THROWN_AWAY_S = 12, 4.0
BLOCKED_S = 10.0
MULTIPLIED = 5


class Caught(msgspec.Struct, frozen=True):
    """A broken bot and the row that catches it."""

    variant: BrokenEngine
    row: str


def _pauses_starve() -> list[Replaced]:
    return [(pausing, "PROBES_S", (FOR_EVER_S,) * 5)]


def _close_thrown_away() -> list[Replaced]:
    real: Callable[[Executor, Intent], Any] = Executor.do
    left: dict[str, int] = {}

    async def do(self: Executor, intent: Intent) -> Outcome:
        if isinstance(intent, ClosePosition) and left.setdefault(intent.request.symbol, THROWN_AWAY) > 0:
            left[intent.request.symbol] -= 1
            await asyncio.sleep(THROWN_AWAY_S)
            return Unknown("interrupted")
        outcome: Outcome = await real(self, intent)
        return outcome

    return [(Executor, "do", do)]


def _fill_unheard() -> list[Replaced]:
    return [(StreamListener, "hear", lambda self, event: None)]


def _retries_multiply() -> list[Replaced]:
    real: Callable[[Executor, Intent], Any] = Executor._do

    async def do(self: Executor, intent: Intent) -> Outcome:
        for _ in range(MULTIPLIED):
            outcome: Outcome = await real(self, intent)
            if not isinstance(intent, PlaceStop) or not isinstance(outcome, Refused):
                break
        return outcome

    async def at_once(self: Executor, intent: PlaceStop, **how: Any) -> Outcome:
        return await do(self, intent)

    return [(Executor, "hurry", at_once)]


def _route_not_doubted() -> list[Replaced]:
    return [(stop_route, "failed", lambda before, made: False)]


def _hand_unnamed() -> list[Replaced]:
    """Once a hand's doing is flagged nobody looks there any sooner than elsewhere."""
    real: Callable[..., bool] = is_unsettled

    def instead(record: SymbolRecord, *seen: Any) -> bool:
        return (record.trade is not None or record.quarantine is None) and real(record, *seen)

    return [(looking, "is_unsettled", instead)]


def _same_form() -> list[Replaced]:
    return [(closing, "failed", lambda trade, code, asked: trade)]


def _observer_blocks() -> list[Replaced]:
    real: Callable[[UnfeltObserver, Any], None] = UnfeltObserver.stepped

    def stepped(self: UnfeltObserver, step: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.jump(BLOCKED_S)
        real(self, step)

    return [(UnfeltObserver, "stepped", stepped)]


def _commit_waited_for() -> list[Replaced]:
    return [(Lifeline, "due", lambda self, now_s: [])]


def _stop_unhurried() -> list[Replaced]:
    """Whoever asks for it again waits for the same answer."""
    under_way: dict[str, asyncio.Task[Outcome]] = {}

    async def wait(self: Executor, intent: PlaceStop, **how: Any) -> Outcome:
        name = intent.request.client_id
        if name not in under_way or under_way[name].done():
            under_way[name] = asyncio.ensure_future(self._do(intent))
        return await asyncio.shield(under_way[name])

    return [(Executor, "hurry", wait)]


VARIANTS: dict[str, Caught] = {
    caught.variant.name: caught
    for caught in (
        Caught(BrokenEngine("pauses-starve", "a pause holds what protects up too", _pauses_starve), "firewall-once"),
        Caught(BrokenEngine("close-thrown-away", "a close on its way is thrown away", _close_thrown_away),
               "stop-refused"),
        Caught(BrokenEngine("fill-unheard", "the stream's word of a fill starts nothing", _fill_unheard),
               "unknown-entry"),
        Caught(BrokenEngine("retries-multiply", "a refused stop is sent again and again", _retries_multiply),
               "closed-while-moving"),
        Caught(BrokenEngine("route-not-doubted",
                            "a route that never confirms is tried with real entries "
                            "again and again",
                       _route_not_doubted), "route-gone"),
        Caught(BrokenEngine("hand-unnamed", "whoever turned a position round by hand hears of it late", _hand_unnamed),
               "flipped"),
        Caught(BrokenEngine("same-form", "a close that failed is repeated in the same form", _same_form),
               "close-too-large"),
        Caught(BrokenEngine("observer-blocks", "whoever watches holds up what it watches", _observer_blocks), "none"),
        Caught(BrokenEngine("commit-waited-for", "a stop waits for a commit that stalls", _commit_waited_for),
               "commit-30s"),
        Caught(BrokenEngine("stop-unhurried", "a stop without an answer is waited for", _stop_unhurried), "hang-stop"),
    )
}  # fmt: skip
"""Every broken bot by its name."""
