"""How much and where: the part of config.yaml that the core decides with, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

from exchange.types import MarginType, OrderType, WorkingType
from indicators.candle import Timeframe


class LimitAction(StrEnum):
    """What the kill switch does to positions that are open when a loss limit is reached."""

    BLOCK_ENTRIES = "BLOCK_ENTRIES"
    FLATTEN = "FLATTEN"


class MissingProtection(StrEnum):
    REPROTECT = "REPROTECT"
    FLATTEN = "FLATTEN"


class AfterExternalClose(StrEnum):
    """What a symbol does after its position was closed by somebody else, or because its protection was gone."""

    REST = "rest"
    QUARANTINE = "quarantine"
    CONTINUE = "continue"


class MarginShort(StrEnum):
    """When the margin does not reach for the full size."""

    SHRINK = "SHRINK"
    SKIP = "SKIP"


class SymbolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol; None takes the value that holds for all."""

    enabled: bool = True
    leverage: int | None = None
    risk_per_trade_pct: Decimal | None = None


class ListRule(msgspec.Struct, frozen=True, kw_only=True):
    """Symbols by a rule: the ``n`` with the most of ``top_by``, and never one that is excluded."""

    top_by: Literal["quote_volume"] = "quote_volume"
    n: int
    exclude: tuple[str, ...] = ()


class Timeframes(msgspec.Struct, frozen=True, kw_only=True):
    trend: Timeframe = Timeframe.D1
    setup: Timeframe = Timeframe.H4
    entry: Timeframe = Timeframe.H1

    def unnamed(self, used: Iterable[Timeframe]) -> tuple[Timeframe, ...]:
        """Timeframes that rules read and config does not name, the shortest first."""
        return tuple(sorted(set(used) - {self.trend, self.setup, self.entry}, key=lambda timeframe: timeframe.ms))


class MarketData(msgspec.Struct, frozen=True, kw_only=True):
    candles_min: int = 200
    history_candles: int = 1_500
    settle_delay_ms: int = 2_000
    candle_age_ms_max: int | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    margin_type: MarginType = MarginType.ISOLATED
    leverage: int = 2
    position_mode: Literal["ONEWAY"] = "ONEWAY"


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    entry_type: OrderType = OrderType.MARKET
    limit_offset_pct: Decimal = Decimal("0.05")
    limit_expiry_candles: int = 1
    stop_type: Literal["STOP_MARKET"] = "STOP_MARKET"
    target_type: Literal["TAKE_PROFIT_MARKET"] = "TAKE_PROFIT_MARKET"
    working_type: WorkingType = WorkingType.MARK_PRICE
    price_moved_pct_max: Decimal = Decimal("1")
    book_slippage_pct_max: Decimal = Decimal("0.3")
    stop_move_pct_min: Decimal = Decimal("0.1")


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    risk_per_trade_pct: Decimal = Decimal("0.5")
    max_open_positions: int = 3
    max_open_risk_pct: Decimal = Decimal("2")
    max_correlated_risk_pct: Decimal | None = None
    max_same_direction_risk_pct: Decimal | None = None
    max_exposure_pct: Decimal = Decimal("150")
    max_symbol_exposure_pct: Decimal = Decimal("75")
    stop_distance_pct_min: Decimal = Decimal("0.3")
    stop_distance_pct_max: Decimal = Decimal("10")
    liquidation_distance_factor: Decimal = Decimal("0.5")
    margin_short: MarginShort = MarginShort.SHRINK
    taker_fee_pct: Decimal = Decimal("0.05")
    slippage_pct: Decimal = Decimal("0.05")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    daily_loss_pct: Decimal = Decimal("3")
    weekly_loss_pct: Decimal = Decimal("5")
    monthly_loss_pct: Decimal = Decimal("10")
    drawdown_pct: Decimal = Decimal("25")
    action: LimitAction = LimitAction.BLOCK_ENTRIES
    auto_resume: bool = True
    equity_age_ms_max: int = 60_000
    equity_stale_defer_ms: int = 900_000


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    deadline_ms: int = 5_000
    commit_wait_ms: int = 1_000
    on_missing: MissingProtection = MissingProtection.REPROTECT
    after_external_close: AfterExternalClose = AfterExternalClose.REST
    rest_candles: int = 24


class SmallStepsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    trades: int = 3
    ramp_trades: int = 4
    where: Literal["mainnet", "always", "never"] = "mainnet"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The part of config.yaml that decisions are taken with. Percentages are percent (0.5 means 0.5 %) and Decimal."""

    symbols: dict[str, SymbolSettings]
    timeframes: Timeframes = Timeframes()
    market_data: MarketData = MarketData()
    account: Account = Account()
    orders: Orders = Orders()
    risk: Risk = Risk()
    limits: Limits = Limits()
    protection: Protection = Protection()
    small_steps: SmallStepsPolicy = SmallStepsPolicy()

    @property
    def candle_age_ms_max(self) -> int:
        given = self.market_data.candle_age_ms_max
        return self.timeframes.entry.ms if given is None else given

    def leverage_of(self, symbol: str) -> int:
        own = self.symbols.get(symbol)
        return self.account.leverage if own is None or own.leverage is None else own.leverage

    def risk_pct_of(self, symbol: str) -> Decimal:
        own = self.symbols.get(symbol)
        return self.risk.risk_per_trade_pct if own is None or own.risk_per_trade_pct is None else own.risk_per_trade_pct
