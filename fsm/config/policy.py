"""Turns config.yaml's settings into the policy that the core decides with."""

from __future__ import annotations

from decimal import Decimal

from fsm.config import Settings
from fsm.core.model.policy import Policy


def policy_of(settings: Settings) -> Policy:
    """The one place where a setting meets the core; every field has its source here."""
    account, orders, risk, limits = settings.account, settings.orders, settings.risk, settings.limits
    leverages = {name: given.leverage for name, given in settings.symbols.items() if given.leverage is not None}
    risks: dict[str, Decimal] = {
        name: given.risk_per_trade_pct
        for name, given in settings.symbols.items()
        if given.risk_per_trade_pct is not None
    }
    return Policy(
        margin_type=account.margin_type,
        leverage=account.leverage,
        symbol_leverage=leverages,
        entry_type=orders.entry_type,
        limit_offset_pct=orders.limit_offset_pct,
        limit_expiry_candles=orders.limit_expiry_candles,
        working_type=orders.working_type,
        price_moved_pct_max=orders.price_moved_pct_max,
        candle_age_ms_max=settings.market_data.candle_age_ms_max or settings.timeframes.entry.ms,
        stop_move_pct_min=orders.stop_move_pct_min,
        risk_per_trade_pct=risk.risk_per_trade_pct,
        symbol_risk_pct=risks,
        max_open_positions=risk.max_open_positions,
        max_open_risk_pct=risk.max_open_risk_pct,
        max_exposure_pct=risk.max_exposure_pct,
        max_symbol_exposure_pct=risk.max_symbol_exposure_pct,
        stop_distance_pct_min=risk.stop_distance_pct_min,
        stop_distance_pct_max=risk.stop_distance_pct_max,
        liquidation_distance_factor=risk.liquidation_distance_factor,
        margin_short=risk.margin_short,
        taker_fee_pct=risk.taker_fee_pct,
        slippage_pct=risk.slippage_pct,
        daily_loss_pct=limits.daily_loss_pct,
        weekly_loss_pct=limits.weekly_loss_pct,
        monthly_loss_pct=limits.monthly_loss_pct,
        drawdown_pct=limits.drawdown_pct,
        limit_action=limits.action,
        auto_resume=limits.auto_resume,
        equity_age_ms_max=limits.equity_age_ms_max,
        on_missing=settings.protection.on_missing,
        after_external_close=settings.protection.after_external_close,
        rest_candles=settings.protection.rest_candles,
    )
