"""Passes the instants at which positions are only held: prices reach nothing, no rule speaks, the account is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fsm.backtest.clock_loop import FUNDING_MS
from fsm.core.limits import DAY_MS
from fsm.search.account import Account
from fsm.search.bars import UNITS
from fsm.search.seat import Seat


class Run(Protocol):
    """The variant under way."""

    account: Account
    seats: list[Seat]
    active: dict[str, Seat]
    step_ms: int
    entry_ms: int
    position_ms: int

    def asks(self, seat: Seat, from_ms: int) -> int | None: ...
    def missed_funding(self, symbol: str, times: int) -> None: ...


class Holding:
    """Of one variant. Where it cannot be told that nothing happens, it passes nothing."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def passed(self, seats: list[Seat], now_ms: int, to_ms: int) -> int:
        """The next instant that must be lived through; those before it were."""
        step_ms, account = self._run.step_ms, self._run.account
        if account.breach is not None or any(seat.trade is None or seat.trade.units is None for seat in seats):
            return now_ms + step_ms
        end_ms = self._end(seats, now_ms, to_ms)
        at_ms, readings = now_ms, 0
        if all(seat.is_quiet(now_ms) for seat in seats):
            at_ms = self._read_on(seats, now_ms, end_ms)
            readings = (at_ms - now_ms) // step_ms - 1
        else:
            at_ms += step_ms
        if readings:
            self._run.position_ms += len(seats) * readings * step_ms
            due = (at_ms - step_ms) // FUNDING_MS - now_ms // FUNDING_MS
            for seat in seats if due else ():
                self._run.missed_funding(seat.symbol, due)
        return at_ms

    def _end(self, seats: list[Seat], now_ms: int, to_ms: int) -> int:
        """The first instant at which a rule may speak, a rate is settled, or another symbol may trade."""
        run, next_ms = self._run, now_ms + self._run.step_ms
        first_ms = -(-next_ms // run.entry_ms) * run.entry_ms
        end_ms = to_ms
        for seat in run.seats:
            if seat.trade is None:
                asked_ms = run.asks(seat, first_ms)
            else:
                asked_ms = seat.signals.asked_ms(seat.trade, now_ms)
            if asked_ms is not None and asked_ms < end_ms:
                end_ms = max(asked_ms, next_ms)
        for seat in seats:
            end_ms = seat.bars.feed.funding_ahead(next_ms, end_ms) if next_ms < end_ms else end_ms
        return end_ms

    def _read_on(self, seats: list[Seat], now_ms: int, end_ms: int) -> int:
        """Read the account bar after bar until something may happen; the bar that begins now is quiet."""
        run, account = self._run, self._run.account
        step_ms, entry_ms = run.step_ms, run.entry_ms
        wallet, day_ms = int(account.wallet * UNITS), (account.day + 1) * DAY_MS
        high, floor = account.bounds()
        found: list[int] = []
        judged: int | None = None
        at_ms = now_ms + step_ms
        for equity in _equities(seats, wallet, at_ms, end_ms):
            if at_ms % entry_ms == 0:
                if equity <= floor or at_ms >= day_ms:
                    break
                if equity > high:
                    account.rise(equity)
                    high, floor = account.bounds()
                judged = equity
            found.append(equity)
            at_ms += step_ms
        account.keep(now_ms + step_ms, step_ms, found, judged)
        return at_ms


def _equities(seats: list[Seat], wallet: int, at_ms: int, end_ms: int) -> Iterator[int]:
    """In units, at the open of one bar after the other, until something may happen in one."""
    if len(seats) == 1:
        yield from _equities_of_one(seats[0], wallet, at_ms, end_ms)
        return
    while at_ms < end_ms:
        equity = _equity(seats, wallet, at_ms)
        if equity is None:
            return
        yield equity
        at_ms += seats[0].bars.step_ms


def _equities_of_one(seat: Seat, wallet: int, at_ms: int, end_ms: int) -> Iterator[int]:
    """The same for one symbol, which is nearly always the only one."""
    bars, trade = seat.bars, seat.trade
    assert trade is not None
    assert trade.units is not None
    entry, lots, one = trade.units
    first = (at_ms - bars.start_ms) // bars.step_ms
    last = min(first + -(-(end_ms - at_ms) // bars.step_ms), bars.count)
    lows, highs, low, high = seat.bounds()
    afloat = seat.is_afloat
    for number in range(first, last):
        if lows[number] <= low or highs[number] >= high or not afloat(number):
            return
        mark = bars.mark(number)
        if mark is None:
            return
        profit = (mark - entry) * lots
        if one > 1:
            profit, rest = divmod(profit, one)
            if rest and (2 * rest > one or (2 * rest == one and profit & 1)):
                profit += 1
        yield wallet + profit


def _equity(seats: list[Seat], wallet: int, at_ms: int) -> int | None:
    """In units, at the open of the bar that begins then; None where something may happen in it."""
    equity = wallet
    for seat in seats:
        trade, number = seat.trade, seat.bars.number(at_ms)
        if number is None or trade is None or trade.units is None or not seat.is_quiet(at_ms):
            return None
        mark = seat.bars.mark(number)
        if mark is None:
            return None
        entry, lots, one = trade.units
        whole, rest = divmod((mark - entry) * lots, one)
        equity += whole
        if rest and (2 * rest > one or (2 * rest == one and whole & 1)):
            equity += 1
    return equity
