"""Finds rules that are well formed and yet cannot be meant: contradictions, overlaps, and what can never happen.

Problems keep a file from loading. Warnings (unused names, strategies that are switched off) do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from indicators.candle import Timeframe
from rules.compiled_rules import CompiledRules, compile_rules, entry_feature
from rules.conditions import Conditions
from rules.definition import Definition, RouteDefinition, StrategyDefinition
from rules.domains import domains
from rules.language.intervals import TooComplex, describe, implies, possible, single_bound, text_of
from rules.language.reach import Interval, reach
from rules.language.syntax import Comparison, ExpressionError, Node, names_in, parse, walk
from rules.numbers_written import number_slots
from rules.regime import RegimeRule
from rules.sides import Plan, wrong_sides
from rules.source.outline import KeyPath, dotted, slots
from rules.source.yaml_source import Problem, Source
from rules.strategy import SideRules

_TIMEFRAME_AT_END = re.compile(r"_([0-9]+[mhd])$")
_PORTION_TOLERANCE = 1e-9
_TOO_COMPLEX = "the conditions have too many alternatives to be checked: use fewer 'or' and 'any'"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something at a place of the file; ``harmless`` as long as nothing trades by it: that it can never happen."""

    path: KeyPath
    message: str
    at_key: bool = False
    harmless: bool = False


def lint(source: Source, definition: Definition) -> tuple[list[Problem], list[Problem]]:
    """What is wrong with the definition, for all symbols and for each that has values of its own; and what would be
    wrong with parts that are switched off."""
    judged = list(_judged(source, definition))
    return [each for each, matters in judged if matters], [each for each, matters in judged if not matters]


def warnings(source: Source, definition: Definition) -> list[Problem]:
    """What is allowed and yet worth knowing."""
    findings = [*_unused(source, definition), *_switched_off(definition), *_always_true(definition)]
    return [source.problem(finding.path, finding.message, key=finding.at_key) for finding in findings]


def _judged(source: Source, definition: Definition) -> Iterator[tuple[Problem, bool]]:
    """What is wrong, and whether anything trades by it."""
    judged: set[Plan] = set()
    own = definition.for_symbol("")
    idle = _idle(own)
    known: set[KeyPath] = set()
    for finding in _findings(own, judged):
        known.add(finding.path)
        yield source.problem(finding.path, finding.message, key=finding.at_key), _matters(finding, idle)
    for symbol in definition.symbols:
        own = definition.for_symbol(symbol)
        idle = _idle(own)
        for finding in _findings(own, judged):
            if finding.path not in known:
                message = f"with the values of {symbol}, in {dotted(finding.path)}: {finding.message}"
                yield source.problem(("symbols", symbol), message, key=True), _matters(finding, idle)


def _matters(finding: Finding, idle: set[KeyPath]) -> bool:
    return not finding.harmless or finding.path[:2] not in idle


def _idle(definition: Definition) -> set[KeyPath]:
    """Strategies that never trade, and regimes in which none does, as they are switched off."""
    strategies = definition.strategies
    on = {
        regime: [route.strategy for route in routes if route.enabled and strategies[route.strategy].enabled]
        for regime, routes in definition.router.routes.items()
    }
    trading = {name for names in on.values() for name in names}
    routed = {route.strategy for routes in definition.router.routes.values() for route in routes}
    found: set[KeyPath] = {("strategies", name) for name in routed if name not in trading}
    return found | {("regimes", regime) for regime, names in on.items() if not names}


def _findings(definition: Definition, judged: set[Plan]) -> Iterator[Finding]:
    yield from _degenerate_ramps(definition)
    yield from _unrouted(definition)
    for name, strategy in definition.strategies.items():
        yield from _portions(name, strategy)
        yield from _break_even(name, strategy)
    rules = compile_rules(definition)
    yield from _misnamed(rules)
    checking = _Logic(rules)
    yield from checking.regimes(definition)
    yield from checking.strategies()
    yield from (Finding(path, message, harmless=True) for path, message in wrong_sides(rules, checking.domain, judged))
    for name, compiled in rules.strategies.items():
        for side in compiled.sides:
            yield from _reward(("strategies", name, side.side.lower()), side, compiled.reward_risk_min)


def _misnamed(rules: CompiledRules) -> Iterator[Finding]:
    """A name that ends with a timeframe is read as one, in every expression that uses it."""
    known = {timeframe.value for timeframe in Timeframe}
    for name, feature in rules.features.items():
        said = _TIMEFRAME_AT_END.search(name)
        if said and said[1] in known and said[1] != feature.timeframe:
            message = f"{name} is measured on {feature.timeframe}: name it after that, or measure it on {said[1]}"
            yield Finding(("features", name, "timeframe"), message)


# --- plain arithmetic -------------------------------------------------------------------------------


