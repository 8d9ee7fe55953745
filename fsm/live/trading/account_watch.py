"""Notices within a minute what somebody switched at the exchange: position mode, assets mode, margin mode, leverage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.refusals import RefusalReason
from exchange.types import AccountModes, SymbolConfig
from fsm.live.context.clock import Clock
from fsm.live.context.entry_blocks import ALL, UNSUPPORTED_ACCOUNT, EntryBlocks

log = structlog.get_logger("fsm.account_watch")

LOOK_S = 30.0
"""Twice within the minute in which a change must be noticed."""

DOUBT_AGAIN_S = 5.0
Tell = Callable[[str, str], None]

_WHAT_TO_DO = {
    "hedge mode": "Closes and stops are sent as hedge mode wants them; set one-way mode once nothing is open.",
    "multi-assets mode": "Set single-asset mode once nothing is open.",
}


class AccountWatch:
    """One alert for each change. While the account is in a mode that is not supported nothing is entered."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        clock: Clock,
        blocks: EntryBlocks,
        held: Callable[[], list[str]],
        on_trouble: Callable[[str, Exception], None],
        tell: Tell,
    ) -> None:
        """``held`` names the symbols with a trade under way."""
        self._exchange = exchange
        self._clock = clock
        self._blocks = blocks
        self._held = held
        self._on_trouble = on_trouble
        self._tell = tell
        self._configs: dict[str, SymbolConfig] = {}
        self._doubted = asyncio.Event()

    def set_up(self, config: SymbolConfig) -> None:
        """What an entry is about to be opened with: a change before the first look at it is noticed too."""
        self._configs[config.symbol] = config

    def after_refusal(self, reason: RefusalReason) -> None:
        """A refusal that names a mode: look at once."""
        if reason is RefusalReason.WRONG_MODE:
            self._doubted.set()

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except ExchangeError as error:
                self._on_trouble("", error)
            await self._rest()

    async def _rest(self) -> None:
        await self._clock.sleep(DOUBT_AGAIN_S)  # one refusal after the other is one doubt
        try:
            async with asyncio.timeout(LOOK_S - DOUBT_AGAIN_S):
                await self._doubted.wait()
        except TimeoutError:
            return
        self._doubted.clear()

    async def look(self) -> None:
        """Once. Raises ExchangeError."""
        self._judge_modes(await self._exchange.account_modes())
        held = self._held()
        for symbol in held:
            self._judge_config(await self._exchange.symbol_config(symbol))
        self._configs = {name: found for name, found in self._configs.items() if name in held}

    def _judge_modes(self, modes: AccountModes) -> None:
        if not modes.unsupported:
            if self._blocks.clear(ALL, UNSUPPORTED_ACCOUNT):
                text = "The account is in one-way, single-asset mode again: entries are allowed."
                self._tell(text, f"modes {self._clock.now_ms()}")
            return
        names = " and ".join(modes.unsupported)
        if not self._blocks.set(ALL, UNSUPPORTED_ACCOUNT, names):
            return
        log.error("account_modes", reason=UNSUPPORTED_ACCOUNT, modes=names)
        held = ", ".join(self._held()) or "nothing"
        advice = " ".join(_WHAT_TO_DO[name] for name in modes.unsupported if name in _WHAT_TO_DO)
        text = f"The account was switched to {names}: nothing is entered until it is switched back. Open: {held}."
        text = f"{text} {advice}".rstrip()
        self._tell(text, f"modes {names} {self._clock.now_ms()}")

    def _judge_config(self, found: SymbolConfig) -> None:
        """After a restart, what a trade was opened with is what the first look at it shows."""
        before = self._configs.setdefault(found.symbol, found)
        if before == found:
            return
        self._configs[found.symbol] = found
        changed = [
            f"{what} from {was} to {now}"
            for what, was, now in (
                ("margin mode", before.margin_type.value, found.margin_type.value),
                ("leverage", before.leverage, found.leverage),
            )
            if was != now
        ]
        log.warning("symbol_config", symbol=found.symbol, reason="CHANGED", changed=changed)
        text = (
            f"{found.symbol}: somebody changed {' and '.join(changed)} at the exchange while a trade is open. Its "
            "price of liquidation has moved, and the stop stays where it is: see that it still lies before that price."
        )
        self._tell(text, f"symbol config {found.symbol} {self._clock.now_ms()}")
