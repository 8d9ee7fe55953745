"""What the core's tests decide with: small rules, the shipped policy, filters and brackets, and a little money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from exchange.filters import SymbolFilters
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.types import Bracket, MarkPrice
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import CandleClosed
from fsm.core.model.policy import Policy, SymbolSettings
from fsm.core.model.records import ZERO
from rules.load import parse_rules
from rules.regime import RegimeState

SYMBOL = "BTCUSDT"
DATABASE = "0123abcd"
HOUR_MS = 3_600_000
T0 = 1_767_225_600_000  # Thursday 2026-01-01 00:00 UTC, the first of a month
NO_MONEY = Portfolio(equity=ZERO, available=ZERO, equity_age_ms=0, open_positions=0, open_risk=ZERO, exposure=ZERO)

RULES = """\
version: 1
timeframes: {entry: 1h}
features:
  close_1h: {indicator: close, timeframe: 1h}
  atr_1h: {indicator: atr, timeframe: 1h, period: 3}
  rsi_1h: {indicator: rsi, timeframe: 1h, period: 3}
  adx_1h: {indicator: adx, timeframe: 1h, period: 3}
regimes:
  timeframe: 1h
  confirmations: 1
  override_confidence: 1.0
  dwell_candles: 1
  exclusive: []
  TREND: {enter: [{id: t, when: adx_1h >= 50}], stay: [{id: t, when: adx_1h >= 50}],
    confidence: [{value: adx_1h, zero_at: 40, full_at: 60}]}
  RANGE: {enter: [{id: r, when: adx_1h < 30}], stay: [{id: r, when: adx_1h < 30}],
    confidence: [{value: adx_1h, zero_at: 40, full_at: 10}]}
  BREAKOUT: {enter: [{id: b, when: adx_1h >= 90}], stay: [{id: b, when: adx_1h >= 90}],
    confidence: [{value: adx_1h, zero_at: 80, full_at: 99}]}
strategies:
  swing:
    reward_risk_min: 1.0
    long:
      setup: [{id: high, when: rsi_1h >= 70}]
      stop: close_1h - 2 * atr_1h
      targets: [{price: entry + risk, portion: 0.5}, {price: entry + 3 * risk, portion: 0.5}]
      trail: close_1h - 2 * atr_1h
      exit_when: [{id: low, when: rsi_1h < 20}]
    short:
      setup: [{id: low, when: rsi_1h <= 30}]
      stop: close_1h + 2 * atr_1h
      targets: [{price: entry - risk, portion: 0.5}, {price: entry - 3 * risk, portion: 0.5}]
    manage: {break_even_at_r: null, break_even_lock_r: 0, exit_after_candles: 50}
router:
  TREND: {strategy: swing, enabled: true}
  RANGE: {strategy: swing, enabled: false}
  BREAKOUT: {strategy: swing, enabled: true}
  cooldown: {losses: 2, candles: 5}
"""
RULES_HASH = "beeec06c53fc337646d4d6a80572e367e0d24b55591606112a845913c496a845"
"""As 0.1.0 called these rules: recorded journals have it in their rows."""

RULESET = parse_rules(RULES, "rules")
FILTERS = shipped_filters()[SYMBOL]
BRACKETS = shipped_brackets()[SYMBOL]
TREND = RegimeState(regime="TREND", confidence=0.9, candle_ms=T0)


def policy_with(**changed: Any) -> Policy:
    """The shipped settings, but for these: each key by its own name, ``limit_action`` for that of the limits,
    ``own`` for what the symbols have of their own."""
    policy = Policy(symbols={SYMBOL: SymbolSettings()})
    sections = ("market_data", "account", "orders", "risk", "limits", "protection")
    for name, value in changed.items():
        if name == "own":
            policy = replace(policy, symbols=value)
            continue
        key = "action" if name == "limit_action" else name
        (where,) = (each for each in sections if hasattr(getattr(policy, each), key))
        policy = replace(policy, **{where: replace(getattr(policy, where), **{key: value})})
    return policy


def setting_with(
    *, filters: SymbolFilters = FILTERS, brackets: tuple[Bracket, ...] = BRACKETS, **changed: Any
) -> DecisionContext:
    return DecisionContext(
        database_id=DATABASE,
        config_hash="c" * 64,
        rules_hash=RULES_HASH,
        policy=policy_with(**changed),
        rules=RULESET.for_symbol(SYMBOL),
        filters=filters,
        brackets=brackets,
    )


def money(equity: str = "10000", **changed: Any) -> Portfolio:
    return replace(NO_MONEY, equity=Decimal(equity), available=Decimal(equity), **changed)


def prices_at(last: str, mark: str | None = None) -> MarkPrice:
    return MarkPrice(symbol=SYMBOL, mark_price=Decimal(mark or last), last_price=Decimal(last), time_ms=T0)


def candle(
    *,
    rsi: float | None = 80.0,
    close: float = 60_000.0,
    atr: float = 300.0,
    at_ms: int = T0,
    regime: RegimeState = TREND,
    last: str | None = None,
    mark: str | None = None,
    late_ms: int = 0,
    symbol: str = SYMBOL,
) -> CandleClosed:
    """A closed candle: ``rsi`` 80 wants long and 20 short, with the stop two ``atr`` away. It closed at ``at_ms``."""
    facts: dict[str, float | None] = {"close_1h": close, "atr_1h": atr, "rsi_1h": rsi, "adx_1h": 60.0}
    return CandleClosed(
        symbol=symbol,
        at_ms=at_ms + late_ms,
        candle_ms=at_ms - HOUR_MS,
        facts=facts,
        regime=regime,
        prices=prices_at(last or str(close), mark),
    )
