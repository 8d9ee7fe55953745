"""Runs one variant from close to close: the same moments in the same order as a backtest, without journal and exchange.

At one instant: funding, triggers at the open of the bar that begins, the account's limits, decisions in symbol order,
and then their orders. Between two instants prices follow their path where they may hit something, and are passed where
they cannot.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from exchange.sim.core.pricing import adverse
from exchange.types import Side
from fsm.backtest.clock_loop import FUNDING_MS
from fsm.config import Settings
from fsm.core.limits import DAY_MS, is_over
from fsm.core.model.policy import LimitAction
from fsm.core.model.records import HaltCause
from fsm.search.account import Account
from fsm.search.managing import moved_stop
from fsm.search.open_trade import OpenTrade
from fsm.search.outcome import ClosedTrade
from fsm.search.portfolio import Correlated, free_margin, room_for
from fsm.search.seat import Seat
from fsm.search.sizing import plan, still_good
from fsm.search.terms import ZERO, Beyond
from fsm.search.walking import LIMIT, LIQUIDATION, STOP, Walking, counterparts, holds, whole


class Evaluation:
    """One variant under way; afterwards ``trades``, ``account.curve`` and the counts say what came of it."""

    def __init__(self, settings: Settings, seats: list[Seat], correlated: Correlated, step_ms: int) -> None:
        self._settings, self._seats = settings, seats
        self._step_ms, self._entry_ms = step_ms, seats[0].terms.entry_ms
        self._correlated = correlated
        self._flattens = settings.limits.action is LimitAction.FLATTEN
        self.account = Account(settings)
        self.active: dict[str, Seat] = {}
        self.trades: list[ClosedTrade] = []
        self._walking = Walking(self._strike)
        self._walked: list[Seat] = []
        self._ambiguous: set[tuple[str, int]] = set()
        self._undecided: set[tuple[str, int]] = set()
        self.ambiguous = self.undecided = self.position_ms = self.fundings = 0
        self.fundings_missing: Counter[str] = Counter()

    def run(self, from_ms: int, to_ms: int) -> None:
        now_ms = from_ms + self._step_ms
        while now_ms <= to_ms:
            self._follow(now_ms)
            self._instant(now_ms, last=now_ms == to_ms)
            now_ms = self._next(now_ms, to_ms)
        for seat in self._active():
            self._leave_or_cancel(seat, "END_OF_DATA", to_ms, flagged="END_OF_DATA")
        self._read(to_ms, acts=True)

    def _active(self) -> list[Seat]:
        return [self.active[symbol] for symbol in sorted(self.active)]

    # --- time ---------------------------------------------------------------------------------
    def _next(self, now_ms: int, to_ms: int) -> int:
        """The next instant at which anything may happen."""
        next_ms = now_ms + self._step_ms
        if self.active or next_ms >= to_ms:
            return next_ms
        entry_ms = self._entry_ms
        first_ms = -(-next_ms // entry_ms) * entry_ms
        if self.account.is_behind or self.account.day < 0:
            return min(first_ms, to_ms)
        end_ms = min((to_ms, *(at_ms for seat in self._seats if (at_ms := self._asks(seat, first_ms)) is not None)))
        return self._pass_days(end_ms)

    def _asks(self, seat: Seat, from_ms: int) -> int | None:
        """When it signals next and may trade."""
        if seat.halt is not None or self.account.halt is not None:
            return None
        return seat.signals.next_ms(max(from_ms, seat.resting_until_ms))

    def _pass_days(self, end_ms: int) -> int:
        """Nothing is open: the account is read where days begin, which may end a limit."""
        account = self.account
        while (day_ms := (account.day + 1) * DAY_MS) < end_ms:
            if account.breach is not None or account.halt is not None or any(seat.halt for seat in self._seats):
                return day_ms
            self._read(day_ms, acts=True)
        return end_ms

    def _follow(self, now_ms: int) -> None:
        """Let the prices of the bar that ends then move."""
        if not self._walked:
            return
        open_ms, walked = now_ms - self._step_ms, self._walked
        self.position_ms += len(self.active) * self._step_ms
        if all(seat.is_quiet(open_ms) for seat in walked):
            for seat in walked:
                if (quote := seat.bars.closing(open_ms)) is not None:
                    seat.quote, seat.told_ms = quote, now_ms - 1
        else:
            bars = {seat: bar for seat in walked if (bar := seat.bars.bar(open_ms)) is not None}
            self._walking.run(bars, open_ms, now_ms)
            for seat in bars:
                seat.told_ms = now_ms - 1
            self.ambiguous += len(self._ambiguous)
            self.undecided += len(self._undecided)
            self._ambiguous.clear()
            self._undecided.clear()
        for seat in self._active():
            trade = seat.trade
            if trade is not None and not trade.is_filled and trade.expires_ms <= now_ms:
                self._drop(seat)

    def _instant(self, now_ms: int, *, last: bool) -> None:
        active = self._active()
        for seat in active:
            self._fund(seat, now_ms)
        if active:
            self._open(active, now_ms)
        decides = now_ms % self._entry_ms == 0
        if self.account.is_due(now_ms, active=bool(self.active)) if decides else active:
            self._read(now_ms, acts=decides)
        if not last:
            if decides:
                self._decide(now_ms)
            self._walked = [*dict.fromkeys((*active, *self._active()))] if self.active else []

    def _fund(self, seat: Seat, now_ms: int) -> None:
        trade = seat.trade
        assert trade is not None
        if not trade.held:
            return
        rate = seat.bars.feed.funding(now_ms)
        if rate is not None:
            self.account.wallet += trade.pay_funding(seat.now.mark, rate)
            self.fundings += 1
        elif now_ms % FUNDING_MS == 0:
            self.fundings_missing[seat.symbol] += 1

    def _open(self, active: list[Seat], now_ms: int) -> None:
        """Prices jump to the opens of the bars that begin."""
        quotes = {seat: quote for seat in active if (quote := seat.bars.opening(now_ms)) is not None}
        for seat in quotes:
            seat.told_ms = now_ms
        if all(seat.is_quiet(now_ms) for seat in quotes):
            for seat, quote in quotes.items():
                seat.quote = quote
            return
        bars = {seat: bar for seat in quotes if (bar := seat.bars.bar(now_ms)) is not None}
        self._walking.open(quotes, bars, now_ms)

    # --- the account --------------------------------------------------------------------------
    def _read(self, now_ms: int, *, acts: bool) -> None:
        account, unrealized = self.account, ZERO
        for seat in self.active.values():
            if seat.trade is not None and seat.trade.held:
                unrealized += seat.trade.unrealized(seat.now.mark)
        equity = account.wallet + unrealized
        account.curve.append((now_ms, equity))
        if acts:
            self._apply(*account.judge(now_ms, equity, free_margin(account, self.active)), now_ms)

    def _apply(self, breached: HaltCause | None, over: HaltCause | None, began: bool, now_ms: int) -> None:
        """A limit that was hit halts every symbol (or flattens it); one whose period ended lets them go on."""
        for cause in self._ended(over, now_ms) if began else ():
            for seat in self._seats:
                if seat.halt is not None and seat.halt.cause == cause:
                    seat.halt = None
        hit = breached or self._behind()
        for seat in self._seats if hit is not None else ():
            assert hit is not None
            changed = seat.halted(hit, now_ms)
            if seat.trade is None:
                continue
            if self._flattens:
                self._leave_or_cancel(seat, hit.value, now_ms)
            elif changed and not seat.trade.is_filled:
                self._drop(seat)

    def _ended(self, over: HaltCause | None, now_ms: int) -> list[HaltCause]:
        found = {over} if over is not None else set()
        if self._settings.limits.auto_resume:
            halts = (seat.halt for seat in self._seats)
            found |= {HaltCause(halt.cause) for halt in halts if halt is not None and is_over(halt, now_ms)}
        return [cause for cause in HaltCause if cause in found]

    def _behind(self) -> HaltCause | None:
        breach = self.account.breach
        if breach is None:
            return None
        late = any(seat.halt is None or (self._flattens and seat.trade is not None) for seat in self._seats)
        return HaltCause(breach.cause) if late else None

    # --- decisions ----------------------------------------------------------------------------
    def _decide(self, now_ms: int) -> None:
        """All decisions of this close first, in symbol order; what they ask for afterwards, entries last."""
        candle_ms = now_ms - self._entry_ms
        wanted: list[tuple[Seat, OpenTrade | str]] = []
        for seat in self._seats:
            found = self._decided(seat, candle_ms, now_ms)
            if found is not None:
                wanted.append((seat, found))
        entries = [seat for seat, found in wanted if not self._managed(seat, found, now_ms)]
        for seat in entries:
            self._enter(seat, now_ms)

    def _decided(self, seat: Seat, candle_ms: int, now_ms: int) -> OpenTrade | str | None:
        index = seat.market.index_at(candle_ms)
        if index is None:
            return None
        if seat.trade is not None:
            return self._judged(seat, seat.trade, index) if seat.trade.held else None
        if seat.halt is not None or self.account.halt is not None or now_ms < seat.resting_until_ms:
            return None
        signal = seat.signals.at(index)
        if signal is None or not self.account.is_read:
            return None
        seat.price(now_ms)
        if seat.quote is None:
            return None
        room = room_for(self.account, self.active, self._correlated, seat, now_ms)
        trade = plan(seat.terms, signal, candle_ms, seat.opened + 1, seat.terms.told(seat.now), room)
        if trade is not None:
            seat.opened += 1
            seat.trade = trade
            self.active[seat.symbol] = seat
        return trade

    def _judged(self, seat: Seat, trade: OpenTrade, index: int) -> str | None:
        """Why an open trade ends now. A stop that moves has moved at once: the next symbol has that much more room."""
        found = seat.signals.managed(trade, index)
        if found is None or found.exit_reason is not None or found.stop is None:
            return None if found is None else found.exit_reason
        price = moved_stop(trade, found.stop, seat.terms.told(seat.now))
        if price is not None:
            trade.move_stop(price)
            trade.asked = None
        return None

    def _managed(self, seat: Seat, found: OpenTrade | str, now_ms: int) -> bool:
        """What the rules want of an open trade; False for a trade that is to be opened."""
        if isinstance(found, OpenTrade):
            if not still_good(found, seat.terms.told(seat.now)[0]) or not seat.terms.can_set_up:
                self._drop(seat)
                return True
            return False
        self._leave(seat, found, now_ms)
        return True

    # --- orders -------------------------------------------------------------------------------
    def _enter(self, seat: Seat, now_ms: int) -> None:
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
            self._leave(seat, "STOP_WOULD_TRIGGER", now_ms)
            return
        if any(target.is_open and trade.sign * (watched - target.trigger) >= 0 for target in trade.targets):
            raise Beyond("a target that is reached before it is placed")
        seat.refusal = None

    def _drop(self, seat: Seat) -> None:
        """The signal is given up, or its order ended without a fill."""
        seat.trade = None
        del self.active[seat.symbol]

    def _leave_or_cancel(self, seat: Seat, reason: str, now_ms: int, flagged: str | None = None) -> None:
        assert seat.trade is not None
        if seat.trade.held:
            self._leave(seat, reason, now_ms, flagged)
        else:
            self._drop(seat)

    def _leave(self, seat: Seat, reason: str, now_ms: int, flagged: str | None = None) -> None:
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
        place = self._walking.places.get(seat.symbol)
        if place is None:
            return
        now, bar = place.stretch, whole(place.bar)
        for trigger in others:
            if now is not None and not place.jumped and holds(seat, now, trigger):
                self._ambiguous.add((seat.symbol, now.open_ms))
            if holds(seat, bar, trigger):
                self._undecided.add((seat.symbol, bar.open_ms))
