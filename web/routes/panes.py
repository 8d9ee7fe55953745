"""Answers about a symbol's chart: exactly what its rules read, candle by candle, in panes by unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from rules.compiled_rules import CompiledRules, feature_name
from rules.facts import FactTable
from rules.features import Feature
from rules.language.syntax import Comparison, Name, Node, Number, walk
from rules.language.units import ValueUnit as Unit
from rules.past_facts import values_at
from store import queries
from store.database import Store
from store.rows import CandleRow
from store.views import CurrentDecision
from web.endpoint import Context, Endpoint, When, milliseconds
from web.endpoint import Name as SymbolName
from web.errors import not_found
from web.routes.timeframes import Timeframe, length_ms
from web.stored_facts import RULESETS, table_until

CANDLE_FIELDS = ("open", "high", "low", "close")
CANDLES_PANE, DIFFERENCES_PANE = "candles", "price differences"
NEAR_MIN, NEAR_MAX = 0.5, 2.0
"""A median value within these multiples of the close stands where the candles are."""

REGIMES = "regimes"
CHANGES_MAX = 5_000


class PanesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the newest ``limit`` candles that open before ``until``."""

    symbol: SymbolName
    timeframe: Timeframe = "1h"
    until: When | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=2_000)] = 500


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One indicator that the rules read. ``values`` stand beside ``times_ms``; null where the rules had none.

    ``pane``: where it is drawn; prices stand on the candles themselves, differences of prices do not. ``is_candle``: a
    candle shows it anyway. ``levels``: numbers that the rules compare it with. ``read_by``: "regimes", and strategies.
    """

    name: str
    what: str
    unit: str
    pane: str
    timeframe: str
    symbol: str
    is_candle: bool
    levels: list[float]
    read_by: list[str]
    values: list[float | None]


class Panes(msgspec.Struct, frozen=True, kw_only=True):
    """``times_ms`` are open times of candles; a value is what the rules read when that candle closed, ``regimes`` what
    was in force then. ``now``: whose rules matter most, of the open trade or the present regime."""

    symbol: str
    timeframe: str
    entry_timeframe: str
    rules_hash: str
    times_ms: list[int]
    regimes: list[str | None]
    now: list[str]
    lines: list[Line]


def panes(store: Store, query: PanesQuery, context: Context) -> Panes:
    until_ms = milliseconds(query.until, "until")
    decided = queries.decision_at(store, query.symbol)
    ruleset = None if decided is None else RULESETS.of(store, decided.rules_hash)
    if decided is None or ruleset is None:
        raise not_found(f"no decision about {query.symbol} is stored with its rules", "they come with its first close")
    rules, step_ms = ruleset.for_symbol(query.symbol), length_ms(query.timeframe)
    candles = queries.candles(store, query.symbol, query.timeframe, until_ms=until_ms, limit=query.limit)
    times_ms = [row.open_time_ms for row in candles]
    closed_ms = times_ms[-1] + step_ms if times_ms else 0
    table = table_until(store, decided, rules, closed_ms)
    ends_ms = [time_ms + step_ms for time_ms in times_ms]
    return Panes(
        symbol=query.symbol,
        timeframe=query.timeframe,
        entry_timeframe=rules.entry_timeframe.value,
        rules_hash=decided.rules_hash,
        times_ms=times_ms,
        regimes=_regimes(store, query.symbol, ends_ms),
        now=_now(store, rules, decided),
        lines=[_line(rules, feature, table, ends_ms, candles) for feature in _features(rules)],
    )


def _features(rules: CompiledRules) -> list[Feature]:
    return [rules.features[name] for name in sorted({feature_name(key) for key in rules.fact_keys})]


def _regimes(store: Store, symbol: str, ends_ms: list[int]) -> list[str | None]:
    changes = queries.regimes(store, symbol, limit=CHANGES_MAX)[::-1]
    found: list[str | None] = []
    place = 0
    for end_ms in ends_ms:
        while place < len(changes) and changes[place].at_ms <= end_ms:
            place += 1
        found.append(changes[place - 1].regime if place else None)
    return found


def _now(store: Store, rules: CompiledRules, decided: CurrentDecision) -> list[str]:
    held = next((row for row in queries.positions(store) if row.symbol == decided.symbol), None)
    trade = queries.trade(store, held.trade_id) if held is not None else None
    if trade is not None and trade.strategy_used in rules.strategies:
        return [trade.strategy_used]
    return list(rules.route(decided.regime or "").strategies) or [REGIMES]


def _line(
    rules: CompiledRules,
    feature: Feature,
    table: FactTable | None,
    ends_ms: list[int],
    candles: list[CandleRow],
) -> Line:
    values: list[float | None] = [None] * len(candles)
    if table is not None:
        values = values_at(table, feature.name, ends_ms)
    measured = feature.indicator.name if feature.indicator else ""
    return Line(
        name=feature.name,
        what=feature.what,
        unit=feature.unit.value,
        pane=_pane(feature, values, candles),
        timeframe=feature.timeframe.value,
        symbol=feature.symbol,
        is_candle=measured in CANDLE_FIELDS and not feature.symbol and feature.timeframe == rules.entry_timeframe,
        levels=sorted(set(_levels(rules, feature.name))),
        read_by=_readers(rules, feature.name),
        values=values,
    )


def _readers(rules: CompiledRules, name: str) -> list[str]:
    keys = {REGIMES: rules.regime_fact_keys}
    keys |= {strategy: rules.strategy_fact_keys(strategy) for strategy in rules.strategies}
    return [who for who, read in keys.items() if any(feature_name(key) == name for key in read)]


def _pane(feature: Feature, values: list[float | None], candles: list[CandleRow]) -> str:
    """By unit. A price of another symbol is on another scale than the candles, and so is a difference of prices, such
    as an average range: whatever is not where the candles are."""
    unit = feature.unit.value
    if unit in (Unit.PRICE, Unit.VOLUME) and feature.symbol:
        return f"{unit} of {feature.symbol}"
    if unit != Unit.PRICE:
        return unit
    shares = sorted(value / row.close for value, row in zip(values, candles, strict=True) if value is not None)
    near = not shares or NEAR_MIN < shares[len(shares) // 2] < NEAR_MAX
    return CANDLES_PANE if near else DIFFERENCES_PANE


def _levels(rules: CompiledRules, name: str) -> Iterator[float]:
    """Numbers that a condition compares a feature with."""
    for node in _nodes(rules):
        for part in walk(node):
            if isinstance(part, Comparison):
                for one, other in ((part.left, part.right), (part.right, part.left)):
                    if isinstance(one, Name) and feature_name(one.key) == name and isinstance(other, Number):
                        yield float(other.value)


def _nodes(rules: CompiledRules) -> Iterator[Node]:
    for regime in rules.classifier.rules:
        yield from (*regime.enter.nodes, *regime.stay.nodes)
    for strategy in rules.strategies.values():
        for side in strategy.sides:
            for conditions in (side.setup, side.accept, side.exit_when):
                yield from conditions.nodes if conditions is not None else ()


READS = (
    Endpoint(
        path="/api/panes/{symbol}",
        summary="Exactly the indicators that a symbol's rules read, at each candle, by the pane they belong to",
        query=PanesQuery,
        answer=Panes,
        read=panes,
        may_miss=True,
    ),
)
