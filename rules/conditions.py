"""Named conditions in their compiled forms, and the trace that shows why each held or did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import msgspec
import numpy as np

from rules.language.arrays import TRUE, Columns, TruthArray, truths
from rules.language.scalar import Facts, Logical, Numeric, known, logical, numeric
from rules.language.syntax import Comparison, Name, Node, Or, children, names_in
from rules.language.truth import Truth, all_of, any_of


class ComparisonTrace(msgspec.Struct, frozen=True):
    """One comparison with its numbers; None is UNKNOWN.

    ``distance`` is how far the left side lies from the threshold, counted so that it is positive (or zero) on the side
    that was asked for. A yes-or-no indicator used by itself has its value in ``left``, and no right side.
    """

    text: str
    left: float | None
    right: float | None
    distance: float | None
    result: Truth


class ConditionTrace(msgspec.Struct, frozen=True):
    """One condition with its id as in the rules file. ``group`` numbers the entries of its list: conditions that share
    a group are alternatives (``any:``), of which one is enough."""

    id: str
    text: str
    result: Truth
    group: int
    comparisons: tuple[ComparisonTrace, ...]


@dataclass(frozen=True, slots=True)
class _Comparison:
    text: str
    operator: str
    left: Numeric
    right: Numeric | None
    test: Logical

    def trace(self, facts: Facts) -> ComparisonTrace:
        left = self.left(facts)
        right = self.right(facts) if self.right else None
        distance = None
        if left is not None and right is not None:
            distance = known(left - right if self.operator in (">", ">=") else right - left)
        return ComparisonTrace(self.text, left, right, distance, self.test(facts))


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, ready to be asked: of a set of facts, or of whole columns."""

    id: str
    text: str
    node: Node
    test: Logical
    comparisons: tuple[_Comparison, ...]

    @classmethod
    def of(cls, condition_id: str, text: str, node: Node) -> Condition:
        return cls(condition_id, " ".join(text.split()), node, logical(node), tuple(_comparisons(node)))

    def trace(self, facts: Facts, group: int) -> ConditionTrace:
        comparisons = tuple(comparison.trace(facts) for comparison in self.comparisons)
        return ConditionTrace(self.id, self.text, self.test(facts), group, comparisons)


@dataclass(frozen=True, slots=True)
class Conditions:
    """A list of conditions as written: every group must hold, and a group holds if one of its members does.
    An empty one always holds."""

    groups: tuple[tuple[Condition, ...], ...]

    @property
    def nodes(self) -> list[Node]:
        """One node for each entry of the list."""
        return [
            group[0].node if len(group) == 1 else Or(tuple(condition.node for condition in group))
            for group in self.groups
        ]

    def truth(self, facts: Facts) -> Truth:
        return all_of(any_of(condition.test(facts) for condition in group) for group in self.groups)

    def truths(self, columns: Columns) -> TruthArray:
        """As ``truth``, for whole columns."""
        return self.joined(lambda node: truths(node, columns))

    def joined(self, truth_of: Callable[[Node], TruthArray]) -> TruthArray:
        """The same where the truth of each condition is known."""
        rows = [reduce(np.maximum, (truth_of(condition.node) for condition in group)) for group in self.groups]
        return reduce(np.minimum, rows) if rows else np.array([TRUE], dtype=np.int8)

    def trace(self, facts: Facts) -> tuple[ConditionTrace, ...]:
        return tuple(condition.trace(facts, number) for number, group in enumerate(self.groups) for condition in group)

    def fact_keys(self) -> set[str]:
        """What the conditions read, local names included."""
        return {name.key for group in self.groups for condition in group for name in names_in(condition.node)}


def _comparisons(node: Node) -> list[_Comparison]:
    """Each comparison, and each yes-or-no name that stands by itself, in the order in which they are written."""
    if isinstance(node, Comparison):
        test = logical(node)
        return [_Comparison(node.text, node.operator, numeric(node.left), numeric(node.right), test)]
    if isinstance(node, Name):
        return [_Comparison(node.key, "", numeric(node), None, logical(node))]
    return [comparison for child in children(node) for comparison in _comparisons(child)]
