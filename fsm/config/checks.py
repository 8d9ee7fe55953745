"""What must hold between the keys of config.yaml, beyond what the schema says of each one alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from fsm.config.settings import Settings
from rules.source.yaml_source import Problem, Source

Path = tuple[str | int, ...]
Finding = tuple[Path, str]


def cross_problems(settings: Settings, source: Source) -> list[Problem]:
    """Every contradiction, each at the value that should change."""
    return [source.problem(path, message) for check in _CHECKS for path, message in check(settings)]


def _symbols(settings: Settings) -> Iterator[Finding]:
    if settings.symbol_list is None and not settings.enabled_symbols:
        yield ("symbols",), "no symbol is enabled: set enabled: true for at least one"


def _timeframes(settings: Settings) -> Iterator[Finding]:
    frames = settings.timeframes
    if frames.setup.ms > frames.trend.ms:
        yield (
            ("timeframes", "setup"),
            f"the setup timeframe ({frames.setup}) is longer than the trend timeframe ({frames.trend})",
        )
    if frames.entry.ms > frames.setup.ms:
        yield (
            ("timeframes", "entry"),
            f"the entry timeframe ({frames.entry}) is longer than the setup timeframe ({frames.setup})",
        )


def _market_data(settings: Settings) -> Iterator[Finding]:
    data = settings.market_data
    if data.history_candles < data.candles_min:
        yield (
            ("market_data", "history_candles"),
            f"{data.history_candles} fetched candles can never reach candles_min ({data.candles_min})",
        )
    if settings.candle_age_ms_max <= data.settle_delay_ms:
        yield (
            ("market_data", "candle_age_ms_max"),
            f"every candle would be too old: it is first read settle_delay_ms ({data.settle_delay_ms}) after its close",
        )


def _risk(settings: Settings) -> Iterator[Finding]:
    risk = settings.risk
    for path, pct in _risks_per_trade(settings):
        if pct > risk.max_open_risk_pct:
            yield path, f"risk_per_trade_pct {pct} is above risk.max_open_risk_pct {risk.max_open_risk_pct}: no trade"
        if pct > settings.limits.daily_loss_pct:
            yield (
                path,
                f"risk_per_trade_pct {pct} is above limits.daily_loss_pct {settings.limits.daily_loss_pct}: "
                "one stop would end the day",
            )
    if risk.max_symbol_exposure_pct > risk.max_exposure_pct:
        yield (
            ("risk", "max_symbol_exposure_pct"),
            f"{risk.max_symbol_exposure_pct} for one symbol is above max_exposure_pct {risk.max_exposure_pct} for all",
        )
    if risk.stop_distance_pct_min >= risk.stop_distance_pct_max:
        yield (
            ("risk", "stop_distance_pct_min"),
            f"{risk.stop_distance_pct_min} is not below stop_distance_pct_max {risk.stop_distance_pct_max}: no trade",
        )


def _risks_per_trade(settings: Settings) -> Iterator[tuple[Path, Decimal]]:
    yield ("risk", "risk_per_trade_pct"), settings.risk.risk_per_trade_pct
    for symbol, own in settings.symbols.items():
        if own.risk_per_trade_pct is not None:
            yield ("symbols", symbol, "risk_per_trade_pct"), own.risk_per_trade_pct


def _liquidation(settings: Settings) -> Iterator[Finding]:
    """At L times leverage liquidation lies at most 100 / L % away, so that bounds what a stop may be (R6)."""
    risk = settings.risk
    leverages: list[tuple[Path, int]] = [(("account", "leverage"), settings.account.leverage)]
    for symbol, own in settings.symbols.items():
        if own.leverage is not None:
            leverages.append((("symbols", symbol, "leverage"), own.leverage))
    for path, leverage in leverages:
        widest = Decimal(100) / leverage * risk.liquidation_distance_factor
        if widest <= risk.stop_distance_pct_min:
            yield (
                path,
                f"at {leverage}x a stop may be at most {widest:.2f} % away (liquidation_distance_factor), "
                f"which is not above stop_distance_pct_min {risk.stop_distance_pct_min}: no trade",
            )


def _limits(settings: Settings) -> Iterator[Finding]:
    limits = settings.limits
    if limits.daily_loss_pct > limits.weekly_loss_pct:
        yield (
            ("limits", "weekly_loss_pct"),
            f"{limits.weekly_loss_pct} for a week is below daily_loss_pct {limits.daily_loss_pct}",
        )
    if limits.weekly_loss_pct > limits.monthly_loss_pct:
        yield (
            ("limits", "monthly_loss_pct"),
            f"{limits.monthly_loss_pct} for a month is below weekly_loss_pct {limits.weekly_loss_pct}",
        )
    if limits.equity_stale_defer_ms < limits.equity_age_ms_max:
        yield (
            ("limits", "equity_stale_defer_ms"),
            f"{limits.equity_stale_defer_ms} is below equity_age_ms_max {limits.equity_age_ms_max}, "
            "at which equity only becomes stale",
        )


def _loops(settings: Settings) -> Iterator[Finding]:
    loops, limits = settings.loops, settings.limits
    if loops.equity_interval_ms >= limits.equity_age_ms_max:
        yield (
            ("loops", "equity_interval_ms"),
            f"equity read every {loops.equity_interval_ms} ms would be stale before the next reading: "
            f"limits.equity_age_ms_max is {limits.equity_age_ms_max}",
        )
    if loops.reconcile_interval_ms > loops.lists_interval_ms:
        yield (
            ("loops", "lists_interval_ms"),
            f"{loops.lists_interval_ms} is below reconcile_interval_ms {loops.reconcile_interval_ms}: "
            "the costly look over all symbols must not be the more frequent one",
        )


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _symbols,
    _timeframes,
    _market_data,
    _risk,
    _liquidation,
    _limits,
    _loops,
)
