"""Why it traded or did not: decisions, regimes, and the rules and config they were taken under."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peewee import ModelSelect, fn

from store.database import Store
from store.decision_runs import DecisionRunRow
from store.models import ConfigVersion, Decision, DecisionStretch, Regime, RuleVersion
from store.queries.fetching import fetch, fetch_each, fetch_one, select_each
from store.rows import ConfigVersionRow, DecisionRow, RegimeRow, RuleVersionRow
from store.views import CurrentDecision

_DECIDED = """
    WITH RECURSIVE next(symbol) AS (
        SELECT min(symbol) FROM decisions
        UNION ALL SELECT (SELECT min(symbol) FROM decisions WHERE symbol > next.symbol) FROM next WHERE symbol NOT NULL
    )
    SELECT symbol FROM next WHERE symbol NOT NULL UNION SELECT symbol FROM decision_stretches ORDER BY symbol
"""
"""From one symbol to the next along the index, however many decisions each has."""

_NEWEST = "SELECT * FROM decisions WHERE symbol = ? ORDER BY candle_ms DESC, id DESC LIMIT 1"


def decided_symbols(store: Store) -> list[str]:
    """Symbols that something was decided of, in order."""
    return [str(symbol) for (symbol,) in store.connection.execute(_DECIDED)]


def latest_decisions(store: Store) -> list[CurrentDecision]:
    """The newest decision of every symbol that has one, in symbol order: one row each (R55)."""
    going_on = {row.symbol: row for row in fetch(store, DecisionStretch.select(), DecisionRunRow)}
    found = []
    for symbol in decided_symbols(store):
        stretch = going_on.get(symbol)
        if stretch is not None:
            found.append(_of_stretch(stretch))
        else:
            found.extend(_of_row(row) for row in select_each(store, _NEWEST, (symbol,), DecisionRow))
    return found


def decision_at(store: Store, symbol: str, candle_ms: int | None = None) -> CurrentDecision | None:
    """The decision on the candle that opened at ``candle_ms``, or the last before it; None: the newest of all."""
    stretch = fetch_one(store, DecisionStretch.select().where(DecisionStretch.symbol == symbol), DecisionRunRow)
    if stretch is not None and (candle_ms is None or stretch.candle_ms <= candle_ms):
        return _of_stretch(stretch)
    query = Decision.select().where(Decision.symbol == symbol)
    if candle_ms is not None:
        query = query.where(Decision.candle_ms <= candle_ms)
    row = fetch_one(store, query.order_by(Decision.candle_ms.desc(), Decision.id.desc()), DecisionRow)
    return None if row is None else _of_row(row)


def decisions(
    store: Store,
    *,
    symbol: str | None = None,
    outcome: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    limit: int = 100,
) -> list[DecisionRow]:
    """Finished stretches, newest first, by the time at which they began."""
    query = Decision.select()
    if symbol is not None:
        query = query.where(Decision.symbol == symbol)
    if outcome is not None:
        query = query.where(Decision.outcome == outcome)
    if since_ms is not None:
        query = query.where(Decision.at_ms >= since_ms)
    if until_ms is not None:
        query = query.where(Decision.at_ms < until_ms)
    return fetch(store, query.order_by(Decision.at_ms.desc(), Decision.id.desc()).limit(limit), DecisionRow)


def each_decision(store: Store) -> Iterator[DecisionRow]:
    """Every decision of the journal in order, one at a time; open stretches come last."""
    yield from fetch_each(store, Decision.select().order_by(Decision.id), DecisionRow)
    query = DecisionStretch.select().order_by(DecisionStretch.symbol)
    for stretch in fetch_each(store, query, DecisionRunRow):
        yield stretch.closed()


def latest_regimes(store: Store) -> list[RegimeRow]:
    """The stable regime of every symbol that has one, in symbol order."""
    newest = Regime.select(fn.MAX(Regime.id)).group_by(Regime.symbol)
    return fetch(store, Regime.select().where(Regime.id.in_(newest)).order_by(Regime.symbol), RegimeRow)


def regimes(store: Store, symbol: str, *, since_ms: int = 0, limit: int = 1_000) -> list[RegimeRow]:
    """A symbol's changes of regime, newest first."""
    query = Regime.select().where((Regime.symbol == symbol) & (Regime.at_ms >= since_ms))
    return fetch(store, query.order_by(Regime.at_ms.desc(), Regime.id.desc()).limit(limit), RegimeRow)


def rules_text(store: Store, rules_hash: str) -> str | None:
    """The rules file that a hash stands for."""
    row = fetch_one(store, RuleVersion.select().where(RuleVersion.rules_hash == rules_hash), RuleVersionRow)
    return None if row is None else row.text


def config_text(store: Store, config_hash: str) -> str | None:
    """The config file that a hash stands for."""
    row = fetch_one(store, ConfigVersion.select().where(ConfigVersion.config_hash == config_hash), ConfigVersionRow)
    return None if row is None else row.text


def rule_versions(store: Store) -> list[RuleVersionRow]:
    """Every rules file that was in force, newest first."""
    return fetch(store, _newest_first(RuleVersion), RuleVersionRow)


def config_versions(store: Store) -> list[ConfigVersionRow]:
    """Every config file that was in force, newest first."""
    return fetch(store, _newest_first(ConfigVersion), ConfigVersionRow)


def _newest_first(model: type[RuleVersion] | type[ConfigVersion]) -> ModelSelect[Any]:
    return model.select().order_by(model.id.desc())


def _of_stretch(row: DecisionRunRow) -> CurrentDecision:
    return CurrentDecision(
        symbol=row.symbol,
        open=True,
        at_ms=row.last_at_ms,
        candle_ms=row.candle_ms,
        last_ms=row.last_ms,
        count=row.count,
        outcome=row.outcome,
        reason=row.reason,
        regime=row.regime,
        confidence=row.last_confidence,
        facts_json=row.last_facts_json,
        first_facts_json=row.facts_json,
        traces_json=row.last_traces_json,
        guards_json=row.last_guards_json,
        rules_hash=row.rules_hash,
        config_hash=row.config_hash,
        run_id=row.run_id,
    )


def _of_row(row: DecisionRow) -> CurrentDecision:
    return CurrentDecision(
        symbol=row.symbol,
        open=False,
        at_ms=row.at_ms,
        candle_ms=row.candle_ms,
        last_ms=row.candle_ms if row.last_ms is None else row.last_ms,
        count=row.count,
        outcome=row.outcome,
        reason=row.reason,
        regime=row.regime,
        confidence=row.confidence,
        facts_json=row.facts_json,
        first_facts_json=row.facts_json,
        traces_json=row.traces_json,
        guards_json=row.guards_json,
        rules_hash=row.rules_hash,
        config_hash=row.config_hash,
        run_id=row.run_id,
    )
