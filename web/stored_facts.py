"""What the rules of a symbol read at candles that are stored: rules by their hash, and facts calculated again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec

from rules.compiled_rules import CompiledRules
from rules.facts import CANDLES_MIN, FactTable
from rules.load import Ruleset, SourceError, stored_rules
from rules.past_facts import Row, agrees, hole_of, past_table, seen_at, symbols_read
from rules.regime import RegimeState
from rules.source.yaml_source import parse_source
from store import queries
from store.database import Store
from store.views import CurrentDecision

RULESETS_KEPT = 4
"""Rules that are kept compiled: those in force, and those that open trades still keep."""

HOLE = "CANDLE_HOLE"
HOLES_MAX = 10_000
_CANDLES = """
    SELECT open_time_ms, open, high, low, close, volume FROM candles
    WHERE symbol = ? AND timeframe = ? AND open_time_ms >= ? AND open_time_ms <= ? ORDER BY open_time_ms"""


class Seen(msgspec.Struct, frozen=True):
    """What a decision read."""

    facts: dict[str, float | None] = {}
    regime: RegimeState = RegimeState()


class _Rulesets:
    """Compiled rules by hash, for several threads."""

    def __init__(self) -> None:
        self._known: dict[str, Ruleset | None] = {}
        self._turn = threading.Lock()

    def of(self, store: Store, rules_hash: str) -> Ruleset | None:
        """The rules that a hash stands for, None when they are not stored or can no longer be read."""
        with self._turn:
            if rules_hash not in self._known:
                text = queries.rules_text(store, rules_hash)
                while len(self._known) >= RULESETS_KEPT:
                    del self._known[next(iter(self._known))]
                self._known[rules_hash] = None if text is None else _parsed(text, rules_hash)
            return self._known[rules_hash]


RULESETS = _Rulesets()


def _parsed(text: str, rules_hash: str) -> Ruleset | None:
    try:
        return stored_rules(text, f"rules {rules_hash[:12]}")
    except SourceError:
        return None


def seen_in(facts_json: str) -> Seen:
    return msgspec.json.decode(facts_json, type=Seen)


def seen_by(store: Store, decided: CurrentDecision, rules: CompiledRules, candle_ms: int) -> Seen | None:
    """What the decision at one candle of a stretch read: as it was recorded, or calculated again from the stored
    candles; None where these do not give again what the first candle recorded."""
    if candle_ms == decided.candle_ms:
        return seen_in(decided.first_facts_json)
    if decided.open and candle_ms == decided.last_ms:
        return seen_in(decided.facts_json)
    table = table_until(store, decided, rules, candle_ms + rules.entry_timeframe.ms)
    first = seen_in(decided.first_facts_json)
    if table is None or not table.length or int(table.candle_ms[-1]) != candle_ms:
        return None
    if not agrees(table, first.facts, first.regime, decided.candle_ms):
        return None
    return Seen(*seen_at(table, first.facts, first.regime, decided.candle_ms, candle_ms))


def table_until(store: Store, decided: CurrentDecision, rules: CompiledRules, closed_ms: int) -> FactTable | None:
    """What the rules read at every stored candle that had closed by then."""
    whose = symbols_read(rules, decided.symbol)
    events = [row for row in queries.system_events(store, kind=HOLE, limit=HOLES_MAX) if row.symbol in whose]
    found = {name: {hole_of(row.facts_json) for row in events if row.symbol == name} for name in whose}
    holes = {name: sorted(each, key=lambda hole: (hole.first_ms, hole.timeframe.ms)) for name, each in found.items()}

    def read(symbol: str, timeframe: str, last_ms: int, whole: bool) -> Iterator[Row]:
        since_ms = 0 if whole else queries.series_anchor(store, symbol, timeframe) or 0
        rows = store.connection.execute(_CANDLES, (symbol, timeframe, since_ms, last_ms))
        return ((int(at_ms), *map(float, numbers)) for at_ms, *numbers in rows)  # type: ignore[misc]

    return past_table(rules, decided.symbol, read, holes, closed_ms, _candles_min(store, decided.config_hash))


def _candles_min(store: Store, config_hash: str) -> int:
    """As config.yaml had it when the decision was taken."""
    text = queries.config_text(store, config_hash)
    try:
        settings = parse_source(text or "", "config").data
    except SourceError:
        return CANDLES_MIN
    section = settings.get("market_data") if isinstance(settings, dict) else None
    found = section.get("candles_min") if isinstance(section, dict) else None
    return found if isinstance(found, int) else CANDLES_MIN
