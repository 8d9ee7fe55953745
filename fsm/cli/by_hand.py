"""Hands the operator's changes of an open trade to the bot: a part to close, a stop or a target to move."""

from __future__ import annotations

import sys

import click

from fsm.cli import output
from fsm.cli.control import WAIT, confirm, post, tell_held
from fsm.cli.errors import CommandError
from fsm.cli.names import a_symbol
from fsm.cli.options import command, current


@command("reduce")
@click.argument("symbol", shell_complete=a_symbol)
@click.argument("amount")
@click.option("--yes", is_flag=True, help="close it at once; without a terminal it never asks")
@WAIT
def reduce(symbol: str, amount: str, yes: bool, wait_s: float) -> None:
    """Close a part of the position in SYMBOL at the market. AMOUNT is a quantity, or a share of it: 0.01, 25%.

    The rest keeps its stop, and targets for a part become smaller with it. It is sent once, and never tried again.
    """
    line = _line("reduce", amount)
    if not yes and not current().json and sys.stdin.isatty() and output.is_terminal():
        tell_held(symbol.upper())
        confirm(f"Close {amount} of {symbol.upper()} at the market?")
    post(line, symbol.upper(), wait_s)


@command("move-stop")
@click.argument("symbol", shell_complete=a_symbol)
@click.argument("price")
@click.option("--looser", is_flag=True, help="it may move away from safety, within every cap of config.yaml")
@click.option("--reason", "why", default="", metavar="TEXT", help="why, for the journal; --looser takes one")
@WAIT
def move_stop(symbol: str, price: str, looser: bool, why: str, wait_s: float) -> None:
    """Move the stop of the open trade in SYMBOL to PRICE. The new one rests before the old one goes.

    Only towards safety, unless --looser and a --reason say otherwise. The rules may tighten it again.
    """
    post(_line("move-stop", price, looser=looser, why=why), symbol.upper(), wait_s)


@command("move-target")
@click.argument("symbol", shell_complete=a_symbol)
@click.argument("price")
@click.option("--number", type=click.IntRange(1, 99), help="which target, from 1; needed where several rest")
@WAIT
def move_target(symbol: str, price: str, number: int | None, wait_s: float) -> None:
    """Move a target of the open trade in SYMBOL to PRICE. The stop stays where it is."""
    post(_line("move-target", price, number=number), symbol.upper(), wait_s)


def _line(kind: str, words: str, *, number: int | None = None, looser: bool = False, why: str = "") -> str:
    from store.hand_wishes import hand_wish

    try:
        return hand_wish(kind, words, number=number, looser=looser, why=why).words()
    except ValueError as error:
        raise CommandError(str(error), f"`{kind} --help` shows how it is said") from error
