"""Reads the account as a bot does at each close: for limits, for the journal, and for the curve of the result."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from exchange.sim.account_api import AccountApi
from exchange.sim.core.holding import Holding
from exchange.types import Account
from fsm.backtest.recorder import Recorder
from fsm.core.engine import Engine
from fsm.core.limits import AccountStep, nearest_limit
from fsm.core.model.events import EquityRead
from fsm.core.model.records import ZERO
from indicators.candle import Timeframe

DAY_MS = 86_400_000

Marks = Iterable[tuple[int, tuple[Decimal, ...]]]
"""Instants with the marks of the symbols that are held, in the order of their holdings."""


class EquityReads:
    """The account over time: ``curve`` has every reading."""

    def __init__(self, engine: Engine, account: AccountApi, recorder: Recorder, entry: Timeframe) -> None:
        self._engine = engine
        self._account = account
        self._recorder = recorder
        self._entry = entry
        self._day = -1
        self._booked = 0
        self.curve: list[tuple[int, Decimal]] = []

    def is_due(self, now_ms: int) -> bool:
        """The account is read whenever it can have changed, and at every start of a day."""
        booked = self._recorder.trades_booked
        due = bool(self._engine.active()) or booked != self._booked or now_ms // DAY_MS != self._day
        self._booked = booked
        return due

    @property
    def is_behind(self) -> bool:
        """A trade was booked since, so that it is due next time."""
        return self._recorder.trades_booked != self._booked

    def next_day_ms(self) -> int:
        """When it is due at the latest."""
        return (self._day + 1) * DAY_MS

    def read(self, now_ms: int, *, acts: bool) -> AccountStep | None:
        """``acts``: limits are judged by it, as a bot does at each close; else it is a point of the curve."""
        account = self._account.account()
        self._recorder.equity((now_ms, account))
        self.curve.append((now_ms, account.equity))
        return self._judged(now_ms, account) if acts else None

    def _judged(self, now_ms: int, account: Account) -> AccountStep:
        self._day = now_ms // DAY_MS
        return self._engine.read_equity(EquityRead(at_ms=now_ms, account=account, transfers=self._account.transfers()))

    def pass_days(self, now_ms: int, until_ms: int) -> None:
        """Nothing is open and nothing changes between the two: the account is read where days begin."""
        while now_ms < self.next_day_ms() < until_ms:
            self._quiet(self.read(self.next_day_ms(), acts=True))

    def pass_marks(self, held: tuple[Holding, ...], marks: Marks) -> int | None:
        """Positions stand and only marks move. Returns the first instant at which a limit may be reached, else None."""
        found: list[Account] = []
        reached = None
        wallet, available = self._account.venue.state.ledger.wallet, self._account.venue.state.available()
        high, floor = self._bounds()
        judged = True
        for now_ms, prices in marks:
            unrealized = ZERO
            for holding, mark in zip(held, prices, strict=True):
                unrealized += holding.unrealized(mark)
            equity = wallet + unrealized
            acts = now_ms % self._entry.ms == 0
            if acts and equity <= floor:
                reached = now_ms
                break
            account = Account(
                wallet_balance=wallet,
                unrealized_pnl=unrealized,
                equity=equity,
                available_balance=available,
                update_time_ms=now_ms,
            )
            found.append(account)
            if acts:
                self._booked = self._recorder.trades_booked
                judged = equity > high or now_ms // DAY_MS != self._day
                if judged:
                    self._quiet(self._judged(now_ms, account))
                    high, floor = self._bounds()
        self._keep(found)
        if not judged:
            last = next(account for account in reversed(found) if account.update_time_ms % self._entry.ms == 0)
            self._quiet(self._judged(last.update_time_ms, last))
        return reached

    def _keep(self, found: list[Account]) -> None:
        if found:
            self._recorder.equity(*((account.update_time_ms, account) for account in found))
            self.curve += [(account.update_time_ms, account.equity) for account in found]

    def _bounds(self) -> tuple[Decimal, Decimal]:
        return self._engine.account.equity_high, nearest_limit(self._engine.account, self._engine.policy)

    def _quiet(self, step: AccountStep | None) -> None:
        if step is not None and (step.breached or step.ended or step.undone):
            raise AssertionError("a limit was reached or ended where none could be")
