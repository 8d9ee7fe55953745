"""The options of commands that play recorded candles: which folders, and which symbols of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Callback = TypeVar("Callback", bound=Callable[..., Any])


class Symbols(click.ParamType[tuple[str, ...]]):
    """Names with commas between them, as in ``BTCUSDT,ETHUSDT``."""

    name = "symbols"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip().upper() for name in str(value).split(","))
        if not all(name.isalnum() for name in names):
            self.fail(f"{value!r} is no list of symbols; write BTCUSDT,ETHUSDT", param, ctx)
        return names


def candle_options(function: Callback) -> Callback:
    """--data and --symbols."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="DIR",
        help="folder of SYMBOL-1h.csv.gz files; may be repeated (default: the shipped candles)",
    )
    symbols = click.option(
        "--symbols", type=Symbols(), default=(), metavar="A,B", help="symbols instead of those in config.yaml"
    )
    return data(symbols(function))
