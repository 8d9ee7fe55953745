"""A small market that a script can foresee: two hundred quiet hours, then what the script writes, and rules for it.

Its rules go long after an hour that rose by more than 0.8 %, and short after one that fell so much; the stop lies at
the other end of that hour, targets one and three risks away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from exchange.candle_columns import CandleColumns
from exchange.sim.playback.feed import SymbolFeed
from fsm.config import Config
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from indicators.candle import Timeframe
from rules.load import parse_rules

START_MS = 1_704_067_200_000  # 2024-01-01
QUIET_HOURS = 230
LIVE_FROM = 210
TO_SIGNAL = QUIET_HOURS - LIVE_FROM + 1
"""Hours from the start of a in-process bot until the first scripted hour has closed."""

Hour = tuple[float, float, float, float]

ALWAYS_TREND = """regimes:
  timeframe: 1h
  confirmations: 1
  override_confidence: 0.5
  dwell_candles: 1
  TREND:
    enter: [{id: always, when: "close_1h > 0"}]
    stay: [{id: always, when: "close_1h > 0"}]
    confidence: [{value: close_1h, zero_at: 0, full_at: 0.000001}]
  RANGE:
    enter: [{id: never, when: "close_1h > 1000000"}]
    stay: [{id: never, when: "close_1h > 1000000"}]
    confidence: [{value: close_1h, zero_at: 1000000, full_at: 2000000}]
  BREAKOUT:
    enter: [{id: never, when: "close_1h > 1000000"}]
    stay: [{id: never, when: "close_1h > 1000000"}]
    confidence: [{value: close_1h, zero_at: 1000000, full_at: 2000000}]
"""
"""Regimes of rules that are to trade whenever their setup is there."""

RULES = f"""
version: 1
timeframes: {{entry: 1h}}
features:
  close_1h: {{indicator: close, timeframe: 1h}}
  open_1h: {{indicator: open, timeframe: 1h}}
  low_1h: {{indicator: low, timeframe: 1h}}
  high_1h: {{indicator: high, timeframe: 1h}}
{ALWAYS_TREND}strategies:
  jump:
    reward_risk_min: 0.5
    long:
      setup: [{{id: jumps, when: "close_1h > 1.008 * open_1h"}}]
      stop: "low_1h"
      targets:
        - {{price: "entry + risk", portion: 0.5}}
        - {{price: "entry + 3 * risk", portion: 0.5}}
      exit_when: [{{id: falls, when: "close_1h < 0.997 * open_1h"}}]
    short:
      setup: [{{id: drops, when: "close_1h < 0.992 * open_1h"}}]
      stop: "high_1h"
      targets:
        - {{price: "entry - risk", portion: 0.5}}
        - {{price: "entry - 3 * risk", portion: 0.5}}
    manage:
      break_even_at_r: 1.5
      break_even_lock_r: 0.1
router:
  TREND: {{strategy: jump, enabled: true}}
  RANGE: {{strategy: jump, enabled: false}}
  BREAKOUT: {{strategy: jump, enabled: false}}
"""


def quiet(price: float, hours: int) -> list[Hour]:
    """Hours in which nothing happens."""
    return [(price, price * 1.0005, price * 0.9995, price)] * hours


def jump(price: float) -> Hour:
    """An hour that the rules take for a long signal: 1 % up; the stop will lie at its low, 0.1 % below the open."""
    return (price, price * 1.0105, price * 0.999, price * 1.01)


def feed(symbol: str, hours: list[Hour]) -> SymbolFeed:
    rows = np.array([*quiet(hours[0][0], QUIET_HOURS), *hours], dtype=np.float64)
    times = START_MS + np.arange(len(rows), dtype=np.int64) * HOUR_MS
    columns = CandleColumns(
        symbol=symbol,
        timeframe=Timeframe.H1,
        open_time_ms=times,
        open=rows[:, 0].round(1),
        high=rows[:, 1].round(1),
        low=rows[:, 2].round(1),
        close=rows[:, 3].round(1),
        volume=np.full(len(rows), 1000.0),
    )
    return SymbolFeed(candles=columns)


def adapted(config: Config, symbols: tuple[str, ...], sections: Mapping[str, Mapping[str, Any]]) -> Config:
    """The same config for these symbols, with single keys changed by section."""
    settings = config.settings.with_symbols(symbols)
    for section, changed in sections.items():
        part = getattr(settings, section)
        part = {**part, **changed} if isinstance(part, dict) else msgspec.structs.replace(part, **changed)
        settings = msgspec.structs.replace(settings, **{section: part})
    return dataclasses.replace(config, settings=settings)


def in_process_bot_of(
    config: Config,
    db: Path,
    markets: Mapping[str, list[Hour]],
    *,
    latency_s: float = 0.0,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> InProcessBot:
    """A in-process bot that starts twenty hours before the scripted ones."""
    return InProcessBot(
        config=adapted(config, tuple(markets), sections or {}),
        rules=parse_rules(RULES, "rules of the small market"),
        feeds={name: feed(name, hours) for name, hours in markets.items()},
        db=db,
        start_ms=START_MS + LIVE_FROM * HOUR_MS,
        latency_s=latency_s,
    )


def triggers(bot: InProcessBot, symbol: str | None = None) -> list[str]:
    """What happened, in words: ``trigger reason``."""
    return [f"{step.trigger.value} {step.reason}" for step in bot.steps if symbol is None or step.symbol == symbol]
