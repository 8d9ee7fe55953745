"""How the embedded exchange is started: its account, its prices, its speed, and where in recorded candles it begins."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from exchange.candle_files import CandleFolders
from exchange.candle_store.manifest import DEFAULT_STORE, is_store
from exchange.environment import resolve
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.demo_start import worth_seeing
from fsm.backtest.run import Request
from fsm.config import Config
from fsm.config.settings import Simulation
from rules.load import Ruleset

SPEED_AT_FIRST = Decimal(1)
"""Until the bot takes decisions: a slow start must not cost simulated hours."""


FIRST_ON_PAPER = ("BTCUSDT",)
"""Time on paper goes as far as prices are known. Where a rule chooses symbols, the first have none before they are
chosen; all others get theirs when they are asked for."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run: ``python -m module options``."""

    module: str
    options: list[str]


def start_command(config: Config, rules: Ruleset, db: Path) -> Command:
    """It goes on where the account beside the database stands; recorded prices begin at a moment worth seeing."""
    state = db.with_suffix(".exchange")
    command = embedded_command(config, state)
    if state.exists() or resolve(config.environment.addresses).prices is not None:
        return command
    symbols = config.settings.enabled_symbols or CandleFolders((shipped_folder(),), _own()).symbols()
    request = Request(config=config, rules=rules, data=(shipped_folder(),), instead=_own(), symbols=symbols)
    start_ms = worth_seeing(request)
    begin = [] if start_ms is None else ["--start", str(start_ms)]
    return Command(command.module, [*command.options, *begin])


def embedded_command(config: Config, state: Path) -> Command:
    """With its account and clock kept at ``state``."""
    prices = resolve(config.environment.addresses).prices
    if prices is None:
        return Command("exchange.sim", _recorded_options(config, state))
    own = [text for folder in _own() for text in ("--brackets", str(folder))]
    streams = [text for url in prices.ws_urls for text in ("--ws", url)]
    symbols = ["--symbols", ",".join(config.settings.enabled_symbols or FIRST_ON_PAPER)]
    options = ["--rest", prices.rest_url, *streams, *symbols, "--state", str(state), *own]
    return Command("exchange.paper", [*options, *account_options(config.settings.simulation)])


def _recorded_options(config: Config, state: Path) -> list[str]:
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
