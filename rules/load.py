"""Loads a rules file: reads it, checks it in every way, and gives the rules of each symbol, or all that is wrong.

Rules that are *offered*, in a file or as a text, pass every check of today. Rules that a journal *stores* were offered
once: of them only what it takes to read them is asked, so that a stricter check never makes a journal unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from indicators.candle import Timeframe
from rules.compiled_rules import CompiledRules, compile_rules
from rules.content_hash import hash_of
from rules.definition import Definition, StrategyDefinition
from rules.features import length_of
from rules.lint import lint, warnings
from rules.semantic_checks import check_semantics
from rules.source.schema import SCHEMA
from rules.source.yaml_source import Problem, Source, SourceError, parse_source, read_source, validate

__all__ = ["CompiledRules", "Ruleset", "SourceError", "load_rules", "parse_rules", "stored_rules"]


class Ruleset:
    """Rules that have passed every check. ``warnings`` are worth showing and do not keep them from being used."""

    def __init__(self, source: Source, definition: Definition, idle: Sequence[Problem] = ()) -> None:
        """``idle``: what would be wrong with parts that are switched off."""
        self.name = source.name
        self.text = source.text
        self.definition = definition
        self.hash = hash_of(definition)
        self._source, self._idle = source, tuple(idle)
        self._general = compile_rules(definition.for_symbol(""))
        self._own: dict[str, CompiledRules] = {}

    @cached_property
    def warnings(self) -> tuple[Problem, ...]:
        """Looked for when somebody asks: of thousands of variants in a search nobody does."""
        return tuple(_sorted([*self._idle, *warnings(self._source, self.definition)]))

    def for_symbol(self, symbol: str) -> CompiledRules:
        """The rules as they hold for a symbol, with its own values filled in; the same object at every call."""
        if symbol not in self.definition.symbols:
            return self._general
        if symbol not in self._own:
            self._own[symbol] = compile_rules(self.definition.for_symbol(symbol))
        return self._own[symbol]

    @property
    def timeframes(self) -> frozenset[Timeframe]:
        """The timeframes whose candles the rules read, for any symbol and of any."""
        return frozenset(length_of(read) for rules in self._each() for read in rules.candles)

    @property
    def other_symbols(self) -> tuple[str, ...]:
        """The symbols of which an expression names features, in order."""
        return tuple(sorted({read.symbol for rules in self._each() for read in rules.others}))

    def _each(self) -> Iterator[CompiledRules]:
        yield self._general
        yield from map(self.for_symbol, self.definition.symbols)

    @property
    def strategies(self) -> Mapping[str, StrategyDefinition]:
        """The strategies by name, in the order of the file."""
        return self.definition.strategies


def load_rules(path: str | Path) -> Ruleset:
    """The rules in a file. Raises SourceError with every problem found, each with its place."""
    source = read_source(path)
    return Ruleset(*_offered(source.text, source.name))


def parse_rules(text: str, name: str) -> Ruleset:
    """The rules in a text that is offered; ``name`` stands for the file in problems. Raises SourceError."""
    return Ruleset(*_offered(text, name))


def stored_rules(text: str, name: str) -> Ruleset:
    """The rules of a version that a journal keeps, whatever is asked of a new one today. Raises SourceError."""
    source = parse_source(text, name)
    return Ruleset(source, _read(source))


@lru_cache(maxsize=4)  # a bot reads its file again and again; shadows and comparisons have another or two beside it
def _offered(text: str, name: str) -> tuple[Source, Definition, tuple[Problem, ...]]:
    """What passed every check, with what would be wrong with parts that are switched off."""
    source = parse_source(text, name)
    definition = _read(source)
    problems, idle = lint(source, definition)
    if problems:
        raise SourceError(_sorted(problems))
    return source, definition, tuple(idle)


def _read(source: Source) -> Definition:
    """What it says, if it can be read. Raises SourceError."""
    problems = [*validate(source, SCHEMA), *check_semantics(source)]
    if problems:
        raise SourceError(_sorted(problems))
    return Definition.of(source.data)


def _sorted(problems: list[Problem]) -> list[Problem]:
    return sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.message))