def _degenerate_ramps(definition: Definition) -> Iterator[Finding]:
    for regime, written in definition.named_regimes.items():
        for index, ramp in enumerate(written.confidence):
            ends = [definition.thresholds[end] if isinstance(end, str) else end for end in (ramp.zero_at, ramp.full_at)]
            if ends[0] == ends[1]:
                message = f"zero_at and full_at are both {ends[0]:g}: a ramp needs two different ends"
                yield Finding(("regimes", regime, "confidence", index), message)


def _unrouted(definition: Definition) -> Iterator[Finding]:
    used = {route.strategy for routes in definition.router.routes.values() for route in routes}
    for name in definition.strategies:
        if name not in used:
            message = f"no regime leads to {name}: name it in router, or remove it"
            yield Finding(("strategies", name), message, at_key=True)


def _portions(name: str, strategy: StrategyDefinition) -> Iterator[Finding]:
    for side, written in strategy.sides().items():
        if not written.targets:
            continue
        total = 0.0
        for target in written.targets:
            total += target.portion
        if abs(total - 1.0) > _PORTION_TOLERANCE:
            message = f"the portions of the targets add up to {total:g}, not to 1"
            yield Finding(("strategies", name, side, "targets"), message)


def _break_even(name: str, strategy: StrategyDefinition) -> Iterator[Finding]:
    manage = strategy.manage
    path: KeyPath = ("strategies", name, "manage", "break_even_lock_r")
    if manage.break_even_at_r is None:
        if manage.break_even_lock_r:
            yield Finding(path, "break_even_lock_r does nothing without break_even_at_r")
    elif manage.break_even_lock_r >= manage.break_even_at_r:
        yield Finding(path, "the stop would be moved to or beyond the price that moves it: less than break_even_at_r")


def _reward(path: KeyPath, side: SideRules, reward_risk_min: float) -> Iterator[Finding]:
    """Where targets depend on the risk alone, their reward is known before any trade."""
    if not side.targets and reward_risk_min:
        yield Finding((*path[:-1], "reward_risk_min"), f"the {path[-1]} side has no targets to be rewarded by")
    if not side.targets or any(price.fact_keys() - {"entry", "stop", "risk"} for price, _ in side.targets):
        return
    entry = 1_000_000.0
    scene = {"entry": entry, "stop": entry - side.sign, "risk": 1.0}
    reward = 0.0
    for price, portion in side.targets:
        reward += portion * side.gain(entry, price.calculate(scene) or entry)
    if reward < reward_risk_min - _PORTION_TOLERANCE:
        message = (
            f"the targets give {reward:.3g} R, and reward_risk_min asks for {reward_risk_min:g}: no trade can pass"
        )
        yield Finding((*path, "targets"), message)


# --- logic ------------------------------------------------------------------------------------------


class _Logic:
    """What can be proved about the conditions of one symbol's rules."""

    def __init__(self, rules: CompiledRules) -> None:
        self._rules = rules
        self.domain = domains(rules.features)

    def regimes(self, definition: Definition) -> Iterator[Finding]:
        written = definition.named_regimes
        rules = [rule for rule in self._rules.classifier.rules if rule.regime in written]
        for rule in rules:
            path: KeyPath = ("regimes", rule.regime)
            yield from self._ramps((*path, "confidence"), rule)
            yield from self._judged((*path, "enter"), rule.enter)
            if not written[rule.regime].stay:
                continue
            yield from self._judged((*path, "stay"), rule.stay)
            yield from self._proved((*path, "stay"), self._tighter_stay((*path, "stay"), rule))
        named = {rule.regime: rule for rule in rules}
        for first, second in combinations(definition.regimes.exclusive if definition.regimes else (), 2):
            path = ("regimes", second, "enter")
            yield from self._proved(path, self._overlap(path, named[first], named[second]))

    def strategies(self) -> Iterator[Finding]:
        for name, strategy in self._rules.strategies.items():
            for side in strategy.sides:
                path: KeyPath = ("strategies", name, side.side.lower())
                for part, conditions in (("setup", side.setup), ("accept", side.accept), ("exit_when", side.exit_when)):
                    if conditions is not None:
                        yield from self._judged((*path, part), conditions)

    def always_true(self, node: Node) -> bool:
        try:
            return implies([], node, self.domain)
        except TooComplex:
            return False

    def _judged(self, path: KeyPath, conditions: Conditions) -> Iterator[Finding]:
        """Conditions that nothing can meet, and of the others those with a value that nothing can have."""
        never = list(self._proved(path, self._contradiction(path, conditions)))
        yield from never
        told = {finding.path for finding in never}
        yield from (finding for finding in self._outside(path, conditions) if finding.path not in told)

    def _outside(self, path: KeyPath, conditions: Conditions) -> Iterator[Finding]:
        for index, node in enumerate(conditions.nodes):
            comparisons = [part for part in walk(node) if isinstance(part, Comparison)]
            for measured, value in filter(None, map(single_bound, comparisons)):
                message = _outside(measured, value, reach(measured, self.domain))
                if message:
                    yield Finding((*path, index), message)

    def _ramps(self, path: KeyPath, rule: RegimeRule) -> Iterator[Finding]:
        for index, ramp in enumerate(rule.ramps):
            for end, value in (("zero_at", ramp.zero_at), ("full_at", ramp.full_at)):
                message = _outside(ramp.node, value, reach(ramp.node, self.domain))
                if message:
                    yield Finding((*path, index, end), message)

    def _proved(self, path: KeyPath, findings: Iterator[Finding]) -> Iterator[Finding]:
        """The findings, or the one that the conditions are too many to be looked through."""
        try:
            yield from findings
        except TooComplex:
            yield Finding(path, _TOO_COMPLEX, at_key=True)

    def _contradiction(self, path: KeyPath, conditions: Conditions) -> Iterator[Finding]:
        nodes = conditions.nodes
        if possible(nodes, self.domain) is not None:
            return
        alone = [index for index, node in enumerate(nodes) if possible([node], self.domain) is None]
        for index in alone:
            yield Finding((*path, index), "this can never hold, so nothing will ever come of it", harmless=True)
        if not alone:
            message = "these can never hold together, so nothing will ever come of it"
            yield Finding(path, message, at_key=True, harmless=True)

    def _tighter_stay(self, path: KeyPath, rule: RegimeRule) -> Iterator[Finding]:
        for index, node in enumerate(rule.stay.nodes):
            if not implies(rule.enter.nodes, node, self.domain):
                message = (
                    f"{rule.regime} can be entered while this does not hold, so it would be left at once: "
                    f"stay must not ask for more than enter"
                )
                yield Finding((*path, index), message)

    def _overlap(self, path: KeyPath, first: RegimeRule, second: RegimeRule) -> Iterator[Finding]:
        witness = possible([*first.enter.nodes, *second.enter.nodes], self.domain)
        if witness is not None:
            message = (
                f"{first.regime} and {second.regime} are declared exclusive, but their thresholds overlap: "
                f"both can be entered with {describe(witness)}"
            )
            yield Finding(path, message, at_key=True)


