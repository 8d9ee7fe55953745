"""Proves that a stop or a target can never lie where it must: a long's stop below its entry, its targets above it.

Where one only sometimes lies wrong nothing is proved: such a candle's plan is refused when it is made (strategy.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rules.intervals import TooComplex, possible
from rules.outline import KeyPath
from rules.reach import Domain
from rules.strategy import SideRules
from rules.symbol_rules import SymbolRules
from rules.syntax import Arithmetic, Comparison, Name, Node, Number, rewritten

Complaint = tuple[KeyPath, str]

_ENTRY, _STOP, _RISK, _ZERO = Name("entry"), Name("stop"), Name("risk"), Number(0.0)
_ABOVE, _BELOW = ("high", "recent_high"), ("low", "recent_low")


def wrong_sides(rules: SymbolRules, domain: Domain) -> Iterator[Complaint]:
    """Stops and targets of all strategies that are on the wrong side, or in reverse, whatever the candle."""
    anchored = _anchored(rules)
    for name, strategy in rules.strategies.items():
        for side in strategy.sides:
            yield from _Side(side, ("strategies", name, side.side.lower()), anchored, domain).complaints()


def _anchored(rules: SymbolRules) -> Callable[[Node], Node]:
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
    def __init__(self, side: SideRules, path: KeyPath, anchored: Callable[[Node], Node], domain: Domain) -> None:
        self._side, self._path, self._domain = side, path, domain
        self._is_long = side.side == "LONG"
        self._stop = anchored(side.stop.node)
        self._setup = [anchored(node) for node in side.setup.nodes]
        self._targets = [anchored(rewritten(price.node, self._stop_by_risk)) for price, _ in side.targets]

    def complaints(self) -> Iterator[Complaint]:
        if not self._may_be([]):
            return  # the setup never holds: told already
        losing, gaining = ("below", "above") if self._is_long else ("above", "below")
        if not self._may_be([self._gains(self._stop, _ENTRY), Comparison(">", self._stop, _ZERO)]):
            yield (*self._path, "stop"), f"a {self._word} has its stop {losing} its entry, and this never is there"
            return
        known = [Comparison("<", _RISK, _ENTRY)] if self._is_long else []
        wrong = False
        for index, target in enumerate(self._targets):
            if not self._may_be([*known, self._gains(_ENTRY, target), Comparison(">", target, _ZERO)]):
                wrong = True
                message = f"a {self._word} has its targets {gaining} its entry, and this never is there"
                yield (*self._path, "targets", index, "price"), message
        for index in range(1, 0 if wrong else len(self._targets)):
            nearer, farther = self._targets[index - 1 : index + 1]
            if not self._may_be([*known, self._gains(nearer, farther)]):
                message = "this is never farther than the target before it: the nearest target comes first"
                yield (*self._path, "targets", index, "price"), message

    @property
    def _word(self) -> str:
        return self._side.side.lower()

    def _gains(self, start: Node, end: Node) -> Comparison:
        """That ``end`` lies beyond ``start``, in this side's favour."""
        return Comparison("<" if self._is_long else ">", start, end)

    def _stop_by_risk(self, node: Name) -> Node:
        return Arithmetic("-" if self._is_long else "+", _ENTRY, _RISK) if node == _STOP else node

    def _may_be(self, conditions: Sequence[Node]) -> bool:
        """Whether nothing proves the opposite, first without the setup and then with it."""
        for premises in ([], self._setup):
            try:
                if possible([*premises, *conditions], self._domain) is None:
                    return False
            except TooComplex:
                continue
        return True
