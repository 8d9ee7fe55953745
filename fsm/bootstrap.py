"""The only place that names concrete classes: builds the parts of a run from config and rules, and joins them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exchange.sim.symbols import shipped_folder
from fsm.config import Config
from fsm.core.move import Step
from fsm.lab.backtest import Request, Result, run_backtest
from rules.load import Ruleset


def run_shipped(config: Config, rules: Ruleset, db: Path, *, on_step: Callable[[Step], None]) -> Result:
    """Run the engine over the shipped candles with config's enabled symbols, and keep the journal at ``db``.

    Raises BacktestError when ``db`` exists or a symbol is not shipped.
    """
    request = Request(
        config=config, rules=rules, data=(shipped_folder(),), symbols=config.settings.enabled_symbols, db=db
    )
    return run_backtest(request, on_step=on_step)
