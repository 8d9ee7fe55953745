"""What the model check trades with: small rules, the shipped limits and filters, and the events of a small market."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.types import Account, Book, Level, MarkPrice, OrderType, Room
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import CandleClosed, EquityRead, Means
from fsm.core.model.policy import LimitAction, Limits, Orders, Policy, Risk, SymbolSettings
from fsm.core.model.records import AccountRecord, Flag, HaltCause, Period, TradeSide
from rules.load import parse_rules
from rules.regime import RegimeState

SYMBOL = "BTCUSDT"
HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000  # Thursday 2026-01-01 00:00 UTC
DEADLINE_MS = 5_000
"""How long a position may be without a confirmed stop."""

CAP_PCT = Decimal(5)
"""Caps on what positions risk together are there, and do not bind: one symbol has one trade."""

PRICE = Decimal(60_000)
TIGHT, LOOSE = Decimal(400), Decimal(700)
"""So far from the price a hand moves a stop; the rules' own lies in between."""

EQUITY, EQUITY_LOW = Decimal(10_000), Decimal(5_000)
"""The account before a loss limit is exceeded, and after."""

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
  model:
    reward_risk_min: 1.0
    long:
      setup: [{id: high, when: rsi_1h >= 80}]
      stop: close_1h - 2 * atr_1h
      targets: [{price: entry + risk, portion: 0.5}, {price: entry + 3 * risk, portion: 0.5}]
      trail: close_1h - 2 * atr_1h
      exit_when: [{id: middle, when: rsi_1h > 45 and rsi_1h < 55}]
    short:
      setup: [{id: low, when: rsi_1h <= 20}]
      stop: close_1h + 2 * atr_1h
      targets: [{price: entry - risk, portion: 0.5}, {price: entry - 3 * risk, portion: 0.5}]
      trail: close_1h + 2 * atr_1h
      exit_when: [{id: middle, when: rsi_1h > 45 and rsi_1h < 55}]
    manage: {break_even_at_r: null, break_even_lock_r: 0, exit_after_candles: 50}
router:
  TREND: {strategy: model, enabled: true}
  RANGE: {strategy: model, enabled: false}
  BREAKOUT: {strategy: model, enabled: false}
"""

ATR, ATR_CALM = 300.0, 100.0
"""The noise that sets the first stop, and the smaller one that lets it follow closer."""


@lru_cache(maxsize=2)
def model_context(entry_type: OrderType) -> DecisionContext:
    """The settings in force; a loss limit closes what is open, which asks more of the machine than to wait."""
    rules = parse_rules(RULES, "model check")
    orders, limits = Orders(entry_type=entry_type), Limits(action=LimitAction.FLATTEN)
    risk = Risk(max_correlated_risk_pct=CAP_PCT, max_same_direction_risk_pct=CAP_PCT)
    return DecisionContext(
        database_id="0123abcd",
        config_hash="c" * 64,
        rules_hash=rules.hash,
        policy=Policy(symbols={SYMBOL: SymbolSettings()}, orders=orders, limits=limits, risk=risk),
        rules=rules.for_symbol(SYMBOL),
        filters=shipped_filters()[SYMBOL],
        brackets=shipped_brackets()[SYMBOL],
    )


def _book(bids: Decimal, asks: Decimal) -> Book:
    """A tick on either side of the price, with so much of it."""
    side = (Level(PRICE - 5, bids),), (Level(PRICE + 5, asks),)
    return Book(symbol=SYMBOL, bids=side[0], asks=side[1])


MUCH, LITTLE = Decimal(100), Decimal("0.001")
PLENTY = Means(room=Room(orders=300, looks=200), book=_book(MUCH, MUCH))
THIN_OFFER = replace(PLENTY, book=_book(MUCH, LITTLE))
"""For a long trade: a short one finds here what would take no close."""

THIN_BID = replace(PLENTY, book=_book(LITTLE, MUCH))
NO_ORDERS = replace(PLENTY, room=Room(orders=2, looks=200))
NO_LOOKS = replace(PLENTY, room=Room(orders=300, looks=1))
A_STOP_WAITS = replace(PLENTY, room=Room(orders=300, looks=200, waiting=1))


def prices(now_ms: int) -> MarkPrice:
    return MarkPrice(symbol=SYMBOL, mark_price=PRICE, last_price=PRICE, time_ms=now_ms)


def candle(now_ms: int, *, rsi: float, atr: float = ATR) -> CandleClosed:
    """A candle that closed at ``now_ms``: rsi 80 wants long, 20 short, 50 out, and anything else nothing."""
    facts: dict[str, float | None] = {"close_1h": float(PRICE), "atr_1h": atr, "rsi_1h": rsi, "adx_1h": 60.0}
    return CandleClosed(
        symbol=SYMBOL,
        at_ms=now_ms,
        candle_ms=now_ms - HOUR_MS,
        facts=facts,
        regime=RegimeState(regime="TREND", confidence=1.0, candle_ms=now_ms - HOUR_MS),
        prices=prices(now_ms),
    )


def rsi_of(side: TradeSide) -> float:
    """The value that makes the rules want this side."""
    return 80.0 if side is TradeSide.LONG else 20.0


def account(*, exceeded: bool) -> AccountRecord:
    """The account with a day under way; halted when its loss limit is exceeded."""
    flag = Flag(HaltCause.LIMIT_DAY.value, START_MS) if exceeded else None
    day = Period(key="2026-01-01", start_equity=EQUITY)
    return AccountRecord(day=day, equity_high=EQUITY, halt=flag, breach=flag)


def equity(*, exceeded: bool) -> EquityRead:
    amount = EQUITY_LOW if exceeded else EQUITY
    read = Account(
        wallet_balance=amount,
        unrealized_pnl=Decimal(0),
        equity=amount,
        available_balance=amount,
        update_time_ms=START_MS,
    )
    return EquityRead(at_ms=START_MS, account=read, transfers=Decimal(0))
