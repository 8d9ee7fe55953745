"""Carries out what the operator changes about an open trade by hand, and says what came of it at the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from exchange.errors import ExchangeError
from exchange.types import MarkPrice
from fsm.core.model.decision import Rejected
from fsm.core.model.events import Commanded
from fsm.core.model.records import HaltCause, State, Trade
from fsm.live.context.live_context import LiveContext
from fsm.live.trading.symbol_worker import SymbolWorker
from store.hand_wishes import HandWish, read_hand_wish
from store.views import CommandRow

PRICE_S_MAX = 5.0
"""So long the present price is waited for; without one nothing is moved."""

KNOWN_WAIT_S = 25.0
"""Whoever asked waits for thirty seconds; what is not known by then is said to be so."""

LOOK_S = 0.1

Ended = tuple[str | None, str]
"""The guard that refused it, if any, and how things stand."""


class Acting:
    """Nothing here touches an order: the machine decides, the symbol's worker carries out, and this watches."""

    def __init__(self, live: LiveContext, workers: Mapping[str, SymbolWorker]) -> None:
        self._live = live
        self._workers = workers

    async def carry_out(self, command: CommandRow) -> Ended:
        """Raises Rejected where the machine refuses it, and JournalError."""
        try:
            wish = read_hand_wish(command.kind)
        except ValueError as error:
            raise Rejected("COMMAND", str(error)) from error
        if command.symbol is None:
            raise Rejected("SYMBOL", f"{wish.kind} takes one symbol")
        if command.symbol not in self._workers:
            raise Rejected("SYMBOL", f"{command.symbol} is not traded here; there are {', '.join(self._workers)}")
        worker = self._workers[command.symbol]
        prices = None if wish.price is None else await self._prices(command.symbol)
        before = worker.record.trade
        worker.handle(self._event(command, command.symbol, wish, prices))
        assert before is not None, "the machine refuses what is about no trade"
        return await self._told(worker, wish, before)

    def _event(self, command: CommandRow, symbol: str, wish: HandWish, prices: MarkPrice | None) -> Commanded:
        return Commanded(
            symbol=symbol,
            at_ms=self._live.clock.now_ms(),
            command=wish.kind,
            cause=HaltCause.OPERATOR.value,
            command_id=command.id,
            quantity=wish.quantity,
            pct=wish.pct,
            price=wish.price,
            number=wish.number,
            looser=wish.looser,
            why=wish.why,
            prices=prices,
        )

    async def _prices(self, symbol: str) -> MarkPrice | None:
        try:
            async with asyncio.timeout(PRICE_S_MAX):
                return await self._live.exchange.mark_price(symbol)
        except TimeoutError:
            return None
        except ExchangeError as error:
            self._live.on_trouble(symbol, error)
            return None

    # --- what came of it ----------------------------------------------------------------------
    async def _told(self, worker: SymbolWorker, wish: HandWish, before: Trade) -> Ended:
        """Done is what the exchange itself has shown."""
        asked = worker.record.trade
        until_s = self._live.clock.monotonic() + KNOWN_WAIT_S
        while (trade := _same(worker, before)) is not None and _is_under_way(trade, wish):
            if self._live.clock.monotonic() >= until_s:
                return "NOT_KNOWN_YET", f"the exchange has not confirmed it yet, and it goes on: {_standing(trade)}"
            await self._live.clock.sleep(LOOK_S)
        if trade is None or asked is None:
            return "TRADE_ENDED", f"the trade {before.id} is over or being closed; `trades` shows how it ended"
        match wish.kind:
            case "reduce":
                return _reduced(before, asked, trade)
            case "move-stop":
                return _stop_moved(asked, trade)
        return _target_moved(asked, trade)


def _same(worker: SymbolWorker, before: Trade) -> Trade | None:
    """The trade as it is now; None where it is over, or on its way out."""
    record = worker.record
    if record.state is not State.PROTECTED or record.trade is None or record.trade.id != before.id:
        return None
    return record.trade


def _is_under_way(trade: Trade, wish: HandWish) -> bool:
    if wish.kind == "reduce":
        return trade.part is not None
    if wish.kind == "move-stop":
        return trade.stop_before is not None or trade.uncovered_ms is not None
    return any(target.is_moving for target in trade.targets)


def _reduced(before: Trade, asked: Trade, trade: Trade) -> Ended:
    if asked.part is None:  # it was carried out before this bot started
        return None, f"it was carried out before: {_standing(trade)}"
    closed = trade.closed_by_us - before.closed_by_us
    if closed <= 0:
        told = f"`audit --symbol {trade.symbol} --limit 5` says why"
        return "NOT_CLOSED", f"nothing was closed, and it is not tried again ({told}): {_standing(trade)}"
    return None, f"closed {_plain(closed)}: {_standing(trade)}"


def _stop_moved(asked: Trade, trade: Trade) -> Ended:
    if asked.stop is None or trade.stop is None or trade.stop.trigger_price != asked.stop.trigger_price:
        return "STOP_MOVE_REFUSED", f"the exchange refused the new stop: {_standing(trade)}"
    return None, _standing(trade)


def _target_moved(asked: Trade, trade: Trade) -> Ended:
    wanted = {target.index: target.trigger_price for target in asked.targets}
    moved = all(wanted[target.index] == target.trigger_price for target in trade.targets if not target.done)
    return (None if moved else "TARGET_MOVE_REFUSED"), _standing(trade)


def _standing(trade: Trade) -> str:
    """What is open, and what protects it."""
    stop = "NO STOP YET" if trade.stop is None else f"stop at {_plain(trade.stop.trigger_price)}"
    left = [_plain(target.trigger_price) for target in trade.targets if trade.targets_sent and not target.done]
    targets = f", targets at {', '.join(left)}" if left else ""
    return f"{trade.symbol} {trade.side} {_plain(trade.open_quantity)}, {stop}{targets}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
