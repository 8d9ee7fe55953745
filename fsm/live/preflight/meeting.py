"""The first words with the exchange: what account this is, and what rules its symbols have.

When flat, whatever is not supported refuses the start by name. With a trade open nothing that only entries need does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from exchange.errors import ExchangeError
from exchange.filters import UNKNOWN
from exchange.port import Exchange
from exchange.types import AccountModes
from fsm.live.context.clock import Clock
from fsm.live.context.symbol_catalog import MARGIN_ASSET, World, read_world, unread_world

log = structlog.get_logger("fsm.meeting")

ASK_AGAIN_S = 2.0
PATIENCE_S = 3.0
"""So long a start with an open trade waits for what only entries need; the trade itself is looked at after it."""

_ADVICE = {
    "hedge mode": "set one-way mode once nothing is open (R27)",
    "multi-assets mode": "set single-asset mode at the exchange: isolated margin does not exist in the other",
    "credits trading mode (BNFCR)": "this bot counts in USDT: leave the credits trading mode, or use another account",
    "portfolio margin": "leave portfolio margin, or use another account: it has an interface of its own",
}


class StartRefused(Exception):
    """The bot must not run like this; ``hint`` says what to change (exit code 3)."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Met:
    """The rules of the symbols, and the modes of the account that are not supported (empty: all is well)."""

    world: World
    unsupported: str


async def meet(exchange: Exchange, clock: Clock, symbols: Sequence[str], held: Sequence[str], known: World) -> Met:
    """Ask until it answers; with a trade open, for a moment only. Raises StartRefused where nothing is open."""
    while True:
        try:
            async with asyncio.timeout(PATIENCE_S if held else None):
                modes, world = await exchange.account_modes(), await read_world(exchange, symbols, known, symbols)
        except (ExchangeError, TimeoutError) as error:
            log.warning("exchange_failed", reason=type(error).__name__, error=str(error))
            if held:
                return Met(unread_world(symbols, known), "")
            await clock.sleep(ASK_AGAIN_S)
            continue
        if not held:
            _refuse(modes, world)
        _leave_out_strangers(world, held)
        return Met(world, _named(modes))


def _named(modes: AccountModes) -> str:
    return " and ".join(modes.unsupported)


def _refuse(modes: AccountModes, world: World) -> None:
    if modes.unsupported:
        advice = "; ".join(_ADVICE[name] for name in modes.unsupported)
        raise StartRefused(f"the account is in {' and '.join(modes.unsupported)}", advice)
    foreign = {
        name: filters.margin_asset
        for name, filters in world.filters.items()
        if filters.contract_type != UNKNOWN and filters.margin_asset != MARGIN_ASSET
    }
    if foreign:
        told = ", ".join(f"{name} ({asset})" for name, asset in foreign.items())
        raise StartRefused(
            f"not margined in USDT, in which this bot counts: {told}", "disable these symbols in config.yaml"
        )


def _leave_out_strangers(world: World, held: Sequence[str]) -> None:
    """Symbols that the exchange never told of, and where nothing is open: most likely misspelt."""
    for name in [name for name in world.unlisted if name not in held]:
        if world.filters[name].contract_type == UNKNOWN:
            del world.filters[name], world.brackets[name]
            world.unlisted.discard(name)
