"""Says why transitions of two databases differ, trade by trade, from what both journals show.

Where a bot and a backtest take the same steps at other prices, what a candle does not tell has made them. Everything
else is looked for as `compare` does it: what was refused, by whom, and what was never decided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from fsm.backtest.comparing.causes import Finding, causes, how_apart
from fsm.backtest.comparing.inputs import Source, differing_inputs
from fsm.backtest.comparing.matching import Difference, Kind, differences
from fsm.backtest.comparing.side import Side, read_side
from fsm.backtest.result import iso
from fsm.core.model.transition_table import Trigger
from fsm.journal.explain import NothingDecided, explain
from fsm.proofs.parity.comparison import Compared, compared
from store.database import Store
from store.errors import StoreError
from store.queries import TransitionFilter, each_transition

Key = tuple[str, int | None]
"""A symbol, and the signal's candle: the steps of one trade, or of none."""


class Why(StrEnum):
    """``FILL``: the same steps at other prices. ``SIZE``: as equity or prices before were others. ``LATE``: the same,
    but for looks that were taken since an answer was late. ``PATH``: prices went another way inside of a candle than
    its corners tell. The others are causes of `compare`."""

    FILL = "FILL"
    SIZE = "SIZE"
    LATE = "LATE"
    PATH = "PATH"
    OUTAGE = "OUTAGE"


LATE_STEPS = {
    Trigger.SWEEP: ("STRAY_ORDERS", "ORPHAN_ORDERS"),
    Trigger.REPROTECT: ("STOP_MOVE_UNFINISHED", "STOP_UNKNOWN", "STOP_UNSEEN", "STOP_CONFIRMED"),
}
"""What a bot does that looks for itself, as an order of its own has no answer yet: the trade stays as it is."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One trade whose steps are not the same in both: how many of them, and why."""

    symbol: str
    candle_ms: int | None
    steps: int
    cause: str
    told: str

    @property
    def is_explained(self) -> bool:
        return self.cause != Source.UNEXPLAINED


class _Step(msgspec.Struct, frozen=True):
    at_ms: int
    what: Compared

    @property
    def turn(self) -> tuple[str, str, str, str]:
        return self.what.trigger, self.what.source, self.what.dest, self.what.reason

    @property
    def is_late(self) -> bool:
        return self.what.reason in LATE_STEPS.get(Trigger(self.what.trigger), ())


def explained(left: Store, right: Store, *, before_ms: int | None = None) -> list[Explained]:
    """Every trade that differs, in the order of their candles. Raises CannotCompare for a database without a run."""
    ours, theirs = _by_trade(left, before_ms), _by_trade(right, before_ms)
    keys = [key for key in {*ours, *theirs} if [s.what for s in ours[key]] != [s.what for s in theirs[key]]]
    if not keys:
        return []
    a, b = read_side("A", left), read_side("B", right)
    known = {(found.difference.symbol, found.difference.candle_ms): found for found in _findings(a, b)}
    found: list[Explained] = []
    for key in sorted(keys, key=lambda key: (key[1] or 0, key[0])):
        symbol, candle_ms = key
        finding = known.get((symbol, candle_ms)) if candle_ms is not None else None
        cause, told = _cause((a, b), (ours[key], theirs[key]), finding, is_first=not found)
        count = sum(1 for _ in _unequal(ours[key], theirs[key]))
        found.append(Explained(symbol=symbol, candle_ms=candle_ms, steps=count, cause=cause, told=told))
    return found


def _findings(a: Side, b: Side) -> list[Finding]:
    span = a.span.overlap(b.span)
    found, _ = causes(a, b, differences(a.trades, b.trades, span), differing_inputs(a, b, span), None)
    return found


def _cause(
    sides: tuple[Side, Side], steps: tuple[list[_Step], list[_Step]], finding: Finding | None, *, is_first: bool
) -> tuple[str, str]:
    ours, theirs = steps
    if [step.turn for step in ours] == [step.turn for step in theirs]:
        return _of_numbers(ours, theirs, is_first=is_first)
    if (late := _only_late(ours, theirs)) is not None:
        return Why.LATE, late
    if finding is not None and finding.difference.kind is not Kind.DIFFERS:
        return finding.cause.source, finding.cause.told
    one, other = next(_unequal(ours, theirs))
    if finding is None and (absent := _signal_alone(sides, one, other)) is not None:
        return absent
    named = f"{_word(one)} in A, {_word(other)} in B"
    for step in (one, other):
        for name, side in zip("AB", sides, strict=True):
            if step is not None and not _decided(side, step):
                return Why.OUTAGE, f"nothing was decided in {name} at {iso(step.at_ms)}; then {named}"
    if finding is not None and _is_inside(ours, theirs):
        return Why.PATH, f"the candle does not tell the order of its prices: {named}"
    return Source.UNEXPLAINED, named


