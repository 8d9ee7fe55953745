"""Takes every recorded decision again from the journal alone and compares: the proof that decisions are data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import localcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from exchange.filters import SymbolFilters
from exchange.recorded_words import UNREAD, RecordedWords
from exchange.types import Bracket, MarkPrice
from fsm.config import stored_settings
from fsm.core.candle_close import decide_candle
from fsm.core.decide import decide
from fsm.core.model.decision_context import NO_PORTFOLIO, DecisionContext, Portfolio
from fsm.core.model.events import CandleClosed, SymbolEvent
from fsm.core.model.money import MONEY
from fsm.core.model.policy import Policy
from fsm.core.model.records import SymbolRecord
from fsm.journal.engine_journal import to_json
from fsm.journal.recorded_events import in_our_words
from fsm.journal.symbol_lists import KIND, SymbolList, made_again
from fsm.journal.symbol_lists import read as read_list
from rules.load import Ruleset, stored_rules
from rules.regime import RegimeState
from store.cuts import pruned
from store.database import open_store

Progress = Callable[[str, int, int], None]
PROGRESS_EVERY = 500
DIFFERENCES_KEPT = 100
TEXTS_KEPT = 64
"""Rules and configs that stay parsed for the next replay: proofs replay thousands of journals of the same ones."""


class Difference(msgspec.Struct, frozen=True):
    """One decision that came out otherwise: which row, what of it, what was recorded and what came out."""

    table: str
    id: int
    what: str
    recorded: str
    decided: str


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many recorded decisions came out the same. The first differences are kept, all are counted."""

    identical: int
    different: int
    transitions: int
    decisions: int
    symbol_lists: int = 0
    differences: tuple[Difference, ...]


class ReplayError(Exception):
    """The journal lacks what its decisions were taken with; the message says what."""


class _World(msgspec.Struct, frozen=True):
    """Filters, brackets and machine that a run started with, or went on with under another id (START, SYMBOL_RULES)."""

    filters: dict[str, SymbolFilters]
    brackets: dict[str, tuple[Bracket, ...]]
    edition: int = 1


class _Effect(msgspec.Struct, frozen=True):
    """As text: it is compared as text, and only read where that differs."""

    record: msgspec.Raw
    intents: msgspec.Raw
    trade: msgspec.Raw = msgspec.Raw()


class _TransitionFacts(msgspec.Struct, frozen=True):
    portfolio: Portfolio | None = None
    blocked: str = ""


class _DecisionFacts(msgspec.Struct, frozen=True, kw_only=True):
    facts: dict[str, float | None]
    prices: MarkPrice
    regime: RegimeState
    regime_before: RegimeState
    portfolio: Portfolio
    record: SymbolRecord
    blocked_until_ms: int = 0
    warming: dict[str, str] = {}


_read_effect = msgspec.json.Decoder(_Effect).decode
_read_record = msgspec.json.Decoder(SymbolRecord).decode
_read_event = msgspec.json.Decoder[SymbolEvent](SymbolEvent).decode
_read_transition_facts = msgspec.json.Decoder(_TransitionFacts).decode
_read_decision_facts = msgspec.json.Decoder(_DecisionFacts).decode


def _quiet(phase: str, done: int, total: int) -> None:
    del phase, done, total


