"""Gives a coin that is not shipped its leverage brackets: the exchange's, asked with a key, or a similar coin's."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.candle_options import store_option
from fsm.cli.errors import CommandError, Exit
from fsm.cli.options import Command, Options, current

if TYPE_CHECKING:
    from exchange.rule_files import Row


@click.command(cls=Command)
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL...")
@click.option("--like", metavar="SYMBOL", help="take the table of this coin instead of asking the exchange")
@store_option
def brackets(symbols: tuple[str, ...], like: str | None, data: Path) -> None:
    """Keep leverage brackets of symbols in the store. They say how far from its entry a position would be liquidated.

    The exchange tells them to keys only: it is asked with those of .env. Without a key name a coin of about the same
    turnover with --like; WIFUSDT has the most cautious table of the shipped ones. A backtest says so.
    """
    names = tuple(dict.fromkeys(name.upper() for name in symbols))
    if like is None:
        path, how = _asked(current(), names, data)
    else:
        path, how = _copied(names, like.upper(), data)
    if current().json:
        output.document({"file": str(path), "symbols": dict.fromkeys(names, how)})
        return
    for name in names:
        output.line(f"{name}: {how}, in {path}")


def _copied(names: tuple[str, ...], like: str, data: Path) -> tuple[Path, str]:
    from exchange.candle_store.manifest import replace_file
    from exchange.rule_files import RuleKind, at, encoded, rules_in
    from exchange.sim.playback.symbols import shipped_folder

    known = rules_in([shipped_folder(), data], RuleKind.BRACKETS)
    found = at(known.get(like, ()), 10**15)
    if found is None:
        near = difflib.get_close_matches(like, sorted(known), n=1, cutoff=0.6)
        advice = f"did you mean {near[0]}?" if near else "WIFUSDT has the most cautious table of the shipped ones"
        raise CommandError(f"{like}: no leverage brackets are known of it; {advice}")
    path = data / f"{RuleKind.BRACKETS}.json"
    own = rules_in([data], RuleKind.BRACKETS)
    rows: dict[str, Row] = {name: row.row for name, listed in own.items() for row in listed if row.path == path}
    rows |= {name: {**found.row, "symbol": name} for name in names}
    data.mkdir(parents=True, exist_ok=True)
    replace_file(path, encoded(RuleKind.BRACKETS, rows.values()))
    return path, f"those of {like}"


def _asked(options: Options, names: tuple[str, ...], data: Path) -> tuple[Path, str]:
    from exchange.candle_store.writing import StoreWriter
    from exchange.rule_files import RuleKind, dated_name

    now_ms, rows = _answer(options, names)
    missing = [name for name in names if name not in rows]
    if missing:
        raise CommandError(f"{', '.join(missing)}: the exchange does not list it; look at its name")
    with StoreWriter(data) as writer:
        writer.say(RuleKind.BRACKETS, rows, now_ms)
    return data / dated_name(RuleKind.BRACKETS, now_ms), "asked of the exchange"


def _answer(options: Options, names: tuple[str, ...]) -> tuple[int, Mapping[str, Row]]:
    from exchange.environment import resolve
    from exchange.errors import ExchangeError
    from exchange.secrets import Credentials
    from fsm.bootstrap import leverage_tables
    from fsm.config import read_environment
    from fsm.live.context.clock import MachineClock

    environment = read_environment(
        options.env_path, os.environ, required=options.env_file is not None, needs_keys=False
    )
    url, given = resolve(environment.addresses).rest_url, environment.secrets
    if url is None or given.api_key is None or given.api_secret is None:
        raise CommandError(
            "the exchange tells leverage brackets to keys only, and there is none in .env",
            f"`data brackets {' '.join(names)} --like WIFUSDT` takes the table of a similar coin, and WIFUSDT's is the "
            "most cautious of the shipped ones",
        )
    keys = Credentials(api_key=given.api_key, api_secret=given.api_secret)
    try:
        return asyncio.run(leverage_tables(url, MachineClock(), keys, names))
    except ExchangeError as error:
        told = f"{url} does not answer as it should: {error}"
        raise CommandError(told, "run it again, or use --like", exits=Exit.REFUSED, code="UNREACHABLE") from error
