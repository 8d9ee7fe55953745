"""Carries an evaluation over the stretches that the kernel lives, and takes up what came of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol, cast

import numpy as np

from fsm.core.limits import DAY_MS, period_keys
from fsm.search.account import Account, Period
from fsm.search.bars import UNITS
from fsm.search.managing import moved_stop
from fsm.search.open_trade import OpenTrade
from fsm.search.orders import Orders
from fsm.search.seat import Seat
from fsm.search.straight import numbers as at
from fsm.search.straight.account import bounded, month_after
from fsm.search.straight.booked import Booked
from fsm.search.straight.columns import Bars
from fsm.search.straight.compiled import Form
from fsm.search.straight.terms import Variant, variant_of

PERIODS = (("day", at.DAY_AT), ("week", at.WEEK_AT), ("month", at.MONTH_AT))
MONEY_MAX = 2**60


class Run(Protocol):
    """The variant under way."""

    account: Account
    position_ms: int
    fundings: int

    @property
    def orders(self) -> Orders: ...
    @property
    def by_kernel(self) -> int: ...
    def missed_funding(self, symbol: str, times: int) -> None: ...


class Passing:
    """Of one variant of one symbol, while the exchange's rules stay as they are. ``ahead`` is asked whenever nothing is
    open and nothing is halted."""

    def __init__(self, run: Run, seat: Seat, variant: Variant, bars: Bars, form: Form) -> None:
        self._run, self._seat, self._bars, self._form = run, seat, bars, form
        self._first = run.by_kernel
        self._left_ms = -1
        terms, kinds, calls, brackets = variant
        view, own = form.view, form.own
        self._calls = calls
        self._told = (
            terms,
            at.Prices(*map(view, bars.prices)),
            at.Kinds(*map(own, kinds)),
            at.Calls(*map(own, calls)),
            at.Brackets(*map(own, brackets)),
        )
        days = (terms.to_ms - terms.start_ms) // DAY_MS
        readings = 3 * terms.calls + terms.bars + days + 16
        self._state, before = (own(np.zeros(at.STATE_SIZE, dtype=np.int64)) for _ in range(2))
        self._read_ms, self._read_as = (np.zeros(readings, dtype=np.int64) for _ in range(2))
        self._rows = np.zeros((terms.calls + 1, at.ROW), dtype=np.int64)
        self._fills = np.zeros((terms.calls * (at.TARGETS_MAX + 1) + 1, 3), dtype=np.int64)
        seen = (self._read_ms, self._read_as, self._rows.reshape(-1), self._fills.reshape(-1))
        self._kept = [self._state, own(np.zeros(2)), before, *map(view, seen)]
        self._terms = terms
        self.booked = Booked(seat, calls, bars.digits, self._rows, self._fills)
        self._places: list[int] = []

    @classmethod
    def of(cls, run: Run, seats: list[Seat], to_ms: int, form: Form | None) -> Passing | None:
        """None where the evaluator does it all."""
        if form is None:
            return None
        seat = seats[0]
        bars = seat.bars.whole(seat.terms.filters)
        wallet = run.account.wallet * UNITS
        if bars is None or wallet != int(wallet) or not 0 < wallet < MONEY_MAX:
            return None
        variant = variant_of(seat.terms, seat.signals, bars, seat.bars.feed.end_ms, to_ms)
        if variant is None:
            return None
        return cls(run, seat, variant, bars, form)

    def ahead(self, now_ms: int) -> int:
        """The last instant that has been lived, nothing being open: all trades until then are booked."""
        if now_ms < self._left_ms or not 0 < int(self._run.account.wallet * UNITS) < MONEY_MAX:
            return now_ms
        state = self._begin(now_ms)
        trade: OpenTrade | None = None
        while (found := self._form.live(*self._told, *self._kept)) == at.ASKS:
            trade = self._asked(state, trade)
        if found == at.LEFT:
            self._left_ms = int(state[at.SOUGHT])
        self._take_up(state)
        return int(state[at.NOW])

    # --- rules of an open trade ---------------------------------------------------------------
    def _asked(self, state: Any, trade: OpenTrade | None) -> OpenTrade:
        """Its rules say what becomes of it, and when they may say something again."""
        signals, now_ms = self._seat.signals, int(state[at.NOW])
        if state[at.ASKED_MS] == 0 or trade is None:
            trade = cast("OpenTrade", Held(self._seat, self._calls, self._bars.digits, state))
        else:
            self._judge(state, trade, now_ms)
        asked_ms = signals.asked_ms(trade, now_ms)
        state[at.ASKED_MS] = at.NEVER if asked_ms is None else max(asked_ms, now_ms + 1)
        return trade

    def _judge(self, state: Any, trade: OpenTrade, now_ms: int) -> None:
        seat, digits = self._seat, self._bars.digits
        index = seat.market.index_at(now_ms - seat.terms.entry_ms)
        found = None if index is None else seat.signals.managed(trade, index)
        if found is None:
            return
        if found.exit_reason is not None:
            state[at.LEAVES] = at.REASONS.index(found.exit_reason)
        elif found.stop is not None:
            quote = seat.bars.opening(now_ms)
            assert quote is not None
            trade.held = seat.terms.filters.market_step_size * int(state[at.HELD])
            price = moved_stop(trade, found.stop, seat.terms.told(quote))
            if price is not None:
                trade.move_stop(price)
                trade.asked = None
                state[at.STOP] = int(price.scaleb(digits))

    # --- the state ----------------------------------------------------------------------------
    def _begin(self, now_ms: int) -> Any:
        run, seat, state = self._run, self._seat, self._state
        account = run.account
        state[:] = [0] * at.STATE_SIZE
        state[at.NOW], state[at.TOLD] = now_ms, -1
        state[at.WALLET], state[at.EQUITY] = int(account.wallet * UNITS), int(account.equity * UNITS)
        state[at.HIGH], state[at.DAY] = int(account.high * UNITS), account.day
        state[at.BEHIND], state[at.LOSSES] = account.is_behind, seat.losses
        state[at.RESTING], state[at.OPENED] = seat.resting_until_ms, seat.opened
        for name, place in PERIODS:
            period = account.periods[name]
            state[place], state[place + 1] = period.day, int(period.start * UNITS)
            state[place + 2] = int(period.realized * UNITS)
        state[at.MONTH_ENDS] = month_after(int(state[at.MONTH_AT]))
        bounded(self._terms, state)
        state[at.ROWS] = self.booked.count
        state[at.FILLS] = self.booked.fills
        return state

    def _take_up(self, state: Any) -> None:
        run, seat, account = self._run, self._seat, self._run.account
        account.wallet, account.equity, account.high = (
            Decimal(int(state[place])).scaleb(-8) for place in (at.WALLET, at.EQUITY, at.HIGH)
        )
        account.available = max(account.wallet, Decimal(0))
        account.day = int(state[at.DAY])
        for name, place in PERIODS:
            day, start, made = (int(each) for each in state[place : place + 3])
            period = account.periods[name] = Period(period_keys(day * DAY_MS)[name], Decimal(start).scaleb(-8), day)
            period.realized = Decimal(made).scaleb(-8)
        rows = range(self.booked.count, int(state[at.ROWS]))
        account.passed(self._read_ms, self._read_as, int(state[at.READINGS]), len(rows), behind=bool(state[at.BEHIND]))
        seat.losses, seat.resting_until_ms = int(state[at.LOSSES]), int(state[at.RESTING])
        seat.opened = int(state[at.OPENED])
        if rows:
            seat.refusal = None
        if (told := int(state[at.TOLD])) >= 0:
            seat.tell(told // 2, at_end=told % 2 > 0)
        run.orders.trades += range(self._first + rows.start, self._first + rows.stop)
        run.orders.ambiguous += int(state[at.AMBIGUOUS])
        run.orders.undecided += int(state[at.AMBIGUOUS])
        run.position_ms += int(state[at.POSITION_MS])
        run.fundings += int(state[at.FUNDINGS])
        if missing := int(state[at.MISSING]):
            run.missed_funding(seat.symbol, missing)
        self.booked.count, self.booked.fills = rows.stop, int(state[at.FILLS])


class Held:
    """An open trade of the kernel as its rules see it."""

    def __init__(self, seat: Seat, calls: at.Calls, digits: int, state: Any) -> None:
        place = int(state[at.CALL])
        self.terms, self.sign = seat.terms, int(calls.sign[place])
        self.candle_ms = int(calls.at_ms[place]) - seat.terms.entry_ms
        self.strategy = seat.signals.kinds[int(calls.kind[place])][0].name
        self.regime = seat.signals.regime(seat.signals.found.rows.item(place))
        self.entry = Decimal(int(state[at.ENTRY])).scaleb(-digits)
        self.stop = self.stop_first = Decimal(int(state[at.STOP])).scaleb(-digits)
        self.held = Decimal(0)
        self.asked: int | None = None

    def move_stop(self, price: Decimal) -> None:
        self.stop = price
