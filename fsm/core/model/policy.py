"""How much and where: the part of config.yaml that the core decides with, as one frozen value."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from exchange.types import MarginType, OrderType, WorkingType


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


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Percentages are percent (0.5 means 0.5 %) and Decimal; ``leverage`` and ``risk`` may differ by symbol."""

    margin_type: MarginType
    leverage: int
    symbol_leverage: dict[str, int]
    entry_type: OrderType
    limit_offset_pct: Decimal
    limit_expiry_candles: int
    working_type: WorkingType
    price_moved_pct_max: Decimal
    candle_age_ms_max: int
    stop_move_pct_min: Decimal
    risk_per_trade_pct: Decimal
    symbol_risk_pct: dict[str, Decimal]
    max_open_positions: int
    max_open_risk_pct: Decimal
    max_exposure_pct: Decimal
    max_symbol_exposure_pct: Decimal
    stop_distance_pct_min: Decimal
    stop_distance_pct_max: Decimal
    liquidation_distance_factor: Decimal
    margin_short: MarginShort
    taker_fee_pct: Decimal
    slippage_pct: Decimal
    daily_loss_pct: Decimal
    weekly_loss_pct: Decimal
    monthly_loss_pct: Decimal
    drawdown_pct: Decimal
    limit_action: LimitAction
    auto_resume: bool
    equity_age_ms_max: int
    on_missing: MissingProtection
    after_external_close: AfterExternalClose = AfterExternalClose.REST
    rest_candles: int = 24

    def leverage_of(self, symbol: str) -> int:
        return self.symbol_leverage.get(symbol, self.leverage)

    def risk_pct_of(self, symbol: str) -> Decimal:
        return self.symbol_risk_pct.get(symbol, self.risk_per_trade_pct)
