"""The account of a variant: its wallet, its equity over time, and the loss limits, as fsm/core/limits.py has them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import repeat
from math import floor
from operator import mul

import numpy as np
import numpy.typing as npt

from fsm.config import Settings
from fsm.core.limits import DAY_MS, PERIOD_CAUSES, is_over, period_keys
from fsm.core.model.records import Flag, HaltCause
from fsm.search.bars import UNIT, UNITS
from fsm.search.figures import Readings
from fsm.search.terms import ZERO

IntArray = npt.NDArray[np.int64]

NEVER = 2**62
"""An equity that no account has: whatever it is, it must be looked at."""


class Period:
    """One loss budget under way, begun on a ``day`` since 1970."""

    __slots__ = ("day", "key", "realized", "start")

    def __init__(self, key: str, start: Decimal, day: int) -> None:
        self.key, self.start, self.day, self.realized = key, start, day, ZERO


class Account:
    """``equity`` and ``available`` are those of the latest reading that was judged."""

    def __init__(self, settings: Settings) -> None:
        limits = settings.limits
        self._pcts = {"day": limits.daily_loss_pct, "week": limits.weekly_loss_pct, "month": limits.monthly_loss_pct}
        self._drawdown_pct, self._resumes = limits.drawdown_pct, limits.auto_resume
        self.wallet = settings.simulation.balance_usdt
        self.equity = self.available = ZERO
        self.is_read = False
        self.periods: dict[str, Period] = {}
        self.high = ZERO
        self.halt: Flag | None = None
        self.breach: Flag | None = None
        self.booked = 0
        self.day = -1
        self._booked_read = 0
        self._is_changed = True
        self._floor = ZERO
        self._periods_floor = ZERO
        self._read_ms, self._read_as = array("q"), array("q")

    def is_due(self, now_ms: int, *, active: bool) -> bool:
        """Whether it is read at this close: whenever it can have changed, and at every start of a day."""
        due = active or self.booked != self._booked_read or now_ms // DAY_MS != self.day
        self._booked_read = self.booked
        return due

    @property
    def is_behind(self) -> bool:
        """A trade was booked since, so that it is due next time."""
        return self.booked != self._booked_read

    @property
    def curve(self) -> list[tuple[int, Decimal]]:
        """(time in ms, equity in USDT) of every reading."""
        return [*zip(self._read_ms, map(mul, self._read_as, repeat(UNIT)), strict=False)]

    @property
    def readings(self) -> Readings:
        """The same as columns."""
        return Readings(*(np.array(each, dtype=np.int64) for each in (self._read_ms, self._read_as)))

    def note(self, now_ms: int, equity: Decimal) -> None:
        self._read_ms.append(now_ms)
        self._read_as.append(int(equity * UNITS))

    def stand(self, at_ms: Iterable[int]) -> None:
        """Readings of an account that does not change."""
        units = int(self.wallet * UNITS)
        for each in at_ms:
            self._read_ms.append(each)
            self._read_as.append(units)

    def bounds(self) -> tuple[int, int]:
        """(highest equity so far, the equity down to which no limit is hit), in units, while nothing else changes."""
        if self._is_changed:
            return int(self.high * UNITS), NEVER
        return int(self.high * UNITS), floor(self._floor * UNITS)

    def rise(self, units: int) -> None:
        """Equity was never so high."""
        self.high = Decimal(units).scaleb(-8)
        self._floor = max(self._periods_floor, self.high - self.high * self._drawdown_pct / 100)

    def keep(self, first_ms: int, step_ms: int, readings: list[int], judged: int | None) -> None:
        """Readings at which nothing was hit, and the latest of them that limits were judged by."""
        self._read_ms.extend(range(first_ms, first_ms + step_ms * len(readings), step_ms))
        self._read_as.extend(readings)
        if judged is not None:
            self.equity = Decimal(judged).scaleb(-8)

    def passed(self, read_ms: IntArray, read_as: IntArray, count: int, booked: int, *, behind: bool) -> None:
        """So many readings and trades at which nothing was hit."""
        self._read_ms.frombytes(read_ms[:count].tobytes())
        self._read_as.frombytes(read_as[:count].tobytes())
        self.booked += booked
        self._booked_read = self.booked - behind
        self._is_changed = True

    def judge(
        self, now_ms: int, equity: Decimal, available: Decimal
    ) -> tuple[HaltCause | None, HaltCause | None, bool]:
        """(the limit that is hit, the one that is over and resumes, whether a day began)."""
        self.equity, self.available, self.is_read = equity, available, True
        began = self._roll(now_ms, equity)
        if equity > self.high:
            self.high, self._is_changed = equity, True
        over = self._end_breach(now_ms) if began else None
        if equity > self._floor and not self._is_changed:
            return None, over, began
        return self._breached(now_ms, equity), over, began

    def _breached(self, now_ms: int, equity: Decimal) -> HaltCause | None:
        found = self._exceeded(equity)
        self._is_changed = False
        if found is None or self.breach is not None:
            return None
        self.breach = Flag(found, now_ms)
        self.halt = self.halt or self.breach
        return found

    def _exceeded(self, equity: Decimal) -> HaltCause | None:
        """The first limit that is exceeded; and the equity above which none will be, while nothing else changes."""
        found, floors = None, []
        for name, period in self.periods.items():
            allowed = period.start * self._pcts[name] / 100
            used = max(-period.realized, period.start - equity, ZERO)
            floors.append(period.start - allowed)
            if found is None and used > 0 and used >= allowed:
                found = PERIOD_CAUSES[name]
        allowed = self.high * self._drawdown_pct / 100
        used = max(self.high - equity, ZERO)
        if found is None and used > 0 and used >= allowed:
            found = HaltCause.LIMIT_DRAWDOWN
        self._periods_floor = max(floors)
        self._floor = max(self._periods_floor, self.high - allowed)
        return found

    def _roll(self, now_ms: int, equity: Decimal) -> bool:
        if now_ms // DAY_MS == self.day:
            return False
        self.day = now_ms // DAY_MS
        for name, key in period_keys(now_ms).items():
            period = self.periods.get(name)
            if period is None or period.key < key:
                self.periods[name] = Period(key, equity, self.day)
        self._is_changed = True
        return True

    def _end_breach(self, now_ms: int) -> HaltCause | None:
        breach = self.breach
        if breach is None or not is_over(breach, now_ms):
            return None
        if self.halt is not None and self.halt.cause == breach.cause and self._resumes:
            self.halt = None
        self.breach = None
        return HaltCause(breach.cause) if self._resumes else None

    def book(self, net: Decimal, closed_ms: int) -> None:
        """Count a closed trade in every period that its end lies in."""
        self.booked += 1
        self._is_changed = True
        keys: Mapping[str, str] = period_keys(closed_ms)
        for name, period in self.periods.items():
            key = max(keys[name], period.key)
            if key != period.key:
                period = self.periods[name] = Period(
                    key, self.equity if self.is_read else period.start, closed_ms // DAY_MS
                )
            period.realized += net
