"""Finds over arrays the first candle at which the rules of an open trade may ask for something."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from rules.definition import ManageDefinition
from rules.facts import FactTable
from rules.language.arrays import TRUE, FloatArray, finite, numbers
from rules.strategy import SideName, SideRules, Strategy

FORESEEN = ("break_even_at_r", "break_even_lock_r", "exit_after_candles", "exit_on_opposite", "exit_on_regime_end")
"""Keys of ``manage`` of which it is known before at which candles they may matter."""

_UNFORESEEN = [field for field in msgspec.structs.fields(ManageDefinition) if field.name not in FORESEEN]

CHUNKS = (32, 128, 512)
"""Candles that are looked at together: few at first, since most trades are short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTrade:
    """An open trade as its rules see it. ``held_from`` is the index of the candle at which it was held for 0 candles.

    ``move_min``: a stop that is moved by less than this (in price) stays where it is.
    """

    strategy: str
    side: SideName
    entry: float
    stop: float
    risk: float
    held_from: int
    move_min: float


def first_asked(table: FactTable, trade: OpenTrade, first: int, until: int) -> int:
    """Index of the first candle in [first, until) at which ``manage`` may say more than to hold; ``until`` if none.

    It may name one at which there is nothing to do; it never passes over one at which there is.
    """
    plan = table.rules.strategies[trade.strategy]
    if asks_always(plan):
        return min(first, until)
    rules, limit = plan.side(trade.side), plan.upkeep.exit_after_candles
    if limit is not None:
        until = max(first, min(until, trade.held_from + limit))
    opposite = plan.upkeep.exit_on_opposite and len(plan.sides) > 1
    if rules.exit_when is None and rules.trail is None and not opposite and not _may_break_even(plan, rules, trade):
        return until
    at, sizes = first, iter(CHUNKS)
    size = CHUNKS[-1]
    while at < until:
        end = min(until, at + next(sizes, size))
        asked = _asked(table, plan, rules, trade, at, end)
        place = int(asked.argmax())
        if asked[place]:
            return at + place
        at = end
    return until


def asks_always(plan: Strategy) -> bool:
    """Whether it manages its trades by a key of which nothing is known here: ``manage`` is asked at every candle."""
    return any(getattr(plan.upkeep, field.name) != field.default for field in _UNFORESEEN)


def _may_break_even(plan: Strategy, rules: SideRules, trade: OpenTrade) -> bool:
    if plan.upkeep.break_even_at_r is None:
        return False
    price = rules.beyond(trade.entry, plan.upkeep.break_even_lock_r * trade.risk)
    return _moves(rules, trade, price)


def _moves(rules: SideRules, trade: OpenTrade, price: float) -> bool:
    return rules.gain(trade.stop, price) > 0 and rules.gain(trade.stop, price) >= trade.move_min


def _asked(
    table: FactTable, plan: Strategy, rules: SideRules, trade: OpenTrade, first: int, end: int
) -> npt.NDArray[np.bool_]:
    """Where in [first, end) something may be asked for."""
    local: dict[str, FloatArray] = {
        "entry": np.array([trade.entry]),
        "stop": np.array([trade.stop]),
        "risk": np.array([trade.risk]),
        "candles_held": np.arange(first - trade.held_from, end - trade.held_from, dtype=np.float64),
    }

    def scene(key: str) -> FloatArray:
        return local[key] if key in local else table.column(key)[first:end]

    asked = np.zeros(end - first, dtype=np.bool_)
    if rules.exit_when is not None:
        asked |= rules.exit_when.truths(scene) == TRUE
    if plan.upkeep.exit_on_opposite:
        for side in plan.sides:
            if side.side != trade.side:
                asked |= side.setup.truths(scene) == TRUE
    close = finite(table.column(plan.entry_key)[first:end])
    with np.errstate(all="ignore"):
        if plan.upkeep.break_even_at_r is not None and _may_break_even(plan, rules, trade):
            asked |= _gain(rules, trade.entry, close) >= plan.upkeep.break_even_at_r * trade.risk
        if rules.trail is not None:
            trail = numbers(rules.trail.node, scene)
            gain = _gain(rules, trade.stop, trail)
            asked |= ((gain > 0) & (gain >= trade.move_min)) | (_gain(rules, trail, close) <= 0)
    return asked


def _gain(rules: SideRules, start: FloatArray | float, end: FloatArray) -> FloatArray:
    return end - start if rules.side == "LONG" else start - end
