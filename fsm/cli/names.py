"""Names that are typed: what TAB offers in place of one, and which was meant by one that is misspelt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from fsm.cli.errors import CommandError
from fsm.cli.options import Options

if TYPE_CHECKING:
    from store.database import Store

_QUOTE = re.compile(r"US(DT|TD|DC|D|T)$")

Completing = Callable[[click.Context, click.Parameter, str], list[str]]


def meant(name: str, known: Iterable[str]) -> str:
    """A question that names the nearest, or nothing where nothing is near. All symbols end alike, which makes none
    like another."""
    bare = {_QUOTE.sub("", each) or each: each for each in known}
    near = get_close_matches(_QUOTE.sub("", name) or name, list(bare), n=1, cutoff=0.6)
    return f"did you mean {bare[near[0]]}?" if near else ""


def symbols_in(store: Store) -> set[str]:
    """Those that a database knows."""
    from store import queries

    return {row.symbol for row in queries.symbols(store)} | {row.symbol for row in queries.latest_decisions(store)}


def require_known(store: Store, symbol: str | None) -> None:
    """A misspelt symbol would find nothing, or wait for ever. A database without any symbol yet takes every name."""
    if symbol is None or (hint := of_unknown(store, symbol)) is None:
        return
    raise CommandError(f"{symbol} is not among the symbols of {store.path}", hint)


def of_unknown(store: Store, symbol: str) -> str | None:
    """What to say where a database knows symbols, and this one is none of them."""
    known = symbols_in(store)
    if not known or symbol in known:
        return None
    return f"{meant(symbol, known)} there are {', '.join(sorted(known))}".strip()


def nothing_matches(what: str, store: Store, symbol: str | None) -> str:
    """The line of a list that is empty; a misspelt symbol may be why."""
    hint = None if symbol is None else of_unknown(store, symbol)
    return what if hint is None else f"{what}: {symbol} is not among the symbols; {hint}"


def _offering(find: Callable[[Options], Iterable[str]]) -> Completing:
    """What begins as typed. Somebody who presses TAB is told nothing of files that cannot be read."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from rules.source.yaml_source import SourceError
        from store.errors import StoreError

        with suppress(OSError, StoreError, SourceError):
            found = sorted(find(context.ensure_object(Options)))
            return [name for name in found if name.upper().startswith(incomplete.upper())]
        return []

    return complete


def symbols_of(options: Options) -> set[str]:
    """Those of the database, and those of config.yaml."""
    from fsm.config import load_config
    from rules.source.yaml_source import SourceError
    from store.database import open_store
    from store.errors import StoreError

    found: set[str] = set()
    with suppress(OSError, StoreError, SourceError), open_store(options.database_path(), mode="read") as store:
        found |= symbols_in(store)
    with suppress(OSError, SourceError):
        settings = load_config(options.config_path, None, {"BINANCE_ENV": "sim"}).settings
        found |= set(settings.symbols)
    return found


def _strategies(options: Options) -> Iterable[str]:
    from rules.load import load_rules

    return load_rules(options.rules_path).strategies


def _runs(options: Options) -> Iterable[str]:
    from fsm.backtest.runs import named_runs

    del options
    return [run.name for run in named_runs()]


def _shadows(options: Options) -> Iterable[str]:
    from fsm.backtest.shadows import ShadowFolder

    return ShadowFolder(options.database_path()).names()


a_symbol, a_strategy, a_run, a_shadow = map(_offering, (symbols_of, _strategies, _runs, _shadows))