def _outside(measured: Node, value: float, domain: Interval) -> str:
    """What to say of a value that lies beyond all that is measured there; nothing where it may be meant."""
    if domain.lower <= value <= domain.upper:
        return ""
    return f"{text_of(measured)} is {domain} whatever the market does, so {value:g} cannot be meant"


# --- warnings ---------------------------------------------------------------------------------------


def _unused(source: Source, definition: Definition) -> Iterator[Finding]:
    used: set[str] = set()
    for slot in slots(source.data):
        try:
            used.update(name.own for name in names_in(parse(slot.text)))
        except ExpressionError:  # pragma: no cover - meaning.py has complained
            continue
    for _, text in number_slots(source.data):
        used.update(name.name for name in names_in(parse(text)))
    rules = compile_rules(definition.for_symbol(""))
    entry = entry_feature(rules.features, rules.entry_timeframe)
    for section, names in (
        ("features", definition.features),
        ("thresholds", definition.thresholds),
        ("choices", definition.choices),
        ("define", definition.define),
        ("sessions", definition.sessions),
    ):
        for name in names:
            if name not in used and name != entry:
                yield Finding((section, name), f"{name} is not used by any expression", at_key=True)


def _switched_off(definition: Definition) -> Iterator[Finding]:
    variants = [definition.for_symbol(symbol) for symbol in ("", *definition.symbols)]
    enabled: set[str] = set()
    for variant in variants:
        for route in compile_rules(variant).routes.values():
            enabled.update(route.strategies)
    for name, strategy in definition.strategies.items():
        if name in enabled:
            continue
        if not strategy.enabled:
            yield Finding(("strategies", name, "enabled"), f"{name} never trades: it is switched off")
            continue
        regime = next(regime for regime, routes in definition.router.routes.items() if name in _names(routes))
        message = f"{name} never trades: every regime that leads to it is switched off"
        yield Finding(("router", regime, "enabled"), message)


def _names(routes: tuple[RouteDefinition, ...]) -> set[str]:
    return {route.strategy for route in routes}


def _always_true(definition: Definition) -> Iterator[Finding]:
    rules = compile_rules(definition.for_symbol(""))
    logic = _Logic(rules)
    lists: list[tuple[KeyPath, Conditions | None]] = []
    for name, written in definition.named_regimes.items():
        rule = next(rule for rule in rules.classifier.rules if rule.regime == name)
        parts = ("enter", "stay") if written.stay else ("enter",)
        lists += [(("regimes", name, part), getattr(rule, part)) for part in parts]
    for name, strategy in rules.strategies.items():
        for side in strategy.sides:
            base: KeyPath = ("strategies", name, side.side.lower())
            lists += [((*base, part), getattr(side, part)) for part in ("setup", "accept", "exit_when")]
    for path, conditions in lists:
        for index, node in enumerate(conditions.nodes if conditions else []):
            if logic.always_true(node):
                yield Finding((*path, index), "this always holds, so it decides nothing")
