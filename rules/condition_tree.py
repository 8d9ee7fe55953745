"""Conditions as a tree: what must hold, alternatives of which one is enough, and the comparisons inside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from rules.conditions import ComparisonTrace, ConditionTrace
from rules.explain import Why, number
from rules.language.truth import Truth, all_of, any_of
from rules.nearness import Nearness, NearnessOf
from rules.strategy import SideTrace

ANY_OF = "any of"


class ConditionTree(msgspec.Struct, frozen=True, kw_only=True):
    """One node. ``id`` is that of the rules file, "any of" for alternatives, or empty for a comparison inside.
    ``numbers`` are both sides as text; ``distance`` how far it is from holding, None where there is no number."""

    id: str
    text: str
    result: Truth
    numbers: str
    distance: Nearness | None
    children: tuple[ConditionTree, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a strategy, by how near its setup is: ``lacking`` of ``groups`` do not hold, and these are ``steps``
    away together (rules/nearness.py); ``first`` is the nearest of them."""

    strategy: str
    side: str
    lacking: int
    groups: int
    steps: float
    first: str


def tree(traces: Iterable[ConditionTrace], nearness: NearnessOf) -> tuple[ConditionTree, ...]:
    """One node for each entry of a list of conditions."""
    return tuple(
        _group([_condition(trace, nearness) for trace in members])
        for _, members in groupby(traces, key=lambda trace: trace.group)
    )


def _group(members: list[ConditionTree]) -> ConditionTree:
    if len(members) == 1:
        return members[0]
    held = any_of(member.result for member in members)
    return ConditionTree(
        id=ANY_OF, text=f"{len(members)} alternatives", result=held, numbers="", distance=None, children=tuple(members)
    )


def _condition(trace: ConditionTrace, nearness: NearnessOf) -> ConditionTree:
    inside = tuple(_comparison("", each, nearness) for each in trace.comparisons)
    if len(inside) == 1 and inside[0].text == trace.text:
        return msgspec.structs.replace(inside[0], id=trace.id)
    return ConditionTree(
        id=trace.id, text=trace.text, result=trace.result, numbers="", distance=None, children=inside
    )  # fmt: skip


def _comparison(name: str, trace: ComparisonTrace, nearness: NearnessOf) -> ConditionTree:
    is_flag = trace.right is None and trace.distance is None and trace.result is not Truth.UNKNOWN
    numbers = number(trace.left) if is_flag else f"{number(trace.left)} against {number(trace.right)}"
    return ConditionTree(
        id=name, text=trace.text, result=trace.result, numbers=numbers, distance=nearness(trace)
    )  # fmt: skip


def flattened(nodes: Iterable[ConditionTree], depth: int = 0) -> Iterator[tuple[int, ConditionTree]]:
    """Each node with how deep it stands, parents first."""
    for node in nodes:
        yield depth, node
        yield from flattened(node.children, depth + 1)


def candidate(strategy: str, side: SideTrace, nearness: NearnessOf) -> Candidate:
    """How near this side's setup is."""
    nodes = tree(side.setup, nearness)
    lacking = sorted((node for node in nodes if node.result is not Truth.TRUE), key=_steps)
    return Candidate(
        strategy=strategy,
        side=side.side,
        lacking=len(lacking),
        groups=len(nodes),
        steps=round(sum(map(_steps, lacking)), 6),
        first=_lack(lacking[0]) if lacking else "",
    )


UNMEASURED = 1.0
"""Steps of what has no number: a yes or no, or something unknown."""


def _steps(node: ConditionTree) -> float:
    """How far a node is from holding: of alternatives the nearest, of comparisons all that do not hold."""
    if node.result is Truth.TRUE:
        return 0.0
    if node.id == ANY_OF:
        return min(map(_steps, node.children))
    if node.children:
        return sum(map(_steps, node.children)) or UNMEASURED
    return UNMEASURED if node.distance is None else node.distance.steps


def _lack(node: ConditionTree) -> str:
    """In words, with the distance of what is nearest inside."""
    if node.id == ANY_OF:
        return f"{ANY_OF} {', '.join(child.id for child in node.children)}: {_lack(min(node.children, key=_steps))}"
    failing = [leaf for _, leaf in flattened((node,)) if not leaf.children and leaf.result is not Truth.TRUE]
    if len(failing) != 1 or failing[0].distance is None:
        return node.id or node.text
    return f"{node.id or node.text} ({failing[0].distance.words})"


class ConditionScope(msgspec.Struct, frozen=True, kw_only=True):
    """One list of conditions: whose it is, as in "TREND enter" or "LONG setup", whether it holds, and its nodes."""

    scope: str
    result: Truth
    nodes: tuple[ConditionTree, ...]


def scopes(reasons: Why, nearness: NearnessOf) -> tuple[ConditionScope, ...]:
    """Every list behind a decision, in the order in which they are shown."""
    return tuple(_scopes(reasons, nearness))


def _scopes(reasons: Why, nearness: NearnessOf) -> Iterator[ConditionScope]:
    for side in reasons.signal.traces if reasons.signal else ():
        yield ConditionScope(scope=f"{side.side} setup", result=side.result, nodes=tree(side.setup, nearness))
        if side.accept:
            nodes = tree(side.accept, nearness)
            yield ConditionScope(scope=f"{side.side} accept", result=all_of(_results(nodes)), nodes=nodes)
    for regime in reasons.regimes:
        enter, stay = tree(regime.enter_conditions, nearness), tree(regime.stay_conditions, nearness)
        yield ConditionScope(scope=f"{regime.regime} enter", result=regime.enter, nodes=enter)
        yield ConditionScope(scope=f"{regime.regime} stay", result=regime.stay, nodes=stay)


def _results(nodes: Iterable[ConditionTree]) -> Iterator[Truth]:
    return (node.result for node in nodes)


def candidates(reasons: Why, nearness: NearnessOf) -> tuple[Candidate, ...]:
    """The sides whose setup was asked, the nearest first."""
    signal = reasons.signal
    found = [candidate(signal.strategy, side, nearness) for side in signal.traces] if signal is not None else []
    return tuple(sorted(found, key=lambda each: (each.lacking, each.steps, each.side)))
