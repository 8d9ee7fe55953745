"""The order in which the intents of one committed row are carried out, live and in a backtest alike.

A pure generator says what is next; whoever carries it out sends back what became of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from enum import Enum

import msgspec

from exchange.types import Confirmed, Outcome
from fsm.core.model.intents import ClosePosition, Intent, Look, PlaceStop, PlaceTarget
from fsm.core.model.records import State

HOLDING = (State.ENTERING, State.PROTECTED)

Named = tuple[str, Intent]


class Act(Enum):
    SEND = "send"
    LOOK = "look"
    LEAVE_OUT = "leave out"
    """Never sent: what it was for has failed or is over."""


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with which intent. ``in_haste``: a look for a stop that was just accepted."""

    act: Act
    name: str
    intent: Intent
    in_haste: bool = False


def in_order(row: deque[Named], state: Callable[[], State]) -> Generator[Next, Outcome | None, None]:
    """Send back the outcome of what was sent; None where nobody waits for it any longer, and for everything else.

    A stop that is not confirmed drops what follows it, up to the row's own look. One that is accepted is read back
    before targets are placed: they can wait, a position without a confirmed stop cannot. Where that look shows the
    position gone, there is nothing left to place them for. What is in ``row`` was not begun; a look stays in it until
    it was taken.
    """
    broken = covered = False
    while row:
        name, intent = row[0]
        if isinstance(intent, Look):
            yield Next(act=Act.LOOK, name=name, intent=intent, in_haste=covered)
            _drop(row, (name, intent))
        elif broken or (isinstance(intent, PlaceTarget) and state() not in HOLDING):
            row.popleft()
            yield Next(act=Act.LEAVE_OUT, name=name, intent=intent)
        elif covered and isinstance(intent, PlaceTarget) and (look := _look_in(row)) is not None:
            yield Next(act=Act.LOOK, name=look[0], intent=look[1], in_haste=True)
            _drop(row, look)
            broken = state() not in HOLDING
        else:
            row.popleft()
            outcome = yield Next(act=Act.SEND, name=name, intent=intent)
            covered = isinstance(outcome, Confirmed) if isinstance(intent, PlaceStop) else covered
            broken = outcome is None or (isinstance(intent, PlaceStop) and not covered)


def following(order: Generator[Next, Outcome | None, None], outcome: Outcome | None) -> Next | None:
    """What is next after this outcome; None at the end of the row."""
    try:
        return order.send(outcome)
    except StopIteration:
        return None


def closes_first(intents: Iterable[Named]) -> Iterable[Named]:
    """While nothing covers the position its close leaves first; what may be in its way is cancelled after it."""
    return sorted(intents, key=lambda named: not isinstance(named[1], ClosePosition))


def _look_in(row: Iterable[Named]) -> Named | None:
    return next((named for named in row if isinstance(named[1], Look)), None)


def _drop(row: deque[Named], taken: Named) -> None:
    """It may be gone already: a row is given up while its look is being taken."""
    if taken in row:
        row.remove(taken)
