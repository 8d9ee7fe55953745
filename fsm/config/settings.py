"""The content of config.yaml as frozen values. Percentages are percent (0.5 means 0.5 %) and Decimal.

Meaning, bounds and reasons of each key stand in config.schema.json and, with the shipped values, in config.yaml;
a test keeps the defaults of all three equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import msgspec

from exchange.types import MarginType, OrderType, WorkingType
from fsm.core.model.policy import AfterExternalClose, LimitAction, MarginShort, MissingProtection
from indicators.candle import Timeframe


class AlertLevel(StrEnum):
    """What happens to an alert: sent with sound, sent without, or only journalled."""

    ON = "on"
    SILENT = "silent"
    OFF = "off"


class SymbolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol; None takes the value that holds for all."""

    enabled: bool = True
    leverage: int | None = None
    risk_per_trade_pct: Decimal | None = None


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
    stop_move_pct_min: Decimal = Decimal("0.1")


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    risk_per_trade_pct: Decimal = Decimal("0.5")
    max_open_positions: int = 3
    max_open_risk_pct: Decimal = Decimal("2")
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


class Loops(msgspec.Struct, frozen=True, kw_only=True):
    reconcile_interval_ms: int = 5_000
    lists_interval_ms: int = 60_000
    equity_interval_ms: int = 15_000
    heartbeat_interval_ms: int = 3_600_000
    command_age_ms_max: int = 600_000


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    trade_opened: AlertLevel = AlertLevel.ON
    trade_closed: AlertLevel = AlertLevel.ON
    stop_hit: AlertLevel = AlertLevel.ON
    target_hit: AlertLevel = AlertLevel.ON
    kill_switch: AlertLevel = AlertLevel.ON
    reconciliation_anomaly: AlertLevel = AlertLevel.ON
    protection_late: AlertLevel = AlertLevel.ON
    quarantine: AlertLevel = AlertLevel.ON
    api_errors: AlertLevel = AlertLevel.ON
    bookkeeping_mismatch: AlertLevel = AlertLevel.ON
    no_entries: AlertLevel = AlertLevel.ON
    telegram: AlertLevel = AlertLevel.ON
    rules_changed: AlertLevel = AlertLevel.SILENT
    command: AlertLevel = AlertLevel.SILENT
    lifecycle: AlertLevel = AlertLevel.SILENT
    heartbeat: AlertLevel = AlertLevel.OFF


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    confirm_looser: Literal["mainnet", "always", "never"] = "mainnet"


class Web(msgspec.Struct, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 8080


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    balance_usdt: Decimal = Decimal("10000")
    maker_fee_pct: Decimal = Decimal("0.02")
    taker_fee_pct: Decimal = Decimal("0.05")
    slippage_pct: Decimal = Decimal("0.02")
    stop_depth_share: Decimal = Decimal("0.25")
    seed: int = 1
    speed: Decimal = Decimal("600")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of config.yaml."""

    version: int
    symbols: dict[str, SymbolSettings]
    timeframes: Timeframes = Timeframes()
    market_data: MarketData = MarketData()
    account: Account = Account()
    orders: Orders = Orders()
    risk: Risk = Risk()
    limits: Limits = Limits()
    protection: Protection = Protection()
    loops: Loops = Loops()
    alerts: Alerts = Alerts()
    reload: Reload = Reload()
    web: Web = Web()
    simulation: Simulation = Simulation()

    @property
    def enabled_symbols(self) -> tuple[str, ...]:
        """Symbols to trade, in the order in which they are decided."""
        return tuple(sorted(symbol for symbol, own in self.symbols.items() if own.enabled))

    @property
    def candle_age_ms_max(self) -> int:
        given = self.market_data.candle_age_ms_max
        return self.timeframes.entry.ms if given is None else given

    def with_symbols(self, symbols: Iterable[str]) -> Settings:
        """The same settings for exactly these symbols, all enabled; those that were listed keep their own values."""
        own = {name: self.symbols.get(name, SymbolSettings()) for name in symbols}
        enabled = {name: msgspec.structs.replace(settings, enabled=True) for name, settings in own.items()}
        return msgspec.structs.replace(self, symbols=enabled)

    def plain(self) -> dict[str, Any]:
        """Everything in force as plain data, as it could stand in config.yaml; equal settings give equal data."""
        data: dict[str, Any] = _plain(msgspec.to_builtins(self, builtin_types=(Decimal,)))
        return data


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, Decimal):
        return int(node) if node == node.to_integral_value() else float(node)
    return node
