"""Carries out what a variant wants of the exchange and what prices hit: entries, closes, stops, liquidations."""

from __future__ import annotations

from decimal import Decimal

from exchange.sim.core.pricing import adverse
from exchange.sim.playback.candle_path import Bar, Quote
from exchange.types import Side
from fsm.search.account import Account
from fsm.search.closed_trade import ClosedTrade
from fsm.search.open_trade import OpenTrade
from fsm.search.portfolio import free_margin
from fsm.search.seat import Seat
from fsm.search.terms import ZERO, Beyond
from fsm.search.walking import LIMIT, LIQUIDATION, STOP, Walking, counterparts, holds, whole


class Orders:
    """Of one variant: every answer of the exchange comes at once. ``active`` are the seats with a trade.

    A number among ``trades`` is one of those that the kernel lived.
    """

    def __init__(self, account: Account, active: dict[str, Seat]) -> None:
        self.account, self.active = account, active
        self.trades: list[ClosedTrade | int] = []
        self.walking = Walking(self._strike)
        self.ambiguous = self.undecided = 0
        self._ambiguous: set[tuple[str, int]] = set()
        self._undecided: set[tuple[str, int]] = set()

    def walk(self, bars: dict[Seat, Bar], open_ms: int, now_ms: int) -> None:
        """Let prices take their paths through these bars."""
        self._ambiguous.clear()
        self._undecided.clear()
        self._walk(bars, open_ms, now_ms)
        self.ambiguous += len(self._ambiguous)
        self.undecided += len(self._undecided)

    def _walk(self, bars: dict[Seat, Bar], open_ms: int, now_ms: int) -> None:
        busy = [seat for seat in bars if not seat.is_quiet(open_ms)]
        if len(busy) != 1 or any(len(bar) > 1 for bar in bars.values()):
            self.walking.run(bars, open_ms, now_ms)
            return
        self.walking.run_alone(busy[0], bars[busy[0]][0])
        for seat, (candle,) in bars.items():
            seat.quote = Quote(candle.last.close, candle.mark.close)

    def enter(self, seat: Seat, now_ms: int) -> None:
        """Send the entry: a market order fills at once, a LIMIT rests unless the price is there already."""
        trade, terms, quote = seat.trade, seat.terms, seat.now
        assert trade is not None
        side, limit = trade.entry_side, trade.limit
        price = terms.taken(side, quote.last, quote.mark) if limit is None else limit
        if price is None:
            self._refused(seat, -4131, now_ms)
            return
        notional = price * trade.quantity
        code = self._margin_refusal(trade, notional, max(trade.sign * (price - quote.mark) * trade.quantity, ZERO))
        if code is not None:
            self._refused(seat, code, now_ms)
            return
        trade.is_sent = True
        if limit is None:
            self._filled(seat, price, now_ms, maker=False)
        elif (quote.last <= limit) if side is Side.BUY else (quote.last >= limit):
            plain = adverse(quote.last * terms.factor[side], side, terms.filters)
            if plain <= 0:
                raise Beyond(f"prices of {seat.symbol} below one tick")
            clipped = min(plain, limit) if side is Side.BUY else max(plain, limit)
            self._filled(seat, clipped, now_ms, maker=False)

    def _margin_refusal(self, trade: OpenTrade, notional: Decimal, loss: Decimal) -> int | None:
        terms = trade.terms
        if notional > terms.notional_max:
            return -2027
        needed = notional / terms.leverage + loss + notional * terms.taker
        return -2019 if needed > free_margin(self.account, self.active) else None

    def _refused(self, seat: Seat, code: int, now_ms: int) -> None:
        seat.refused(code, now_ms)
        del self.active[seat.symbol]

    def _filled(self, seat: Seat, price: Decimal, now_ms: int, *, maker: bool) -> None:
        """The entry is filled; its stop and targets are placed at once."""
        trade = seat.trade
        assert trade is not None
        self.account.wallet += trade.enter(price, now_ms, maker=maker)
        watched = seat.now.mark if seat.terms.by_mark else seat.now.last
        if trade.sign * (watched - trade.stop) <= 0:
            self.leave(seat, "STOP_WOULD_TRIGGER", now_ms)
            return
        if any(target.is_open and trade.sign * (watched - target.trigger) >= 0 for target in trade.targets):
            raise Beyond("a target that is reached before it is placed")
        seat.refusal = None

    def drop(self, seat: Seat) -> None:
        """The signal is given up, or its order ended without a fill."""
        seat.trade = None
        del self.active[seat.symbol]

    def leave_or_cancel(self, seat: Seat, reason: str, now_ms: int, flagged: str | None = None) -> None:
        assert seat.trade is not None
        if seat.trade.held:
            self.leave(seat, reason, now_ms, flagged)
        else:
            self.drop(seat)

    def leave(self, seat: Seat, reason: str, now_ms: int, flagged: str | None = None) -> None:
        """Close all of it at market."""
        trade, quote = seat.trade, seat.now
        assert trade is not None
        price = seat.terms.taken(trade.exit_side, quote.last, quote.mark)
        if price is None:
            raise Beyond("a close that the exchange would not fill")
        most = seat.terms.filters.market_quantity_max
        if most and trade.held > most:
            raise Beyond("a close in several pieces")
        self.account.wallet += trade.leave(price, trade.held)
        self._book(seat, reason, now_ms, flagged)

    def _book(self, seat: Seat, reason: str, now_ms: int, flagged: str | None = None) -> None:
        trade = seat.trade
        assert trade is not None
        closed = trade.booked(reason, now_ms, flagged)
        self.trades.append(closed)
        del self.active[seat.symbol]
        seat.after(closed, now_ms)
        assert closed.net_pnl is not None
        self.account.book(closed.net_pnl, now_ms)

    # --- what prices hit ----------------------------------------------------------------------
    def _strike(self, seat: Seat, rank: int, number: int, now_ms: int) -> None:
        trade = seat.trade
        assert trade is not None
        if rank == LIMIT:
            assert trade.limit is not None
            self._filled(seat, trade.limit, now_ms, maker=True)
        elif rank == LIQUIDATION:
            self._liquidate(seat, trade, now_ms)
        else:
            self._trigger(seat, trade, None if rank == STOP else number, now_ms)

    def _liquidate(self, seat: Seat, trade: OpenTrade, now_ms: int) -> None:
        price = adverse(seat.now.mark, trade.exit_side, seat.terms.filters)
        margin, quantity = trade.wallet, trade.held
        change = trade.leave(price, quantity)
        self.account.wallet += change
        self.account.wallet += trade.clear(price, quantity, margin + change)
        self._book(seat, "LIQUIDATED", now_ms)

    def _trigger(self, seat: Seat, trade: OpenTrade, number: int | None, now_ms: int) -> None:
        """The stop, or a target by its number, is reached."""
        terms, quote, side = seat.terms, seat.now, trade.exit_side
        fired = None if number is None else trade.targets[number]
        self._notice(seat, [trade.stop] if fired is not None else counterparts(trade))
        last = quote.last if fired is not None else terms.stop_price(side, quote, seat.candle)
        price = terms.taken(side, last, quote.mark)
        if price is None:
            raise Beyond("a conditional order that would not fill at its trigger")
        quantity = trade.held if fired is None or fired.quantity is None else min(fired.quantity, trade.held)
        self.account.wallet += trade.leave(price, quantity)
        if fired is not None:
            fired.is_open = False
        if not trade.held:
            self._book(seat, "STOP_HIT" if fired is None else "TARGET_HIT", now_ms)

    def _notice(self, seat: Seat, others: list[Decimal]) -> None:
        """Count the bars that held both a stop and its target."""
        place = self.walking.places.get(seat.symbol)
        if place is None:
            return
        now, bar = place.stretch, whole(place.bar)
        for trigger in others:
            if now is not None and not place.jumped and holds(seat, now, trigger):
                self._ambiguous.add((seat.symbol, now.open_ms))
            if holds(seat, bar, trigger):
                self._undecided.add((seat.symbol, bar.open_ms))
