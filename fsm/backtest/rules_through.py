"""The rules of the symbols through a run: those that it begins with, and each change of them on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from exchange.filters import UNKNOWN, SymbolFilters
from exchange.sim.playback.past_ticks import ShownDecimals, TickSpan
from exchange.sim.playback.rulebook import SHIPPED_FILTERS, Rulebook
from exchange.types import Bracket
from store import queries
from store.database import Store

Filters = Mapping[str, SymbolFilters]
Brackets = Mapping[str, tuple[Bracket, ...]]
Shown = Mapping[str, Sequence[ShownDecimals]]

RULES_EVENTS = ("START", "SYMBOL_RULES")
"""Kinds of system events that tell the rules of symbols."""


class ToldRules(msgspec.Struct, frozen=True):
    """What an exchange said of symbols, from a moment on."""

    at_ms: int
    filters: dict[str, SymbolFilters]
    brackets: dict[str, tuple[Bracket, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesFrom:
    """Rules in force from a moment on, of every symbol of a run."""

    at_ms: int
    filters: Filters
    brackets: Brackets

    def changed_from(self, before: RulesFrom) -> list[str]:
        """Symbols of which something else is said."""
        return [
            symbol
            for symbol in self.filters
            if (self.filters[symbol], self.brackets[symbol]) != (before.filters[symbol], before.brackets[symbol])
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesThrough:
    """``book`` is as of the beginning; ``changes`` come later. ``ticks`` has each price step of a symbol."""

    book: Rulebook
    begins: RulesFrom
    changes: tuple[RulesFrom, ...]
    ticks: Mapping[str, tuple[TickSpan, ...]]


def rules_through(
    read: Callable[[int], Rulebook],
    shown: Shown,
    from_ms: int,
    to_ms: int,
    *,
    told: Sequence[ToldRules] = (),
    are_held: bool = False,
) -> RulesThrough:
    """What applies between two moments. ``read`` gives the written rules of a moment, ``shown`` what candles show.

    ``told``: what an exchange said, which wins. ``are_held``: nothing changes on the way. Raises what ``read`` raises.
    """
    symbols = tuple(shown)
    moments = () if are_held else _moments(read(from_ms), shown, [each.at_ms for each in told], from_ms, to_ms)
    books = [(at_ms, *read(at_ms).of_candles(shown, at_ms)) for at_ms in (from_ms, *moments)]
    begins, *later = (_rules(book, symbols, told, at_ms) for at_ms, book, _ in books)
    changes: list[RulesFrom] = []
    for rules in later:
        if rules.changed_from(changes[-1] if changes else begins):
            changes.append(rules)
    ticks = {} if told else _spans(known for _, _, known in books)
    return RulesThrough(book=books[0][1], begins=begins, changes=tuple(changes), ticks=ticks)


def ticks_through(
    read: Callable[[int], Rulebook], shown: Shown, from_ms: int, to_ms: int
) -> dict[str, tuple[TickSpan, ...]]:
    """The price steps between two moments, of symbols whose rules are known. Raises what ``read`` raises."""
    moments = (from_ms, *_moments(read(from_ms), shown, (), from_ms, to_ms))
    return _spans(read(at_ms).of_candles(shown, at_ms)[1] for at_ms in moments)


def _spans(known: Iterable[Mapping[str, TickSpan]]) -> dict[str, tuple[TickSpan, ...]]:
    """What is the same one after the other is one span."""
    found: dict[str, list[TickSpan]] = {}
    for moment in known:
        for symbol, span in moment.items():
            spans = found.setdefault(symbol, [])
            if not spans or (span.tick, span.known) != (spans[-1].tick, spans[-1].known):
                spans.append(span)
    return {symbol: tuple(spans) for symbol, spans in found.items()}


class RuleChanges:
    """Tells of each change at the first instant that is not before it. Instants lie ``step_ms`` apart."""

    def __init__(self, changes: Sequence[RulesFrom], step_ms: int, take: Callable[[RulesFrom], None]) -> None:
        self._waiting = deque(changes)
        self._step_ms = step_ms
        self._take = take

    def next_ms(self, last_ms: int) -> int:
        """The instant of the next change, and at most this one."""
        if not self._waiting:
            return last_ms
        return min(last_ms, -(-self._waiting[0].at_ms // self._step_ms) * self._step_ms)

    def come(self, now_ms: int) -> None:
        while self._waiting and self._waiting[0].at_ms <= now_ms:
            self._take(self._waiting.popleft())


def told_rules(store: Store) -> tuple[ToldRules, ...]:
    """What a journal's exchange said of its symbols, oldest first."""
    found = []
    for row in queries.events_of(store, RULES_EVENTS):
        told = msgspec.json.decode(row.facts_json, type=_Told)
        filters = {name: each for name, each in told.filters.items() if each.contract_type != UNKNOWN}
        found.append(ToldRules(row.at_ms, filters, {name: each for name, each in told.brackets.items() if each}))
    return tuple(found)


class _Told(msgspec.Struct, frozen=True):
    filters: dict[str, SymbolFilters] = {}
    brackets: dict[str, tuple[Bracket, ...]] = {}


def _rules(book: Rulebook, symbols: Sequence[str], told: Sequence[ToldRules], at_ms: int) -> RulesFrom:
    filters, brackets = dict(book.filters), dict(book.brackets)
    for each in told:
        if each.at_ms <= at_ms or each is told[0]:
            filters.update(each.filters)
            brackets.update(each.brackets)
    return RulesFrom(
        at_ms=at_ms,
        filters={symbol: filters[symbol] for symbol in symbols},
        brackets={symbol: brackets[symbol] for symbol in symbols},
    )


def _moments(book: Rulebook, shown: Shown, told_ms: Iterable[int], from_ms: int, to_ms: int) -> tuple[int, ...]:
    """When anything may change."""
    dated = [book.dated[symbol] for symbol in shown if symbol in book.dated]
    days = {_midnight_ms(day) for each in dated for day in (*each.changes, SHIPPED_FILTERS)}
    found = days | {each.since_ms for stretches in shown.values() for each in stretches} | {*told_ms}
    return tuple(sorted(at_ms for at_ms in found if from_ms < at_ms < to_ms))


def _midnight_ms(day: str) -> int:
    return round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1_000)
