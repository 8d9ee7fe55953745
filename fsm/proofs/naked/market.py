"""A market in which nothing happens but what a row wants: clones of one symbol at one price, and rules that enter.

Dozens of symbols share one account here, so its limits stand higher than the exchange's own; what a limit does when
it is hit is a fault of the menu.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from exchange.candle_columns import CandleColumns
from exchange.sim.core.venue import Venue
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import (
    brackets_of,
    decoded,
    filters_of,
    shipped_exchange_info,
    shipped_folder,
    symbol_rows,
)
from exchange.sim.server.clock import SimClock
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.keys import keys_of
from exchange.sim.server.limiter import MINUTE_MS, Limiter, Window
from exchange.sim.server.world import World
from fsm.config import Config, Settings, read_environment, read_settings
from fsm.proofs.testkit.in_process_bot import HOUR_MS
from fsm.proofs.testkit.scripted_market import ALWAYS_TREND, START_MS
from indicators.candle import Timeframe
from rules.load import Ruleset, parse_rules
from rules.source.yaml_source import parse_source

ORIGIN = "SOLUSDT"
PRICE, RISEN, BEYOND_TARGETS = 100.0, 101.5, Decimal(110)
HISTORY_HOURS, HOURS = 230, 2_000
BALANCE = Decimal(1_000_000)
MORE = 20
"""How many times higher the limits of the account stand than on the exchange."""

RULES = f"""
version: 1
timeframes: {{entry: 1h}}
features:
  close_1h: {{indicator: close, timeframe: 1h}}
{ALWAYS_TREND}strategies:
  always:
    reward_risk_min: 0.5
    long:
      setup: [{{id: low, when: "close_1h < 101"}}]
      stop: "close_1h * 0.98"
      targets:
        - {{price: "entry + 1.5 * risk", portion: 0.5}}
        - {{price: "entry + 2 * risk", portion: 0.5}}
      trail: "close_1h * 0.985"
router:
  TREND: {{strategy: always, enabled: true}}
  RANGE: {{strategy: always, enabled: false}}
  BREAKOUT: {{strategy: always, enabled: false}}
"""


def symbols_of(count: int) -> tuple[str, ...]:
    return tuple(f"N{number:02d}USDT" for number in range(count))


def rules() -> Ruleset:
    return parse_rules(RULES, "rules of the flat market")


def config(symbols: tuple[str, ...]) -> Config:
    """The defaults, but for what lets so many symbols trade at once."""
    plain: dict[str, Any] = json.loads(json.dumps(Settings(version=1, symbols={}).plain()))
    plain["symbols"] = {name: {"enabled": True} for name in symbols}
    plain["risk"] |= {
        "max_open_positions": len(symbols),
        "max_open_risk_pct": 50,
        "max_exposure_pct": 2000,
        "risk_per_trade_pct": 0.1,
    }
    plain["protection"] |= {"after_external_close": "continue"}
    plain["market_data"] |= {"history_candles": 200}
    plain["limits"] |= {"daily_loss_pct": 50, "weekly_loss_pct": 50, "monthly_loss_pct": 50, "drawdown_pct": 90}
    text = json.dumps(plain, indent=1)
    environment = read_environment(None, {"BINANCE_ENV": "sim"})
    return Config(settings=read_settings(parse_source(text, "config.yaml")), environment=environment, text=text)


def emulator_of(symbols: tuple[str, ...], monotonic: Callable[[], float], *, rising: bool = False) -> Emulator:
    """With ``rising`` every second hour closes higher, so that stops are moved."""
    info = dict(shipped_exchange_info())
    (origin,) = (row for row in symbol_rows(info) if row["symbol"] == ORIGIN)
    info["symbols"] = [{**origin, "symbol": name, "baseAsset": name.removesuffix("USDT")} for name in symbols]
    info["rateLimits"] = [{**row, "limit": int(row["limit"]) * MORE} for row in info["rateLimits"]]  # type: ignore[attr-defined]
    brackets = brackets_of(decoded(shipped_folder() / "brackets.json"))[ORIGIN]
    venue = Venue(
        filters=filters_of(info),
        brackets=dict.fromkeys(symbols, brackets),
        balance=BALANCE,
        stop_depth=Settings(version=1, symbols={}).simulation.stop_depth_share,
    )
    feeds = {name: _feed(name, rising) for name in symbols}
    world = World.begin(venue, feeds, START_MS + HISTORY_HOURS * HOUR_MS + HOUR_MS // 2)
    return Emulator(
        world=world,
        clock=SimClock(world.now_ms, 0.0, monotonic),
        credentials=keys_of(1),
        exchange_info=info,
        seed=1,
        monotonic=monotonic,
        limiter=Limiter(
            weight=Window(MINUTE_MS, 2_400 * MORE),
            orders_10s=Window(10_000, 300 * MORE),
            orders_1m=Window(MINUTE_MS, 1_200 * MORE),
        ),
    )


def _feed(symbol: str, rising: bool) -> SymbolFeed:
    """An odd hour may close higher; the next one begins where it closed and falls back."""
    count = HISTORY_HOURS + HOURS
    closes = np.full(count, PRICE)
    if rising:
        closes[1::2] = RISEN
    opens = np.concatenate(([PRICE], closes[:-1]))
    return SymbolFeed(
        candles=CandleColumns(
            symbol=symbol,
            timeframe=Timeframe.H1,
            open_time_ms=START_MS + np.arange(count, dtype=np.int64) * HOUR_MS,
            open=opens,
            high=np.maximum(opens, closes),
            low=np.minimum(opens, closes),
            close=closes,
            volume=np.full(count, 1000.0),
        )
    )
