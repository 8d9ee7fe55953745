"""How an engine is broken on purpose: functions of the core are replaced while a variant is in force, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from fsm.core import decide, engine
from fsm.core.model.decision import Decision
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import SymbolEvent
from fsm.core.model.records import SymbolRecord

Replaced = tuple[object, str, Any]
"""A module or class, the name in it, and what stands there instead."""


class BrokenEngine(msgspec.Struct, frozen=True):
    """One broken engine: what is wrong with it in a sentence, and how it is made."""

    name: str
    fault: str
    parts: Callable[[], list[Replaced]]
    resends_entries: bool = False


@contextmanager
def broken(variant: BrokenEngine | None) -> Iterator[None]:
    """The core with this fault, and whole again afterwards. None breaks nothing."""
    parts = variant.parts() if variant is not None else []
    whole = [(place, name, getattr(place, name)) for place, name, _ in parts]
    try:
        for place, name, instead in parts:
            setattr(place, name, instead)
        yield
    finally:
        for place, name, original in whole:
            setattr(place, name, original)


def judged(
    change: Callable[[Any, SymbolRecord, SymbolEvent, Portfolio, DecisionContext], Decision | None],
) -> list[Replaced]:
    """The engine asks ``change`` instead of the judge; it is given the real one first."""
    real = decide.decide

    def instead(
        record: SymbolRecord, event: SymbolEvent, portfolio: Portfolio, context: DecisionContext
    ) -> Decision | None:
        return change(real, record, event, portfolio, context)

    return [(engine, "decide", instead)]
