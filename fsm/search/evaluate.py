"""One variant from rules and settings to its outcome, equal in every trade and figure to a backtest of it."""

from __future__ import annotations

from dataclasses import replace

from fsm.backtest.run import run_backtest
from fsm.config import Settings
from fsm.search.outcome import Outcome
from fsm.search.prepared import Prepared
from rules.load import Ruleset

NOT_YET = "the evaluator does not know any rules yet"


def evaluate(prepared: Prepared, rules: Ruleset, settings: Settings) -> Outcome:
    """Raises BacktestError where the rules read what was not prepared."""
    return by_engine(prepared, rules, settings, NOT_YET)


def by_engine(prepared: Prepared, rules: Ruleset, settings: Settings, why: str) -> Outcome:
    """The backtest itself, its journal thrown away."""
    request = prepared.request
    config = replace(request.config, settings=settings, text="")
    ground = replace(prepared.ground, markets=prepared.markets(rules))
    result = run_backtest(replace(request, config=config, rules=rules, db=None), ground=ground)
    return Outcome(result, why)
