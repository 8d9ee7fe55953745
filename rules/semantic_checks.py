"""Checks that a rules file means something: every name, unit, timeframe and reference in it, each with its place."""

from __future__ import annotations

import keyword
from dataclasses import replace
from typing import Any

from indicators.candle import Timeframe
from indicators.catalog import IndicatorError, UnknownParameter
from rules.compiled_rules import LOCAL_NAMES, entry_feature
from rules.expression_checks import Span, Weight, check_looking_back, check_weight, circle, sized_by, span_of
from rules.features import CANDLE_CLOSED, Feature, feature_of, timeframe_of
from rules.language.syntax import ExpressionError, Name, Node, names_in, parse
from rules.language.units import ValueUnit, require_condition, require_measure, require_price, unit_of
from rules.moment_words import MOMENT_WORDS
from rules.moments import CLOCK, SESSIONS
from rules.numbers_written import UnknownThreshold, number_slots, thresholds_of, with_numbers
from rules.reference_checks import ReferenceChecks, hint
from rules.regime_words import REGIME_NUMBERS
from rules.source.outline import (
    KeyPath,
    Slot,
    Want,
    at,
    mapping,
    sequence,
    slots,
)
from rules.source.schema import SCHEMA
from rules.source.short_forms import NO_TRADE, regimes_in
from rules.source.yaml_source import Problem, Source, validate

_LOCAL_KINDS = {
    "entry": ValueUnit.PRICE,
    "stop": ValueUnit.PRICE,
    "risk": ValueUnit.PRICE,
    "candles_held": ValueUnit.COUNT,
}
_CLOCK_KINDS = {
    **dict.fromkeys(CLOCK, ValueUnit.COUNT),
    **dict.fromkeys(SESSIONS, ValueUnit.CONDITION),
}
ALIASES_MAX = 300
"""Choices and definitions of a file; the schema allows fewer of each."""

_SECTIONS = ("features", "thresholds", "choices", "define", "sessions")


def check_semantics(source: Source) -> list[Problem]:
    """Everything that the schema cannot see; an empty list if there is nothing to complain about."""
    return _Checking(source).run()


