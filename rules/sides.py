"""Proves that a stop or a target can never lie where it must: a long's stop below its entry, its targets above it.

Where one only sometimes lies wrong nothing is proved: such a candle's plan is refused when it is made (strategy.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from rules.compiled_rules import CompiledRules
from rules.language.intervals import CASES_MAX, TooComplex, possible
from rules.language.reach import Domain, cases, cases_in
from rules.language.syntax import And, Arithmetic, Comparison, Name, Node, Number, Or, rewritten
from rules.relations import relations
from rules.source.outline import KeyPath
from rules.strategy import SideRules

Complaint = tuple[KeyPath, str]
Plan = tuple[str, str, Node, tuple[Node, ...]]
"""A strategy's side: its stop, and all that it reads."""

_ENTRY, _STOP, _RISK, _ZERO = Name("entry"), Name("stop"), Name("risk"), Number(0.0)
_ABOVE, _BELOW = ("high", "recent_high"), ("low", "recent_low")


def wrong_sides(rules: CompiledRules, domain: Domain, judged: set[Plan]) -> Iterator[Complaint]:
    """Stops and targets of all strategies that are on the wrong side, or in reverse, whatever the candle.

    ``judged``: those of other symbols, which need no second look where a symbol has the same; grows by these.
    """
    anchored = _anchored(rules)
    for name, strategy in rules.strategies.items():
        for side in strategy.sides:
            written = (*side.setup.nodes, side.stop.node, *(price.node for price, _ in side.targets))
            plan = (name, side.side, side.stop.node, written)
            if plan in judged:
                continue
            judged.add(plan)
            known = [anchored(node) for node in relations(written, rules.features)]
            yield from _Side(side, ("strategies", name, side.side.lower()), anchored, domain, known).complaints()


def _anchored(rules: CompiledRules) -> Callable[[Node], Node]:
    """Says with the entry price what is bound to it: the close of the entry candle, its high, its low."""

    def change(node: Name) -> Node:
        feature = None if node.offset else rules.features.get(node.name)
        if feature is None or feature.indicator is None or feature.timeframe is not rules.entry_timeframe:
            return node
        kind = feature.indicator.name
        if kind == "close":
            return _ENTRY
        if kind in _ABOVE:
            return Arithmetic("+", _ENTRY, Name(f"{feature.name} above entry"))
        return Arithmetic("-", _ENTRY, Name(f"{feature.name} below entry")) if kind in _BELOW else node

    return lambda node: rewritten(node, change)


class _Side:
    def __init__(
        self, side: SideRules, path: KeyPath, anchored: Callable[[Node], Node], domain: Domain, known: list[Node]
    ) -> None:
        self._side, self._path, self._domain, self._known = side, path, domain, known
        self._is_long = side.side == "LONG"
        self._stop = anchored(side.stop.node)
        self._setup = [anchored(node) for node in side.setup.nodes]
        prices = [anchored(price.node) for price, _ in side.targets]
        self._targets = [rewritten(price, self._stop_by_risk) for price in prices]
        self._named = [Name(f"target {index}") for index in range(len(prices))]
        self._defined = [_is(name, price) for name, price in zip(self._named, prices, strict=True)]

    def complaints(self) -> Iterator[Complaint]:
        if not self._may_be([]):
            return  # the setup never holds: told already
        losing, gaining = ("below", "above") if self._is_long else ("above", "below")
        if not self._may_be([self._gains(self._stop, _ENTRY), Comparison(">", self._stop, _ZERO)]):
            yield (*self._path, "stop"), f"a {self._word} has its stop {losing} its entry, and this never is there"
            return
        wrong = False
        for index in range(len(self._targets)):
            if not self._may_lie(index, _ENTRY, _ENTRY):
                wrong = True
                message = f"a {self._word} has its targets {gaining} its entry, and this never is there"
                yield (*self._path, "targets", index, "price"), message
        for index in range(1, 0 if wrong else len(self._targets)):
            if not self._may_lie(index, self._targets[index - 1], self._named[index - 1]):
                wrong = True
                message = "this is never farther than the target before it: the nearest target comes first"
                yield (*self._path, "targets", index, "price"), message
        if not wrong and not self._may_be([*self._planned, *self._defined, *self._in_order()]):
            yield (*self._path, "targets"), "these and the stop are never all on their side of the entry, in order"

    def _may_lie(self, index: int, start: Node, named: Node) -> bool:
        """Whether a target may be beyond a price: by itself, and with the stop on its side."""
        target, name = self._targets[index], self._named[index]
        alone = [self._gains(start, target), Comparison(">", target, _ZERO)]
        if self._is_long:
            alone.append(Comparison("<", _RISK, _ENTRY))
        first = max(0, index - 1) if named is not _ENTRY else index
        planned = [*self._planned, *self._defined[first : index + 1], self._gains(named, name)]
        return self._may_be(alone) and self._may_be([*planned, Comparison(">", name, _ZERO)])

    @property
    def _planned(self) -> list[Node]:
        """What stop and risk are, and that the stop is on its side."""
        start, end = (_STOP, _ENTRY) if self._is_long else (_ENTRY, _STOP)
        risk = _is(_RISK, Arithmetic("-", end, start))
        return [_is(_STOP, self._stop), risk, self._gains(_STOP, _ENTRY), Comparison(">", _STOP, _ZERO)]

    def _in_order(self) -> Iterator[Node]:
        for nearer, farther in pairwise([_ENTRY, *self._named]):
            yield self._gains(nearer, farther)
            yield Comparison(">", farther, _ZERO)

    @property
    def _word(self) -> str:
        return self._side.side.lower()

    def _gains(self, start: Node, end: Node) -> Comparison:
        """That ``end`` lies beyond ``start``, in this side's favour."""
        return Comparison("<" if self._is_long else ">", start, end)

    def _stop_by_risk(self, node: Name) -> Node:
        return Arithmetic("-" if self._is_long else "+", _ENTRY, _RISK) if node == _STOP else node

    def _may_be(self, conditions: Sequence[Node]) -> bool:
        """Whether nothing proves the opposite: all that is known, or, where that is too much to look at, less of it."""
        for premises in ([*self._known, *self._setup], []):
            try:
                if possible([*premises, *conditions], self._domain) is None:
                    return False
            except TooComplex:
                continue
        return True


def _is(name: Name, node: Node) -> Node:
    """That a name stands for an expression, in each way in which its min, max and abs may come out."""
    ways = [
        And((Comparison("<=", name, way), Comparison(">=", name, way), *over))
        for way, over in (cases(node) if cases_in(node) <= CASES_MAX else [(node, ())])
    ]
    return ways[0] if len(ways) == 1 else Or(tuple(ways))
