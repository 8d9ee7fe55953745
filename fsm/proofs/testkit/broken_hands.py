"""Deliberately broken engines that mistake what the list of symbols says, or what the operator's hands did."""

from __future__ import annotations

from typing import Any

from exchange.client_ids import parse
from fsm.core import by_hand as hands
from fsm.core import commands, engine
from fsm.core.leaving import begin_exit
from fsm.core.model.decision import Decision, Rejected
from fsm.core.model.events import SymbolObserved
from fsm.core.model.records import State
from fsm.core.states import resting
from fsm.proofs.testkit.breaking import BrokenEngine, Replaced


def _list_does_not_block() -> list[Replaced]:
    def instead(self: Any, symbol: str) -> str:
        return self.account.halt.cause if self.account.halt is not None else ""

    return [(engine.Engine, "_blocked", instead)]


def _left_is_closed() -> list[Replaced]:
    """A symbol that is traded no more is got rid of at the next look."""
    real = engine.Engine.handle

    def instead(self: Any, event: Any, **more: Any) -> Any:
        record = self.record(event.symbol)
        if record.state is State.PROTECTED and isinstance(event, SymbolObserved) and self._blocked_for(event.symbol):
            return self._fire(event.symbol, begin_exit(record, "NOT_LISTED", self.context(event.symbol)), event)
        return real(self, event, **more)

    return [(engine.Engine, "handle", instead)]


def _left_is_forgotten() -> list[Replaced]:
    real = engine.Engine.handle

    def instead(self: Any, event: Any, **more: Any) -> Any:
        forgets = isinstance(event, SymbolObserved) and self._blocked_for(event.symbol)
        return [] if forgets else real(self, event, **more)

    return [(engine.Engine, "handle", instead)]


def _released_keeps_targets() -> list[Replaced]:
    """As before: whose cancel was lost stays for ever beside what was handed over."""
    return [(resting, "_no_protection", lambda *given: ())]


def _released_is_adopted() -> list[Replaced]:
    """What rests of ours beside a position makes it ours, whoever has it by now."""
    return [(resting, "_unbooked", lambda client_id, *rest: parse(client_id))]


def _wish_without_an_answer() -> list[Replaced]:
    real = hands.by_hand

    def instead(*given: Any) -> Decision | None:
        try:
            return real(*given)
        except Rejected:
            return None

    return [(commands, "by_hand", instead)]


BROKEN_HANDS = (
    BrokenEngine("list-does-not-block", "what is off the list is entered all the same", _list_does_not_block),
    BrokenEngine("left-is-closed", "a trade is closed because its symbol left the list", _left_is_closed),
    BrokenEngine("left-is-forgotten", "a symbol that left the list is looked after no more", _left_is_forgotten),
    BrokenEngine(
        "released-keeps-targets",
        "a target whose cancel was lost stays beside what was released",
        _released_keeps_targets,
    ),
    BrokenEngine("released-is-adopted", "what was released is taken over again", _released_is_adopted),
    BrokenEngine("wish-without-an-answer", "a wish that cannot be is let pass in silence", _wish_without_an_answer),
)
"""They stand among all others in VARIANTS."""
