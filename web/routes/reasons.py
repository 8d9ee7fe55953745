"""Answers to why: regimes with their hysteresis, reasons of each symbol, and the rules in force."""

from __future__ import annotations

from typing import Literal

import msgspec

from rules.condition_tree import Candidate, ConditionScope, candidates, scopes
from rules.conditions import ConditionTrace
from rules.explain import Why
from rules.explain import why as explain_rules
from rules.nearness import NearnessOf, nearness_of
from rules.regime import RegimeState
from rules.warmup import in_words
from store import queries
from store.database import Store
from store.queries.reasons import ReasonCount, reason_counts
from store.rows import RegimeRow
from store.views import CurrentDecision
from web.endpoint import Context, Endpoint, Name, NoQuery, When, milliseconds
from web.errors import not_found
from web.explaining import GuardView, guards_of
from web.stored_facts import RULESETS, Seen, seen_by, seen_in

REGIME_CHANGES_SHOWN = 60


class RegimeChange(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    regime: str
    previous: str | None
    confidence: float


class RegimeView(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's regime and how it stands against a change.

    The regime changes when ``pending`` was seen ``confirmations`` times or its confidence reaches
    ``override_confidence``, in either case only after ``dwell_candles`` runs; those three are None when the rules that
    were in force cannot be read. ``hysteresis`` says the same in words.
    """

    symbol: str
    regime: str
    confidence: float
    since_ms: int
    candle_ms: int
    candles_in_regime: int
    pending: str | None
    pending_count: int
    candidate: str
    candidate_confidence: float
    confirmations: int | None
    override_confidence: float | None
    dwell_candles: int | None
    hysteresis: str
    features: dict[str, float | None]
    changes: list[RegimeChange]


class Regimes(msgspec.Struct, frozen=True):
    regimes: list[RegimeView]


class WhyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``at``: the last decision whose candle had opened by then; without it, the newest."""

    symbol: Name
    at: When | None = None


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of the rules with its numbers. ``scope`` says whose it is, as in "TREND enter" or "LONG setup"."""

    scope: str
    trace: ConditionTrace


Numbers = Literal["recorded", "recomputed", "first"]


class WhyView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a symbol did, or did not, trade: alike from ``candle_ms`` to ``last_ms`` (``count`` candles).

    Numbers are those of ``at_candle_ms``: ``recorded`` with the decision, ``recomputed`` from the stored candles, or
    those of the ``first`` candle, where the stored candles do not give them again.

    ``conditions`` and ``trees`` are empty and ``hysteresis`` blank when the rules that were in force cannot be read.
    ``trees`` has the same conditions as they are written: alternatives below "any of", with distances as traders
    measure them.
    """

    symbol: str
    candle_ms: int
    last_ms: int
    at_candle_ms: int
    numbers: Numbers
    count: int
    outcome: str
    reason: str
    regime: str | None
    confidence: float | None
    summary: str
    hysteresis: str
    guards: list[GuardView]
    conditions: list[Condition]
    trees: list[ConditionScope]
    facts: dict[str, float | None]
    rules_hash: str


class WhyRow(msgspec.Struct, frozen=True, kw_only=True):
    """The present reason of one symbol; ``nearest`` is the side whose setup lacks the least, None: none was asked."""

    symbol: str
    candle_ms: int
    last_ms: int
    count: int
    outcome: str
    reason: str
    regime: str | None
    confidence: float | None
    summary: str
    nearest: Candidate | None


class WhyBoard(msgspec.Struct, frozen=True):
    """``closest``: symbols of which a setup was asked, the nearest to a trade first."""

    symbols: list[WhyRow]
    closest: list[str]


class ReasonsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of candles that opened in [since, until)."""

    symbol: Name | None = None
    since: When | None = None
    until: When | None = None


class ReasonCounts(msgspec.Struct, frozen=True):
    """By symbol, the most frequent first."""

    reasons: list[ReasonCount]


def regimes(store: Store, query: NoQuery, context: Context) -> Regimes:
    stable = {row.symbol: row for row in queries.latest_regimes(store)}
    decided = {row.symbol: row for row in queries.latest_decisions(store)}
    return Regimes(
        [_regime(store, name, decided.get(name), stable.get(name)) for name in sorted(stable.keys() | decided.keys())]
    )


def _regime(store: Store, symbol: str, decided: CurrentDecision | None, stable: RegimeRow | None) -> RegimeView:
    seen = seen_in(decided.facts_json) if decided else Seen()
    rules_hash = decided.rules_hash if decided else stable.rules_hash if stable else ""
    state = seen.regime if decided or stable is None else msgspec.json.decode(stable.counters_json, type=RegimeState)
    ruleset = RULESETS.of(store, rules_hash)
    rules = ruleset.for_symbol(symbol) if ruleset else None
    features = stable_features(seen, rules.regime_fact_keys if rules else ())
    return RegimeView(
        symbol=symbol,
        regime=state.regime,
        confidence=state.confidence,
        since_ms=state.since_ms,
        candle_ms=state.candle_ms,
        candles_in_regime=state.candles_in_regime,
        pending=state.pending,
        pending_count=state.pending_count,
        candidate=state.candidate,
        candidate_confidence=state.candidate_confidence,
        confirmations=rules.classifier.confirmations if rules else None,
        override_confidence=rules.classifier.override_confidence if rules else None,
        dwell_candles=rules.classifier.dwell_candles if rules else None,
        hysteresis=explain_rules(rules, seen.facts, state).hysteresis if rules else "",
        features=features,
        changes=[
            RegimeChange(at_ms=row.at_ms, regime=row.regime, previous=row.previous, confidence=row.confidence)
            for row in reversed(queries.regimes(store, symbol, limit=REGIME_CHANGES_SHOWN))
        ],
    )


def stable_features(seen: Seen, keys: tuple[str, ...]) -> dict[str, float | None]:
    """The facts that the classifier reads."""
    return {key: seen.facts.get(key) for key in keys}


def board(store: Store, query: NoQuery, context: Context) -> WhyBoard:
    rows = []
    for decided in queries.latest_decisions(store):
        seen = seen_in(decided.facts_json)
        reasons = reasons_of(store, decided, seen)
        near = candidates(reasons, nearness(store, decided, seen)) if reasons else ()
        rows.append(
            WhyRow(
                symbol=decided.symbol,
                candle_ms=decided.candle_ms,
                last_ms=decided.last_ms,
                count=decided.count,
                outcome=decided.outcome,
                reason=decided.reason,
                regime=decided.regime,
                confidence=decided.confidence,
                summary=summary_of(decided, reasons),
                nearest=next(iter(near), None),
            )
        )
    asked = sorted((each.lacking, each.steps, row.symbol) for row in rows if (each := row.nearest) is not None)
    return WhyBoard(rows, [symbol for _, _, symbol in asked])


def counts(store: Store, query: ReasonsQuery, context: Context) -> ReasonCounts:
    since_ms, until_ms = milliseconds(query.since, "since"), milliseconds(query.until, "until")
    return ReasonCounts(reason_counts(store, symbol=query.symbol, since_ms=since_ms or 0, until_ms=until_ms))


def why(store: Store, query: WhyQuery, context: Context) -> WhyView:
    at_ms = milliseconds(query.at, "at")
    decided = queries.decision_at(store, query.symbol, at_ms)
    if decided is None:
        known = ", ".join(row.symbol for row in queries.latest_decisions(store)) or "no symbol yet"
        raise not_found(f"nothing was decided about {query.symbol} by then", f"there are decisions about {known}")
    candle_ms, seen, numbers = _at_candle(store, decided, at_ms)
    reasons = reasons_of(store, decided, seen)
    return WhyView(
        symbol=decided.symbol,
        candle_ms=decided.candle_ms,
        last_ms=decided.last_ms,
        at_candle_ms=candle_ms,
        numbers=numbers,
        count=decided.count,
        outcome=decided.outcome,
        reason=decided.reason,
        regime=decided.regime,
        confidence=decided.confidence,
        summary=summary_of(decided, reasons),
        hysteresis=reasons.hysteresis if reasons else "",
        guards=guards_of(decided.guards_json),
        conditions=_conditions(reasons) if reasons else [],
        trees=list(scopes(reasons, nearness(store, decided, seen))) if reasons else [],
        facts=seen.facts,
        rules_hash=decided.rules_hash,
    )


def _at_candle(store: Store, decided: CurrentDecision, at_ms: int | None) -> tuple[int, Seen, Numbers]:
    """The candle of a stretch that is asked about, and what was read at it."""
    ruleset = RULESETS.of(store, decided.rules_hash)
    if at_ms is None or ruleset is None:
        newest = decided.last_ms if decided.open else decided.candle_ms
        return newest, seen_in(decided.facts_json), "recorded"
    rules = ruleset.for_symbol(decided.symbol)
    candle_ms = min(rules.entry_timeframe.floor(at_ms), decided.last_ms)
    recorded = candle_ms == decided.candle_ms or (decided.open and candle_ms == decided.last_ms)
    found = seen_by(store, decided, rules, candle_ms)
    if found is None:
        return candle_ms, seen_in(decided.first_facts_json), "first"
    return candle_ms, found, "recorded" if recorded else "recomputed"


def reasons_of(store: Store, decided: CurrentDecision, seen: Seen) -> Why | None:
    ruleset = RULESETS.of(store, decided.rules_hash)
    if ruleset is None:
        return None
    return explain_rules(ruleset.for_symbol(decided.symbol), seen.facts, seen.regime)


def nearness(store: Store, decided: CurrentDecision, seen: Seen) -> NearnessOf:
    ruleset = RULESETS.of(store, decided.rules_hash)
    assert ruleset is not None, "it was explained by them"
    return nearness_of(ruleset.for_symbol(decided.symbol), seen.facts)


def summary_of(decided: CurrentDecision, reasons: Why | None) -> str:
    """One sentence; where a guard or the state decided and not the rules, that comes first."""
    refused = next((guard for guard in guards_of(decided.guards_json) if not guard.passed), None)
    warming = in_words(decided.reason, decided.at_ms)
    if warming is not None:
        return warming
    said = reasons.summary if reasons else decided.reason
    if refused is not None:
        return f"refused by {refused.name} (found {refused.value or '?'}, needed {refused.limit or '?'}): {said}"
    if decided.outcome in ("NO_SIGNAL", "SIGNAL"):
        return said
    return f"{decided.outcome}: {decided.reason}".lower().replace("_", " ")


def _conditions(reasons: Why) -> list[Condition]:
    found = []
    for regime in reasons.regimes:
        found += [Condition(scope=f"{regime.regime} enter", trace=trace) for trace in regime.enter_conditions]
        found += [Condition(scope=f"{regime.regime} stay", trace=trace) for trace in regime.stay_conditions]
    for side in reasons.signal.traces if reasons.signal else ():
        found += [Condition(scope=f"{side.side} setup", trace=trace) for trace in side.setup]
        found += [Condition(scope=f"{side.side} accept", trace=trace) for trace in side.accept]
    return found


READS = (
    Endpoint(
        path="/api/regimes",
        summary="The regime of every symbol, its hysteresis, and its latest changes",
        answer=Regimes,
        read=regimes,
    ),
    Endpoint(
        path="/api/why",
        summary="Why each symbol does or does not trade now, one row each",
        answer=WhyBoard,
        read=board,
    ),
    Endpoint(
        path="/api/why/{symbol}",
        summary="Why a symbol did, or did not, trade: each condition with its numbers",
        query=WhyQuery,
        answer=WhyView,
        read=why,
        may_miss=True,
    ),
    Endpoint(
        path="/api/reasons",
        summary="How often each reason stood at a candle, by symbol",
        query=ReasonsQuery,
        answer=ReasonCounts,
        read=counts,
    ),
)