class _Checking:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._data = source.data
        self._problems: list[Problem] = []
        self._roles = {
            role: written for role, written in mapping(at(self._data, "timeframes")).items() if isinstance(written, str)
        }
        self._features: dict[str, Feature] = {}
        self._spans: dict[str, Span] = {}
        self._weights: dict[str, Weight] = {}
        self._sized_by: dict[str, str] = {}
        self._words: dict[str, ValueUnit] = {}
        self._of_words: set[str] = set()  # names that speak of the regime in force or of the moment
        self._kinds: dict[str, ValueUnit | None] = {}  # of every declared name; None where its declaration is broken

    def run(self) -> list[Problem]:
        self._check_numbers()
        entry_timeframe = self._timeframe(("timeframes", "entry"), at(self._data, "timeframes", "entry"))
        self._check_timeframes(entry_timeframe)
        self._check_names()
        self._check_features(entry_timeframe)
        for name in mapping(at(self._data, "thresholds")):
            self._kinds.setdefault(name, ValueUnit.NUMBER)
        for name in mapping(at(self._data, "sessions")):
            self._kinds.setdefault(name, ValueUnit.CONDITION)
        words = dict(MOMENT_WORDS)
        if "regimes" in mapping(self._data):
            words |= {**REGIME_NUMBERS, **dict.fromkeys((*regimes_in(self._data), NO_TRADE), ValueUnit.CONDITION)}
        declared = {name for section in _SECTIONS for name in mapping(at(self._data, section))}
        self._words = {name: kind for name, kind in words.items() if name not in declared}
        self._of_words = set(self._words)
        expressions = list(slots(self._data))
        self._check_aliases([slot for slot in expressions if slot.path[0] in ("choices", "define")])
        for slot in expressions:
            if slot.path[0] not in ("choices", "define"):
                self._check_expression(slot)
        self._references().run()
        return self._problems

    def _references(self) -> ReferenceChecks:
        return ReferenceChecks(self._source, self._data, self._problems)

    def _complain(self, path: KeyPath, message: str, *, key: bool = False, offset: int = 0) -> None:
        self._problems.append(self._source.problem(path, message, key=key, offset=offset))

    def _check_numbers(self) -> None:
        """Numbers that are written as expressions, and where they are not what may stand there, for any symbol."""
        if not isinstance(self._data, dict):
            return
        plain = with_numbers(self._data, "", self._no_number)
        if not self._problems and any(True for _ in number_slots(self._data)):
            self._problems += validate(replace(self._source, data=plain), SCHEMA)
            for symbol in mapping(at(self._data, "symbols")) if not self._problems else ():
                own = with_numbers(self._data, symbol, lambda path, text, error: None)
                for problem in validate(replace(self._source, data=own), SCHEMA)[:1]:
                    self._complain(("symbols", symbol), f"with the thresholds of {symbol}: {problem.message}", key=True)
        for name, written in mapping(at(self._data, "thresholds")).items():
            low, high = (*sequence(at(written, "range")), None, None)[:2]
            value = plain["thresholds"][name]
            if all(isinstance(each, int | float) for each in (low, high, value)):
                if low >= high:
                    self._complain(("thresholds", name, "range"), "a range goes from a number to a larger one")
                elif not low <= value <= high:
                    self._complain(("thresholds", name, "value"), f"the value is not within its range, {low} to {high}")
        self._data = plain

    def _no_number(self, path: KeyPath, text: str, error: ExpressionError) -> None:
        meant = hint(error.name, thresholds_of(self._data)) if isinstance(error, UnknownThreshold) else ""
        self._complain(path, f"{error.message}{meant}", offset=error.column)

    # --- timeframes and features ------------------------------------------------------------------

    def _timeframe(self, path: KeyPath, written: Any) -> Timeframe | None:
        if not isinstance(written, str):
            return None
        try:
            return timeframe_of(written, {} if path[0] == "timeframes" else self._roles)
        except ValueError as error:
            self._complain(path, str(error))
            return None

    def _check_timeframes(self, entry_timeframe: Timeframe | None) -> None:
        for role, written in self._roles.items():
            if role != "entry":
                self._timeframe(("timeframes", role), written)
        path: KeyPath = ("regimes", "timeframe")
        if at(self._data, *path) is None:
            return
        self._check_not_shorter(path, self._timeframe(path, at(self._data, *path)), entry_timeframe)

    def _check_not_shorter(self, path: KeyPath, timeframe: Timeframe | None, entry: Timeframe | None) -> None:
        if timeframe and entry and timeframe.ms < entry.ms:
            self._complain(
                path, f"{timeframe} is shorter than the entry timeframe {entry}: decisions would skip candles"
            )

    def _check_features(self, entry_timeframe: Timeframe | None) -> None:
        for name, written in mapping(at(self._data, "features")).items():
            self._kinds[name] = None
            path: KeyPath = ("features", name)
            timeframe = self._timeframe((*path, "timeframe"), at(written, "timeframe"))
            self._check_not_shorter((*path, "timeframe"), timeframe, entry_timeframe)
            if timeframe is None or not isinstance(at(written, "indicator"), str):
                continue
            try:
                self._features[name] = feature = feature_of(name, written, self._roles)
            except IndicatorError as error:
                at_fault = [
                    key for key in written if key != "timeframe" and key in str(error).replace("'", " ").split()
                ]
                at_key = isinstance(error, UnknownParameter)
                self._complain((*path, *(at_fault[:1] or ["indicator"])), str(error), key=at_key)
            else:
                self._kinds[name] = feature.kind
        features = mapping(at(self._data, "features"))
        if entry_timeframe and features and len(self._features) == len(features):
            self._check_entry_price(entry_timeframe)

    def _check_entry_price(self, entry_timeframe: Timeframe) -> None:
        if entry_feature(self._features, entry_timeframe) is None:
            self._complain(
                ("features",),
                f"no feature has the entry price: declare one as {{indicator: close, timeframe: {entry_timeframe}}}",
                key=True,
            )

    # --- names ------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        declared: dict[str, str] = {}
        for section in _SECTIONS:
            for name in mapping(at(self._data, section)):
                path: KeyPath = (section, name)
                if name in LOCAL_NAMES:
                    self._complain(
                        path, f"{name} has a meaning of its own in expressions: choose another name", key=True
                    )
                elif keyword.iskeyword(name) or name in ("min", "max", "abs"):
                    self._complain(path, f"{name} is a word of the expressions: choose another name", key=True)
                elif name in declared:
                    self._complain(path, f"{name} is declared in {declared[name]}, too: names must differ", key=True)
                declared.setdefault(name, section)

    # --- expressions ------------------------------------------------------------------------------

    def _check_aliases(self, expressions: list[Slot]) -> None:
        """Definitions and choices, each after those that it uses."""
        by_name: dict[str, list[Slot]] = {}
        for slot in expressions:
            by_name.setdefault(str(slot.path[1]), []).append(slot)
        uses = {name: [used for slot in own for used in _used(slot)] for name, own in by_name.items()}
        checked: set[str] = set()

        def check(name: str) -> None:
            if name in checked:
                return
            checked.add(name)
            for used in uses[name]:
                if used in by_name:
                    check(used)
            way = list(circle(name, uses))
            if way and not by_name[name][0].in_choice:
                self._kinds.setdefault(name, None)
                self._complain(by_name[name][0].path[:2], f"{name} is defined by itself: {' → '.join(way)}", key=True)
            elif by_name[name][0].in_choice:
                self._check_choice(name, by_name[name])
            else:
                self._kinds.setdefault(name, self._check_expression(by_name[name][0]))

        if len(by_name) <= ALIASES_MAX:  # the schema has complained of more
            for name in by_name:
                check(name)

    def _check_choice(self, name: str, options: list[Slot]) -> None:
        kinds = {slot.path[-1]: kind for slot in options if (kind := self._check_expression(slot)) is not None}
        first = next(iter(kinds.values()), None)
        for option, kind in kinds.items():
            if first is not None and kind is not first:
                message = f"this is {kind.noun}, and the first option is {first.noun}: all must be alike"
                self._complain(("choices", name, "options", option), message)
        use, known = at(self._data, "choices", name, "use"), mapping(at(self._data, "choices", name, "options"))
        self._references().reference(("choices", name, "use"), use, known, "no option")
        self._kinds.setdefault(name, first)

    def _check_expression(self, slot: Slot) -> ValueUnit | None:
        """What the expression yields, or None after a complaint (or where it uses a broken name)."""
        try:
            node = parse(slot.text)
        except ExpressionError as error:
            self._complain(slot.path, error.message, offset=error.column)
            return None
        known = len(self._problems)
        for name in names_in(node):
            self._check_name(slot, name)
        kinds = self._kinds_in(node)
        if len(self._problems) > known or kinds is None:
            return None
        try:
            if slot.want is Want.CONDITION:
                require_condition(node, kinds)
            elif slot.want is Want.PRICE:
                require_price(node, kinds)
            elif slot.want is Want.MEASURE:
                require_measure(node, kinds)
            kind = unit_of(node, kinds)
            whose = sized_by(node, kinds, self._whose)
            if slot.want is Want.PRICE and whose:
                raise ExpressionError(
                    f"this is a price of {whose}, and one of the symbol itself is needed", node.column
                )
            check_looking_back(node, self._span, self._threshold_values)
            weight = check_weight(node, self._weights)
        except ExpressionError as error:
            self._complain(slot.path, error.message, offset=error.column)
            return None
        if slot.path[0] in ("choices", "define"):
            alias = str(slot.path[1])
            span = span_of(node, self._span)
            self._sized_by[alias] = whose or ""
            self._of_words.update({alias} if any(used in self._of_words for used in _used(slot)) else ())
            self._spans[alias] = span.plus(self._spans.get(alias, Span()))
            self._weights[alias] = max(weight, self._weights.get(alias, weight), key=lambda each: each.nodes)
        return kind

    def _whose(self, name: Name) -> str:
        """The symbol whose prices a name stands for; empty for the one that is decided on."""
        return name.symbol or self._sized_by.get(name.name, "")

    def _span(self, name: str) -> Span:
        symbol, _, own = name.rpartition(".")
        if own in self._features:
            feature = replace(self._features[own], symbol=symbol)
            return Span(frozenset({feature.candles}), "" if feature.indicator else name)
        if name in self._words or (name in LOCAL_NAMES and name not in self._kinds):
            return Span(fixed=name)
        return self._spans.get(name, Span())

    def _threshold_values(self, name: str) -> list[float] | None:
        """What a threshold is for all symbols, and for each that has a value of its own."""
        written = mapping(at(self._data, "thresholds"))
        if name not in written:
            return None
        overrides = mapping(at(self._data, "symbols")).values()
        own = [mapping(at(override, "thresholds")) for override in overrides]
        values = [written[name], *(values[name] for values in own if name in values)]
        return [value for value in values if isinstance(value, (int, float))]  # others are told by the schema

    def _kinds_in(self, node: Node) -> dict[str, ValueUnit] | None:
        known = {**_CLOCK_KINDS, **self._words, **self._kinds, **_LOCAL_KINDS}
        kinds: dict[str, ValueUnit] = {}
        for name in names_in(node):
            kind = known.get(name.own) if name.symbol else known.get(name.name)
            if kind is None:
                return None
            kinds[name.name] = kind
        return kinds

    def _check_name(self, slot: Slot, name: Name) -> None:
        declared = self._kinds
        if name.symbol:
            message = self._elsewhere(name)
            if not message:
                return
        elif name.name in LOCAL_NAMES and name.name not in slot.local_names:
            usable = f"; usable here: {', '.join(slot.local_names)}" if slot.local_names else ""
            message = f"{name.name} is not known here yet{usable}"
        elif slot.in_choice and name.name in mapping(at(self._data, "choices")):
            message = "a choice cannot use another choice"
        elif name.name in self._of_words and slot.path[0] == "regimes":
            what = "of the moment" if name.name in MOMENT_WORDS else "of the regime in force"
            message = f"{name.name} speaks {what}, which is not known where regimes are told: strategies may name it"
        elif not {name.name} & {*declared, *LOCAL_NAMES, *_CLOCK_KINDS, *self._words}:
            meant = hint(name.name, [*declared, *slot.local_names, *_CLOCK_KINDS, *self._words])
            message = f"no feature, threshold, choice or definition is called {name.name}{meant}"
        elif name.offset and not self._has_past(name.name):
            message = f"{name.name} has no earlier candles: only features do"
        else:
            return
        self._complain(slot.path, message, offset=name.column)

    def _elsewhere(self, name: Name) -> str:
        """What is wrong with the name of another symbol's feature; its candles are looked for where they are read."""
        features = mapping(at(self._data, "features"))
        if name.own not in features:
            what = "it is a feature of this file that is read of another symbol"
            return f"{name.own} is no feature: {what}{hint(name.own, features)}"
        return f"{name.name} has no earlier candles" if name.offset and not self._has_past(name.own) else ""

    def _has_past(self, name: str) -> bool:
        written = mapping(at(self._data, "features")).get(name)
        if written is not None:
            return bool(at(written, "indicator") != CANDLE_CLOSED)
        is_number = name in LOCAL_NAMES or name in mapping(at(self._data, "thresholds"))
        return not is_number and not self._span(name).fixed


def _used(slot: Slot) -> list[str]:
    try:
        return [name.name for name in names_in(parse(slot.text))]
    except ExpressionError:
        return []  # told where the expression is checked
