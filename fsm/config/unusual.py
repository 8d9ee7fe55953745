"""What config.yaml may say and hardly anybody means: it is in force all the same, and worth a warning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from fsm.config.schema import config_schema
from fsm.config.settings import Settings
from fsm.core.model.policy import Risk
from rules.source.yaml_source import Problem, Source

Path = tuple[str, ...]
Finding = tuple[Path, str]

LEVERAGE_USUAL = 20
FALL_R = Decimal("1.8")
"""What a stop that is hit in a fast fall loses, in units of what it was to lose (measured: docs/fill-model.md)."""

LOSS_PCT_USUAL = 20
SLIPPAGE_PCT_USUAL = Decimal(1)
FEE_PCT_USUAL = Decimal("0.2")
"""Twice what Binance takes from whoever has no discount at all; most pay a quarter of it."""

OFFSET_PCT_USUAL = 1
COMMAND_AGE_MS_USUAL = 86_400_000
"""Who stopped the bot a day ago has looked at the market since."""

SETTLE_DELAY_MS_USUAL = 500
"""Candles that are asked for sooner after their close may still be told as they were a moment before it."""

DRAWDOWN_PCT_USUAL = 30
"""A drawdown is counted from the highest equity ever, over months, so it is wider than the limit of any period."""

FRACTION = Decimal("0.05")
"""A percentage below this part of its default looks like a fraction: 0.005 where 0.5 is usual."""


def unusual(settings: Settings, source: Source) -> list[Problem]:
    """Every value that is worth a second look, at its place."""
    return [source.problem(path, message) for check in _CHECKS for path, message in check(settings)]


def unknown_symbols(settings: Settings, known: Collection[str], source: Source) -> list[Problem]:
    """Symbols that neither the shipped list nor the stored one has."""
    message = "{} is in no list of symbols that is at hand: is it spelled as Binance writes it?"
    excluded = enumerate(() if settings.symbol_list is None else settings.symbol_list.exclude)
    return [
        *(
            source.problem(("symbols", name), message.format(name), key=True)
            for name in settings.symbols
            if name not in known
        ),
        *(
            source.problem(("symbols", "exclude", place), message.format(name))
            for place, name in excluded
            if name not in known
        ),
    ]


def _leverage(settings: Settings) -> Iterator[Finding]:
    leverages: dict[Path, int | None] = {("account", "leverage"): settings.account.leverage}
    leverages |= {("symbols", name, "leverage"): own.leverage for name, own in settings.symbols.items()}
    for path, leverage in leverages.items():
        if leverage is not None and leverage > LEVERAGE_USUAL:
            away = Decimal(100) / leverage
            yield path, f"leverage {leverage} is above {LEVERAGE_USUAL}: liquidation is less than {away:.1f} % away"


def _losses(settings: Settings) -> Iterator[Finding]:
    limits = settings.limits
    named = {
        "daily_loss_pct": (limits.daily_loss_pct, LOSS_PCT_USUAL),
        "weekly_loss_pct": (limits.weekly_loss_pct, LOSS_PCT_USUAL),
        "monthly_loss_pct": (limits.monthly_loss_pct, LOSS_PCT_USUAL),
        "drawdown_pct": (limits.drawdown_pct, DRAWDOWN_PCT_USUAL),
    }
    for name, (value, most) in named.items():
        if value > most:
            message = f"{value} % of equity may be lost before this limit acts: more than {most} % is unusual"
            yield ("limits", name), message


def _open_risk(settings: Settings) -> Iterator[Finding]:
    open_risk, daily = settings.risk.max_open_risk_pct, settings.limits.daily_loss_pct
    if open_risk > daily:
        message = (
            f"open risk {open_risk} % is above limits.daily_loss_pct {daily}: stops hit at once lose more than that"
        )
        yield ("risk", "max_open_risk_pct"), message


def _fast_fall(settings: Settings) -> Iterator[Finding]:
    loss, daily = fall_loss_pct(settings), settings.limits.daily_loss_pct
    if loss > daily:
        message = (
            f"limits.daily_loss_pct {daily} is less than {loss:f} %, which the stops of as many positions lose in a "
            f"fast fall ({FALL_R} R each, docs/fill-model.md): raise it, or lower risk_per_trade_pct or this"
        )
        yield ("risk", "max_open_positions"), message


def fall_loss_pct(settings: Settings) -> Decimal:
    """Percent of equity that is lost when the stops of as many positions as may be open are hit in a fast fall."""
    usual, most = settings.risk.risk_per_trade_pct, settings.risk.max_open_positions
    risks = [usual if own.risk_per_trade_pct is None else own.risk_per_trade_pct for own in settings.symbols.values()]
    risks += [usual] * (0 if settings.symbol_list is None else settings.symbol_list.n)
    together = sum(sorted(risks, reverse=True)[:most], Decimal(0))
    return (min(together, settings.risk.max_open_risk_pct) * FALL_R).normalize()


def _fractions(settings: Settings) -> Iterator[Finding]:
    plain = settings.plain()
    for path, default in _percentages():
        value = _at(plain, path)
        if value is not None and 0 < Decimal(str(value)) <= default * FRACTION:
            yield path, _fraction(value, default)
    usual = Risk().risk_per_trade_pct
    for name, own in settings.symbols.items():
        if own.risk_per_trade_pct is not None and own.risk_per_trade_pct <= usual * FRACTION:
            yield ("symbols", name, "risk_per_trade_pct"), _fraction(own.risk_per_trade_pct, usual)


def _fraction(value: object, usual: Decimal) -> str:
    return f"this is {value} %, where {usual} % is usual: percentages are percent here, 0.5 means 0.5 %, not 50 %"


def _free(settings: Settings) -> Iterator[Finding]:
    costs = {
        ("risk", "taker_fee_pct"): settings.risk.taker_fee_pct,
        ("risk", "slippage_pct"): settings.risk.slippage_pct,
        ("simulation", "maker_fee_pct"): settings.simulation.maker_fee_pct,
        ("simulation", "taker_fee_pct"): settings.simulation.taker_fee_pct,
        ("simulation", "slippage_pct"): settings.simulation.slippage_pct,
    }
    for path, cost in costs.items():
        if cost == 0:
            yield path, "0: nobody trades for nothing, so results would look better than they can be"


def _dear(settings: Settings) -> Iterator[Finding]:
    """Costs that make every result look worse than it is, and every position smaller than it may be."""
    costs: dict[Path, tuple[Decimal, Decimal]] = {
        ("risk", "taker_fee_pct"): (settings.risk.taker_fee_pct, FEE_PCT_USUAL),
        ("risk", "slippage_pct"): (settings.risk.slippage_pct, SLIPPAGE_PCT_USUAL),
        ("simulation", "maker_fee_pct"): (settings.simulation.maker_fee_pct, FEE_PCT_USUAL),
        ("simulation", "taker_fee_pct"): (settings.simulation.taker_fee_pct, FEE_PCT_USUAL),
        ("simulation", "slippage_pct"): (settings.simulation.slippage_pct, SLIPPAGE_PCT_USUAL),
    }
    for path, (cost, most) in costs.items():
        if cost > most:
            yield path, f"{cost} % of the price for each order: more than {most} % is unusual"


def _late(settings: Settings) -> Iterator[Finding]:
    """What comes, or is taken, at another time than is usual."""
    offset, age_ms = settings.orders.limit_offset_pct, settings.loops.command_age_ms_max
    delay_ms = settings.market_data.settle_delay_ms
    if offset > OFFSET_PCT_USUAL:
        yield (
            ("orders", "limit_offset_pct"),
            f"an entry that waits {offset} % away from the price is hardly ever filled",
        )
    if age_ms > COMMAND_AGE_MS_USUAL:
        message = f"a flatten, resume or release would be carried out {age_ms // 3_600_000} hours after it was typed"
        yield ("loops", "command_age_ms_max"), message
    if delay_ms < SETTLE_DELAY_MS_USUAL:
        message = f"a candle is read {delay_ms} ms after its close: the exchange may not have finished it"
        yield ("market_data", "settle_delay_ms"), message


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _leverage,
    _losses,
    _open_risk,
    _fast_fall,
    _fractions,
    _free,
    _dear,
    _late,
)


def _percentages() -> Iterator[tuple[Path, Decimal]]:
    """Every percentage of the file with its default, where that is above 0."""
    for section, inner in config_schema()["properties"].items():
        for key, described in inner.get("properties", {}).items():
            if "_pct" in key and described.get("default"):
                yield (section, key), Decimal(str(described["default"]))


def _at(data: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(data, Mapping) or step not in data:
            return None
        data = data[step]
    return data
