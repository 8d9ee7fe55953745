"""Explains from the database alone why a symbol did, or did not, trade at a candle.

A stretch of equal decisions is stored with the numbers of its first candle (the newest stretch also with those of its
last). The numbers of a candle between are calculated again, from the candles, the rules and the regime that are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from fsm.config import stored_settings
from fsm.core.model.decision import Guard, failed
from fsm.core.model.decision_context import Portfolio
from fsm.core.model.records import State, SymbolRecord
from fsm.journal.candle_holes import stored_holes
from rules.compiled_rules import CompiledRules
from rules.condition_tree import Candidate, ConditionScope, candidates, scopes, tree
from rules.conditions import ConditionTrace
from rules.explain import Why
from rules.explain import why as explain_rules
from rules.facts import FactTable
from rules.language.truth import all_of
from rules.load import Ruleset, stored_rules
from rules.nearness import nearness_of
from rules.past_facts import Row, agrees, past_table, seen_at, symbols_read
from rules.regime import RegimeState
from rules.source.yaml_source import SourceError
from rules.warmup import in_words
from store import queries
from store.database import Store
from store.errors import DatabaseDamaged
from store.sqlite import reading

TEXTS_KEPT = 8


class NothingDecided(LookupError):
    """There is no decision to explain; ``hint`` says what to ask for instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Numbers(StrEnum):
    """Where the numbers of an explanation come from."""

    RECORDED = "recorded"  # journalled with the decision
    RECOMPUTED = "recomputed"  # calculated again from the stored candles
    FIRST = "first"  # those of the stretch's first candle: the stored candles do not give them again


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision read, as the journal keeps it; ``record`` is the symbol's before the decision."""

    facts: dict[str, float | None]
    regime: RegimeState
    record: SymbolRecord
    portfolio: Portfolio | None = None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Decisions that said the same: the first candle's numbers, and the last one's where the stretch still goes on."""

    at_ms: int
    candle_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    guards: tuple[Guard, ...]
    rules_hash: str
    config_hash: str
    first: Seen
    last: Seen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One decision with everything behind it. Times in ms; a candle is named by its open time.

    ``conditions`` are those of ``rules`` and of the open trade's end as trees, with distances as traders measure them;
    ``nearest`` are the sides whose setup was asked. ``asked_ms`` is the candle that was asked for, where nothing was
    decided at it: then the last one before is explained. ``guards`` and ``portfolio`` are those of the stretch's first
    candle.
    """

    symbol: str
    candle_ms: int
    closed_ms: int
    asked_ms: int | None
    first_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    summary: str
    numbers: Numbers
    rules: Why
    exit_conditions: tuple[ConditionTrace, ...]
    conditions: tuple[ConditionScope, ...]
    nearest: tuple[Candidate, ...]
    guards: tuple[Guard, ...]
    record: SymbolRecord
    portfolio: Portfolio | None
    rules_hash: str
    config_hash: str

    def document(self) -> dict[str, Any]:
        """The same as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def explain(store: Store, symbol: str, at_ms: int | None = None) -> Explanation:
    """Explain the decision at the newest candle that had closed at an instant, or the newest decision of all.

    Raises NothingDecided; StoreError, also for rows that no longer say what a decision needs.
    """
    try:
        with reading(store.path):
            return _explain(store, symbol, at_ms)
    except (msgspec.MsgspecError, ArithmeticError, ValueError, SourceError) as error:
        what = str(error).partition("\n")[0]
        message = f"{store.path}: what is stored about this decision cannot be read: {what}"
        raise DatabaseDamaged(message, "find the row with `audit verify`") from error


def _explain(store: Store, symbol: str, at_ms: int | None) -> Explanation:
    stretch = _stretch(store, symbol, at_ms)
    rules = _rules(store, symbol, stretch.rules_hash)
    if at_ms is None:
        return _explanation(store, symbol, stretch, rules, stretch.last_ms)
    wanted = rules.entry_timeframe.floor(at_ms) - rules.entry_timeframe.ms
    if stretch.candle_ms > wanted:
        stretch = _stretch(store, symbol, wanted + 1)
        rules = _rules(store, symbol, stretch.rules_hash)
    return _explanation(store, symbol, stretch, rules, wanted)


def _explanation(store: Store, symbol: str, stretch: Stretch, rules: CompiledRules, wanted_ms: int) -> Explanation:
    candle_ms = min(wanted_ms, stretch.last_ms)
    seen, numbers = _seen(store, symbol, stretch, rules, candle_ms)
    reasons, nearness = explain_rules(rules, seen.facts, seen.regime), nearness_of(rules, seen.facts)
    exits = _exit_conditions(rules, seen, candle_ms)
    ends = tree(exits, nearness)
    scoped = [ConditionScope(scope="exit", result=all_of(node.result for node in ends), nodes=ends)] if ends else []
    return Explanation(
        symbol=symbol,
        candle_ms=candle_ms,
        closed_ms=candle_ms + rules.entry_timeframe.ms,
        asked_ms=wanted_ms if wanted_ms > stretch.last_ms else None,
        first_ms=stretch.candle_ms,
        last_ms=stretch.last_ms,
        count=stretch.count,
        outcome=stretch.outcome,
        reason=stretch.reason,
        summary=in_words(stretch.reason, candle_ms + rules.entry_timeframe.ms)
        or _summary(stretch, reasons, seen.record),
        numbers=numbers,
        rules=reasons,
        exit_conditions=exits,
        conditions=(*scoped, *scopes(reasons, nearness)),
        nearest=candidates(reasons, nearness),
        guards=stretch.guards,
        record=seen.record,
        portfolio=stretch.first.portfolio,
        rules_hash=stretch.rules_hash,
        config_hash=stretch.config_hash,
    )


IN_WORDS = {
    "PROTECTION_UNPROVED": ": a position got no stop in time, and it is not proved again yet that one can be placed",
    "PROTECTION_TRIAL": ": a small position in another symbol is to show first that a stop can be placed",
    "PROTECTION": ": positions got no stop in time twice, with none confirmed between; it lasts until `resume`",
    "STRATEGY_RESTS": ": the strategy that gives the signal rests until `resume --strategy NAME`",
    "CLOSE_UNRESOLVED": ": a closing order that nobody heard of could still arrive; it ends by itself within a minute",
}
"""Reasons that a word does not explain."""

# --- in words -----------------------------------------------------------------------------------------


def _summary(stretch: Stretch, reasons: Why, record: SymbolRecord) -> str:
    """The reason in one sentence."""
    trade, refused = record.trade, failed(stretch.guards)
    match stretch.outcome:
        case "BLOCKED" if refused is not None:
            found = refused.value or "nothing"
            return f"{reasons.summary}; refused by {refused.name}: found {found}, needed {refused.limit}"
        case "BLOCKED":
            until = f" until {_utc(record.cooldown_until_ms)}" if stretch.reason == "COOLDOWN" else ""
            words = IN_WORDS.get(stretch.reason, "")
            return f"no entry is looked for: {stretch.reason}{until}{words}"
        case "HALTED":
            since = f" since {_utc(record.halt.since_ms)}" if record.halt else ""
            return f"halted{since}: {stretch.reason}"
        case "IN_TRADE" if trade is not None:
            stop = f", stop at {trade.stop.trigger_price}" if trade.stop else ""
            entry = trade.entry_price or trade.entry_price_planned
            held = f"{trade.side} {trade.open_quantity} from {Decimal(f'{entry:.8g}').normalize():f}{stop}"
            return f"in trade {trade.id} of {trade.strategy} ({held}): {stretch.reason}"
    return reasons.summary


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M} UTC"


def _exit_conditions(rules: CompiledRules, seen: Seen, candle_ms: int) -> tuple[ConditionTrace, ...]:
    """What would end the open trade, with its numbers; empty without a protected trade of a strategy."""
    trade = seen.record.trade
    if seen.record.state is not State.PROTECTED or trade is None or trade.stop is None:
        return ()
    if trade.strategy not in rules.strategies:
        return ()  # adopted: no strategy speaks for it
    entry = trade.entry_price or trade.entry_price_planned
    managed = rules.manage(
        trade.strategy,
        trade.side.value,
        seen.facts,
        entry=float(entry),
        stop=float(trade.stop.trigger_price),
        risk=float(abs(entry - trade.stop_price_initial)),
        candles_held=(candle_ms - trade.signal_candle_ms) // rules.entry_timeframe.ms,
    )
    return managed.traces


# --- what a candle between the ends of a stretch saw --------------------------------------------------


def _seen(store: Store, symbol: str, stretch: Stretch, rules: CompiledRules, candle_ms: int) -> tuple[Seen, Numbers]:
    if candle_ms == stretch.candle_ms:
        return stretch.first, Numbers.RECORDED
    if candle_ms == stretch.last_ms and stretch.last is not None:
        return stretch.last, Numbers.RECORDED
    table = _fact_table(store, symbol, stretch, rules, candle_ms)
    if table is None:
        return stretch.first, Numbers.FIRST
    first = stretch.first
    facts, regime = seen_at(table, first.facts, first.regime, stretch.candle_ms, candle_ms)
    record = _record(store, symbol, candle_ms + rules.entry_timeframe.ms) or first.record
    return Seen(facts=facts, regime=regime, record=record), Numbers.RECOMPUTED


def _fact_table(store: Store, symbol: str, stretch: Stretch, rules: CompiledRules, candle_ms: int) -> FactTable | None:
    """The facts up to a candle, from the stored candles; None unless they give what the first candle recorded."""
    closed_ms = candle_ms + rules.entry_timeframe.ms
    holes = {each: stored_holes(store, each) for each in symbols_read(rules, symbol)}

    def read(whose: str, timeframe: str, last_ms: int, whole: bool) -> Iterator[Row]:
        since_ms = 0 if whole else queries.series_anchor(store, whose, timeframe) or 0
        rows = store.connection.execute(_CANDLES, (whose, timeframe, since_ms, last_ms))
        return ((int(at_ms), *map(float, numbers)) for at_ms, *numbers in rows)  # type: ignore[misc]

    table = past_table(rules, symbol, read, holes, closed_ms, _candles_min(store, stretch.config_hash))
    if table is None or not table.length or int(table.candle_ms[-1]) != candle_ms:
        return None
    return table if agrees(table, stretch.first.facts, stretch.first.regime, stretch.candle_ms) else None


# --- reading ------------------------------------------------------------------------------------------


def _stretch(store: Store, symbol: str, before_ms: int | None) -> Stretch:
    """The newest stretch that began at a candle which opened before an instant."""
    limit = MS_MAX if before_ms is None else before_ms
    rows = [
        *store.connection.execute(_CLOSED_STRETCH, (symbol, limit)),
        *store.connection.execute(_OPEN_STRETCH, (symbol, limit)),
    ]
    if not rows:
        raise _nothing_decided(store, symbol)
    at_ms, candle_ms, last_ms, count, outcome, reason, guards, rules, config, first, last = max(
        rows, key=lambda row: int(row[1])
    )
    return Stretch(
        at_ms=at_ms,
        candle_ms=candle_ms,
        last_ms=last_ms,
        count=count,
        outcome=outcome,
        reason=reason,
        guards=msgspec.json.decode(guards, type=tuple[Guard, ...]),
        rules_hash=rules,
        config_hash=config,
        first=msgspec.json.decode(first, type=Seen),
        last=None if last is None else msgspec.json.decode(last, type=Seen),
    )


def _nothing_decided(store: Store, symbol: str) -> NothingDecided:
    first = store.connection.execute(_FIRST_DECISION, (symbol,)).get
    if first is not None:
        return NothingDecided(f"{symbol} was not decided on by then", f"its first decision is of {_utc(first)}")
    known = ", ".join(queries.decided_symbols(store))
    return NothingDecided(f"nothing was decided about {symbol}", f"there are decisions about {known or 'no symbol'}")


def _rules(store: Store, symbol: str, rules_hash: str) -> CompiledRules:
    text = _stored(queries.rules_text(store, rules_hash), "rules", rules_hash)
    return _read_rules(text, f"rules {rules_hash[:12]}").for_symbol(symbol)


@lru_cache(maxsize=TEXTS_KEPT)
def _read_rules(text: str, name: str) -> Ruleset:
    """Reading a file of rules takes most of the time that an explanation takes."""
    return stored_rules(text, name)


def _candles_min(store: Store, config_hash: str) -> int:
    text = _stored(queries.config_text(store, config_hash), "config", config_hash)
    return _read_candles_min(text, f"config {config_hash[:12]}")


@lru_cache(maxsize=TEXTS_KEPT)
def _read_candles_min(text: str, name: str) -> int:
    return stored_settings(text, name).market_data.candles_min


def _stored(text: str | None, what: str, wanted: str) -> str:
    if text is None:
        message = f"the {what} with hash {wanted[:12]} are not in the database"
        raise NothingDecided(message, "the decision cannot be explained; run `audit verify`")
    return text


def _record(store: Store, symbol: str, at_ms: int) -> SymbolRecord | None:
    """The symbol's record as it was at an instant; None before its first transition."""
    found = queries.transitions(store, queries.TransitionFilter(symbol=symbol, until_ms=at_ms + 1), limit=1).rows
    return msgspec.json.decode(found[0].effect_json, type=_Effect).record if found else None


class _Effect(msgspec.Struct, frozen=True):
    record: SymbolRecord


MS_MAX = 10**15

_CLOSED_STRETCH = """
    SELECT at_ms, candle_ms, last_ms, count, outcome, reason, guards_json, rules_hash, config_hash, facts_json, NULL
    FROM decisions WHERE symbol = ? AND candle_ms < ? ORDER BY candle_ms DESC, id DESC LIMIT 1"""
_OPEN_STRETCH = """
    SELECT at_ms, candle_ms, last_ms, count, outcome, reason, guards_json, rules_hash, config_hash, facts_json,
        last_facts_json
    FROM decision_stretches WHERE symbol = ? AND candle_ms < ?"""
_FIRST_DECISION = "SELECT min(at_ms) FROM decisions WHERE symbol = ?"
_CANDLES = """
    SELECT open_time_ms, open, high, low, close, volume FROM candles
    WHERE symbol = ? AND timeframe = ? AND open_time_ms >= ? AND open_time_ms <= ? ORDER BY open_time_ms"""
