"""Does what the plan says to what is around the bot: the exchange's rules, its candles, tasks and the chat."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from exchange.filters import SymbolFilters
from exchange.sim.core.venue import Venue
from exchange.sim.server.listing import Told
from fsm.proofs.torture.bot_process import BotProcess
from fsm.proofs.torture.candle_lists import CandleLists
from fsm.proofs.torture.failing_messenger import TEXTS
from fsm.proofs.torture.front import Front
from fsm.proofs.torture.plan import Disturbance

LOT_LEFT = Decimal("0.4")
"""So much of an open position one market order may still be for, once its largest lot was lowered."""


class EnvironmentActs:
    """What lasts for a while ends with ``passed`` once its time has come, and all of it with ``mend``."""

    def __init__(self, venue: Venue, front: Front, bot: BotProcess, candles: CandleLists) -> None:
        self._venue = venue
        self._front = front
        self._bot = bot
        self._candles = candles
        self._changed: list[tuple[int, SymbolFilters, SymbolFilters]] = []
        self._told: dict[str, int] = {}

    # --- the exchange's rules -----------------------------------------------------------------
    def rules(self, what: Disturbance) -> bool:
        """False where it could not be done: a lot that is the smallest already."""
        symbol, now_ms = what.symbol, self._venue.now_ms
        until_ms = now_ms + int(what.seconds * 1000)
        match what.what:
            case "settled" | "gone":
                if self._venue.state.filters[symbol].status != "TRADING":
                    return False
                self._front.settle(symbol)
                if what.what == "gone":
                    self._front.tell(symbol, Told.GONE)
                self._told[symbol] = until_ms
            case "unlisted" | "unbracketed":
                if symbol in self._told:
                    return False
                self._front.tell(symbol, Told.UNREADABLE if what.what == "unlisted" else Told.UNBRACKETED)
                self._told[symbol] = until_ms
            case _:
                before = self._venue.state.filters[symbol]
                after = changed(before, what.what, abs(self._venue.state.holding(symbol).quantity))
                if after is None or before.status != "TRADING":
                    return False
                self._front.change_rules(after)
                if what.seconds:
                    self._changed.append((until_ms, before, after))
        return True

    def passed(self) -> None:
        now_ms = self._venue.now_ms
        for symbol in [symbol for symbol, until_ms in self._told.items() if until_ms <= now_ms]:
            self._list_again(symbol)
        for each in [each for each in self._changed if each[0] <= now_ms]:
            self._changed.remove(each)
            _, before, after = each
            if self._venue.state.filters[before.symbol] == after:
                self._front.change_rules(before)

    def _list_again(self, symbol: str) -> None:
        del self._told[symbol]
        self._front.tell(symbol, Told.LISTED)
        filters = self._venue.state.filters[symbol]
        if filters.status != "TRADING":
            self._front.change_rules(replace(filters, status="TRADING"))

    def mend(self) -> None:
        """Every symbol is listed; other ticks and lots are no fault, and stay."""
        for symbol in list(self._told):
            self._list_again(symbol)
        self._changed.clear()

    # --- candles, tasks, messages ---------------------------------------------------------------
    def candles(self, what: Disturbance) -> None:
        self._candles.spoil(what, self._venue.now_ms)

    def task(self, what: Disturbance) -> None:
        self._bot.task_faults.strike(what)

    def write(self, what: Disturbance) -> None:
        """The operator writes in the chat, if the bot lives to hear of it."""
        if self._bot.messenger is not None:
            self._bot.messenger.write(TEXTS[what.number % len(TEXTS)])


def changed(filters: SymbolFilters, what: str, held: Decimal) -> SymbolFilters | None:
    """Other rules; None where there is nothing to change."""
    if what == "lot-lowered":
        step = filters.market_step_size
        most = held * LOT_LEFT // step * step
        if most < max(filters.market_quantity_min, step):
            return None
        return replace(filters, market_quantity_max=most)
    factor = Decimal(10) if what.endswith("coarser") else Decimal("0.1")
    if what.startswith("tick"):
        return filters.with_tick(filters.tick_size * factor)
    lot, market_lot = filters.step_size * factor, filters.market_step_size * factor
    if market_lot > filters.market_quantity_max:
        return None
    return replace(
        filters,
        step_size=lot,
        market_step_size=market_lot,
        quantity_min=max(filters.quantity_min, lot),
        market_quantity_min=max(filters.market_quantity_min, market_lot),
    )