def replay(path: Path, *, words: RecordedWords = UNREAD, progress: Progress = _quiet) -> ReplayReport:
    """Re-decide a whole database; ``words`` reads rows of 0.1.0.

    Raises StoreError when it cannot be read and ReplayError when it is incomplete.
    """
    with localcontext(MONEY), open_store(path, mode="read") as store:
        connection = store.connection
        database_id = store.identity.database_id if store.identity else ""
        settings = _Settings(connection, database_id, words)
        found: list[Difference] = []
        counts = {}
        for table, rows, check in _CHECKED:
            ((total,),) = connection.execute(f"SELECT count(*) FROM {rows}")  # noqa: S608 (our own names)
            different = 0
            for done, difference in enumerate(check(connection, settings)):
                if done % PROGRESS_EVERY == 0:
                    progress(table, done, total)
                if difference is not None:
                    different += 1
                    if len(found) < DIFFERENCES_KEPT:
                        found.append(difference)
            progress(table, total, total)
            counts[table] = (total, different)
    different = sum(each for _, each in counts.values())
    checked = sum(total for total, _ in counts.values())
    return ReplayReport(
        identical=checked - different,
        different=different,
        transitions=counts["transitions"][0],
        decisions=counts["decisions"][0],
        symbol_lists=counts["symbol_lists"][0],
        differences=tuple(found),
    )


@lru_cache(maxsize=TEXTS_KEPT)
def _rules_of(text: str, name: str) -> Ruleset:
    return stored_rules(text, name)


@lru_cache(maxsize=TEXTS_KEPT)
def _policy_of(text: str, name: str) -> Policy:
    return stored_settings(text, name)


class _Settings:
    """The settings that a row was decided with, from the versions the journal keeps."""

    def __init__(self, connection: Any, database_id: str, words: RecordedWords) -> None:
        self.words = words
        self._database_id = database_id
        self._rules: dict[str, Ruleset] = {
            found: _rules_of(text, f"rules {found[:8]}")
            for found, text in connection.execute("SELECT rules_hash, text FROM rule_versions")
        }
        self._policies: dict[str, Policy] = {
            found: _policy_of(text, f"config {found[:8]}")
            for found, text in connection.execute("SELECT config_hash, text FROM config_versions")
        }
        self._worlds: dict[str, _World] = {
            run_id: msgspec.json.decode(facts, type=_World)
            for run_id, facts in connection.execute(
                "SELECT run_id, facts_json FROM system_events WHERE kind IN ('START', 'SYMBOL_RULES')"
            )
        }
        self._made: dict[tuple[str, str, str, str], DecisionContext] = {}

    def of(self, symbol: str, rules_hash: str, config_hash: str, run_id: str) -> DecisionContext:
        key = (symbol, rules_hash, config_hash, run_id)
        if key not in self._made:
            try:
                rules, policy, world = self._rules[rules_hash], self._policies[config_hash], self._worlds[run_id]
                self._made[key] = DecisionContext(
                    database_id=self._database_id,
                    config_hash=config_hash,
                    rules_hash=rules_hash,
                    policy=policy,
                    rules=rules.for_symbol(symbol),
                    filters=world.filters[symbol],
                    brackets=world.brackets[symbol],
                    edition=world.edition,
                )
            except KeyError as error:
                raise ReplayError(
                    f"the journal has no rules, config or start for {error} (run {run_id}); it cannot be replayed"
                ) from error
        return self._made[key]


def _transitions(connection: Any, settings: _Settings) -> Iterator[Difference | None]:
    """Each row: judge the event with the record before it and compare trigger, reason, guards and effect."""
    gone = pruned(connection)
    records = {symbol: _read_record(str(values[-1])) for symbol, values in gone.symbols.items()}
    rows = connection.execute(
        "SELECT id, symbol, trigger, reason, facts_json, guards_json, event_json, rules_hash, config_hash, run_id,"
        " effect_json FROM transitions ORDER BY id"
    )
    for (
        number,
        symbol,
        trigger,
        reason,
        facts,
        guards,
        event_json,
        rules_hash,
        config_hash,
        run_id,
        effect_json,
    ) in rows:
        effect = _read_effect(effect_json)
        before = records.get(symbol) or SymbolRecord(symbol=symbol)
        context = settings.of(symbol, rules_hash, config_hash, run_id).of(before.epoch)
        read = _read_transition_facts(facts)
        portfolio = read.portfolio or msgspec.structs.replace(NO_PORTFOLIO, blocked=read.blocked)
        event = in_our_words(_read_event(event_json), settings.words, context.edition)
        decided, after = _decided(before, event, portfolio, context)
        record = bytes(effect.record).decode()
        if after is None or record != decided["record"]:  # as an earlier version spelt it, or not the same
            after = _read_record(effect.record)
            record = to_json(after)
        records[symbol] = after
        intents = bytes(effect.intents).decode()
        recorded = {"trigger": trigger, "reason": reason, "guards": guards, "record": record, "intents": intents}
        yield _compare("transitions", number, recorded, decided)


