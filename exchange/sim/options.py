"""Options of the command line that every simulated account has."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import click

PERCENT_MAX = 100
_Command = Callable[..., Any]


def account_options(command: _Command) -> _Command:
    """Seed, balance, fees, and how orders are filled."""
    for option in reversed((
        click.option("--seed", type=click.IntRange(0), default=0, help="Decides keys and random faults."),
        click.option("--balance", callback=_balance, default="10000", help="USDT in the account."),
        click.option("--maker-fee-pct", callback=_percent, default="0.02", help="Fee of orders that rest."),
        click.option("--taker-fee-pct", callback=_percent, default="0.05", help="Fee of orders that fill at once."),
        click.option("--slippage-pct", callback=_percent, default="0.02", help="How much worse market orders fill."),
        click.option(
            "--stop-depth-share",
            type=click.FloatRange(0, 1),
            default=0.25,
            help="How far stops fill between trigger and worst price of a candle of one minute; of longer ones less.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def symbols_of(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    """Names with commas between them, each once."""
    return tuple(dict.fromkeys(name.strip().upper() for name in text.split(",") if name.strip()))


def _balance(_: click.Context, __: click.Parameter, text: str) -> Decimal:
    amount = _number(text, "amount of USDT")
    if not amount.is_finite() or amount <= 0:
        raise click.BadParameter(f"{text} USDT is nothing to trade with")
    return amount


def _percent(_: click.Context, __: click.Parameter, text: str) -> Decimal:
    share = _number(text, "percentage")
    if not 0 <= share < PERCENT_MAX:
        raise click.BadParameter(f"{text} % is not between 0 and {PERCENT_MAX} %")
    return share


def _number(text: str, what: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise click.BadParameter(f"{text!r} is no {what}") from None
