"""How the embedded exchange is started: its account, its speed, and where in the shipped candles it begins."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from exchange.candle_store.manifest import DEFAULT_STORE, is_store
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.demo_start import worth_seeing
from fsm.backtest.run import Request
from fsm.config import Config
from fsm.config.settings import Simulation
from rules.load import Ruleset

SPEED_AT_FIRST = Decimal(1)
"""Until the bot takes decisions: a slow start must not cost simulated hours."""


def start_options(config: Config, rules: Ruleset, db: Path) -> list[str]:
    """It goes on where the account beside the database stands, or begins at a moment that is worth seeing."""
    state = db.with_suffix(".exchange")
    options = embedded_options(config, state)
    if state.exists():
        return options
    symbols = config.settings.enabled_symbols
    request = Request(config=config, rules=rules, data=(shipped_folder(),), instead=_own(), symbols=symbols)
    start_ms = worth_seeing(request)
    return options if start_ms is None else [*options, "--start", str(start_ms)]


def embedded_options(config: Config, state: Path) -> list[str]:
    """With its account and clock kept at ``state``."""
    simulation = config.settings.simulation
    speed = min(simulation.speed, SPEED_AT_FIRST)
    options = ["--data", str(shipped_folder()), "--speed", str(speed), "--state", str(state)]
    own = [text for folder in _own() for text in ("--instead", str(folder))]
    return [*options, *own, *account_options(simulation)]


def _own() -> tuple[Path, ...]:
    """The user's store: symbols that are not shipped are played from there."""
    return (DEFAULT_STORE,) if is_store(DEFAULT_STORE) else ()


def account_options(simulation: Simulation) -> list[str]:
    """The account of a simulated exchange as config.yaml wants it."""
    values = {
        "--seed": simulation.seed,
        "--balance": simulation.balance_usdt,
        "--maker-fee-pct": simulation.maker_fee_pct,
        "--taker-fee-pct": simulation.taker_fee_pct,
        "--slippage-pct": simulation.slippage_pct,
        "--stop-depth-share": simulation.stop_depth_share,
    }
    return [text for option, value in values.items() for text in (option, str(value))]