def _decided(
    before: SymbolRecord, event: Any, portfolio: Portfolio, context: DecisionContext
) -> tuple[dict[str, str], SymbolRecord | None]:
    """What the engine makes of it now, and the record then; an exception is an outcome, and was journalled as one."""
    try:
        made = decide(before, event, portfolio, context)
    except Exception as error:
        return {"trigger": "quarantine", "reason": "EXCEPTION", "record": type(error).__name__}, None
    if made is None:
        return {"trigger": "nothing"}, None
    decided = {
        "trigger": made.trigger.value,
        "reason": made.reason,
        "guards": to_json(made.guards),
        "record": to_json(made.record),
        "intents": to_json(made.intents),
    }
    return decided, made.record


def _decisions(connection: Any, settings: _Settings) -> Iterator[Difference | None]:
    """Each row: classify and decide again from the facts of its first candle."""
    rows = connection.execute(
        "SELECT id, symbol, at_ms, candle_ms, outcome, reason, regime, guards_json, facts_json, rules_hash,"
        " config_hash, run_id FROM decisions ORDER BY id"
    )
    for (
        number,
        symbol,
        at_ms,
        candle_ms,
        outcome,
        reason,
        regime,
        guards,
        facts,
        rules_hash,
        config_hash,
        run_id,
    ) in rows:
        read = _read_decision_facts(facts)
        context = settings.of(symbol, rules_hash, config_hash, run_id).of(read.record.epoch)
        event = CandleClosed(
            symbol=symbol,
            at_ms=at_ms,
            candle_ms=candle_ms,
            facts=read.facts,
            regime=read.regime,
            prices=read.prices,
            blocked_until_ms=read.blocked_until_ms,
            warming=read.warming,
        )
        recorded = {"outcome": outcome, "reason": reason, "regime": regime, "guards": guards}
        recorded["state"] = to_json(read.regime)
        verdict = decide_candle(read.record, event, read.portfolio, context)
        state = context.rules.classify(read.facts, read.regime_before, candle_ms)
        decided = {
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "regime": state.regime,
            "guards": to_json(verdict.guards),
            "state": to_json(state),
        }
        yield _compare("decisions", number, recorded, decided)


def _symbol_lists(connection: Any, settings: _Settings) -> Iterator[Difference | None]:
    """Each list: made again of the answers that it was made of."""
    del settings
    before: SymbolList | None = None
    for number, facts in connection.execute(f"SELECT id, facts_json FROM {_LISTS} ORDER BY id"):  # noqa: S608
        found = read_list(facts)
        again = made_again(found, before)
        parts = ("listed", "entered", "left")
        recorded, decided = ({part: to_json(getattr(each, part)) for part in parts} for each in (found, again))
        before = found
        yield _compare("system_events", number, recorded, decided)


_LISTS = f"system_events WHERE kind = '{KIND}'"
_CHECKED = (
    ("transitions", "transitions", _transitions),
    ("decisions", "decisions", _decisions),
    ("symbol_lists", _LISTS, _symbol_lists),
)


def _compare(table: str, number: int, recorded: dict[str, str], decided: dict[str, str]) -> Difference | None:
    """The first part that differs. A decision that ended in an exception only has its trigger and reason to compare."""
    if recorded.get("reason") == "EXCEPTION" and decided.get("reason") == "EXCEPTION":
        return None
    for what, was in recorded.items():
        now = decided.get(what, "")
        if was != now:
            return Difference(table, number, what, was, now)
    return None