def _signal_alone(sides: tuple[Side, Side], one: _Step | None, other: _Step | None) -> tuple[str, str] | None:
    """Why a signal that led to no position was none in the other run; None where that is not what differs."""
    kind, step = (Kind.ONLY_A, one) if other is None else (Kind.ONLY_B, other)
    if (one is not None and other is not None) or step is None or step.what.candle_ms is None:
        return None
    symbol, candle_ms = step.what.symbol, step.what.candle_ms
    alone = Difference(kind=kind, symbol=symbol, candle_ms=candle_ms, side="", a=None, b=None, fields={})
    cause = how_apart(*sides, alone)
    return None if cause.source is Source.UNEXPLAINED else (cause.source, cause.told)


def _only_late(ours: list[_Step], theirs: list[_Step]) -> str | None:
    """What one side did while an answer was late, where nothing else is in another order; None where something is."""
    here, there = ([step for step in steps if not step.is_late] for steps in (ours, theirs))
    if [step.turn for step in here] != [step.turn for step in there]:
        return None
    one, other = next(_unequal(ours, theirs))
    first, name = (one, "A") if one is not None and one.is_late else (other, "B")
    return f"an answer of the exchange was late, and {name} looked for itself: {_word(first)}"


def _of_numbers(ours: Sequence[_Step], theirs: Sequence[_Step], *, is_first: bool) -> tuple[str, str]:
    """The same steps with other numbers."""
    sizes = [(one.what.quantities, other.what.quantities) for one, other in zip(ours, theirs, strict=True)]
    size = next(((one[0], other[0]) for one, other in sizes if one and other and one[0] != other[0]), None)
    if size is not None:
        told = f"quantity {_short(size[0])} in A, {_short(size[1])} in B: equity or prices at the entry were others"
        return (Source.UNEXPLAINED if is_first else Why.SIZE), told
    apart, one, other = max(_apart(ours, theirs), default=(Decimal(0), Decimal(0), Decimal(0)))
    told = f"the same steps at prices up to {apart * 100:.4f} % apart: {_short(one)} in A, {_short(other)} in B"
    return Why.FILL, told


def _apart(ours: Sequence[_Step], theirs: Sequence[_Step]) -> Iterator[tuple[Decimal, Decimal, Decimal]]:
    for one, other in zip(ours, theirs, strict=True):
        for here, there in zip(one.what.prices, other.what.prices, strict=False):
            if here is not None and there is not None and there:
                yield abs(here / there - 1), here, there


def _unequal(ours: Sequence[_Step], theirs: Sequence[_Step]) -> Iterator[tuple[_Step | None, _Step | None]]:
    """Pairs that differ, the first that takes another turn before those that only have other numbers."""
    length = max(len(ours), len(theirs))
    pairs = [(ours[at] if at < len(ours) else None, theirs[at] if at < len(theirs) else None) for at in range(length)]
    differing = [(one, other) for one, other in pairs if one is None or other is None or one.what != other.what]
    turned = [(one, other) for one, other in differing if one is None or other is None or one.turn != other.turn]
    yield from turned
    yield from (pair for pair in differing if pair not in turned)


def _is_inside(ours: Sequence[_Step], theirs: Sequence[_Step]) -> bool:
    """Both traded alike up to the entry, so what differs lies inside of candles."""
    return bool(ours and theirs) and ours[0].turn == theirs[0].turn


def _decided(side: Side, step: _Step) -> bool:
    """Whether the newest close at that time was decided there."""
    try:
        return explain(side.store, step.what.symbol, step.at_ms).asked_ms is None
    except (NothingDecided, StoreError):
        return False


def _by_trade(store: Store, before_ms: int | None) -> defaultdict[Key, list[_Step]]:
    found: defaultdict[Key, list[_Step]] = defaultdict(list)
    for row in each_transition(store, TransitionFilter(until_ms=before_ms)):
        what = compared(row)
        if what is not None:
            found[row.symbol, what.candle_ms].append(_Step(row.at_ms, what))
    return found


def _word(step: _Step | None) -> str:
    return "nothing more" if step is None else f"{step.what.trigger} {step.what.reason} at {iso(step.at_ms)}"


def _short(number: Decimal) -> str:
    return f"{number.normalize():.8g}"
