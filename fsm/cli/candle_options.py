"""The options of commands that play recorded candles: which folders, and which symbols of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from exchange.candle_store.manifest import DEFAULT_STORE, is_store
from fsm.cli.names import a_symbol

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

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The one that is being typed; those before it stay."""
        before, comma, begun = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{name}") for name in a_symbol(ctx, param, begun)]


def candle_options(function: Callback) -> Callback:
    """--data and --symbols."""
    symbols = click.option(
        "--symbols", type=Symbols(), default=(), metavar="A,B", help="symbols instead of those in config.yaml"
    )
    return data_option(symbols(function))


def data_option(function: Callback) -> Callback:
    """--data alone, as ``chosen`` takes it."""
    option = click.option(
        "--data",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="DIR",
        help="store, or folder of SYMBOL-1h.csv.gz files; may be repeated "
        f"(default: the store {DEFAULT_STORE}, and the shipped candles of symbols that it does not have)",
    )
    return option(function)


def store_option(function: Callback) -> Callback:
    """--data of commands that work on one store."""
    option = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_STORE,
        metavar="DIR",
        help=f"folder of the store (default: {DEFAULT_STORE})",
    )
    return option(function)


def chosen(data: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The folders to read, and those for symbols that they do not have."""
    from exchange.sim.playback.symbols import shipped_folder

    if data:
        return tuple(data), ()
    return ((DEFAULT_STORE,), (shipped_folder(),)) if is_store(DEFAULT_STORE) else ((shipped_folder(),), ())
