"""The figures of a variant out of columns of whole numbers, as fsm/backtest/result.py has them of trades and a curve.

Money is counted in hundred-millionths of a USDT. Floats stand for decimals only where the figure is the same; where
that is not sure, ``Unclear`` is raised, and the figures are made the long way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import fsum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fsm.backtest.curve import DAY_MS, OfCurve, calmar_of, return_yearly_pct, sharpe_of, sortino_of
from fsm.backtest.summary import HOUR_MS, OfTrades, Sums, results_of, sequence_of
from fsm.search.bars import UNIT, UNITS
from fsm.search.closed_trade import ClosedTrade

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

NEAR = 1e-4
"""Of the last digit that is told: nearer to the middle of two, it is decided by decimals."""

EXACT_MAX = 2**53
"""Below this a whole number is a float."""

R_MAX = 1e6
"""Up to which floats are that exact."""


class Unclear(Exception):
    """Only decimals tell."""


class TradeColumns(NamedTuple):
    """Closed trades: results in units, R as floats, and the names that they are grouped by."""

    net: list[int]
    fees: list[int]
    funding: list[int]
    r: FloatArray
    filled_ms: IntArray
    closed_ms: IntArray
    ids: list[str]
    regime: list[str]
    strategy: list[str]
    symbol: list[str]
    closed_at_end: int

    @classmethod
    def of(cls, trades: Sequence[ClosedTrade]) -> TradeColumns:
        return cls(
            net=[int((trade.net_pnl or 0) * UNITS) for trade in trades],
            fees=[int(trade.fees * UNITS) for trade in trades],
            funding=[int(trade.funding * UNITS) for trade in trades],
            r=np.array([float(trade.r or 0) for trade in trades]),
            filled_ms=_times(
                trade.opened_ms if trade.first_fill_ms is None else trade.first_fill_ms for trade in trades
            ),
            closed_ms=_times(trade.closed_ms or trade.opened_ms for trade in trades),
            ids=[trade.id for trade in trades],
            regime=[trade.regime for trade in trades],
            strategy=[trade.strategy for trade in trades],
            symbol=[trade.symbol for trade in trades],
            closed_at_end=sum(trade.flagged == "END_OF_DATA" for trade in trades),
        )

    @classmethod
    def joined(cls, parts: Sequence[TradeColumns]) -> TradeColumns:
        """All of them, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*map(_joined, zip(*parts, strict=True)))

    def figures(self) -> OfTrades:
        """Raises Unclear."""
        together = self._results(range(len(self.net)))
        groups = {name: self._grouped(getattr(self, name), together) for name in ("regime", "strategy", "symbol")}
        return OfTrades(together, self._sequence(), groups, self.closed_at_end)

    def _grouped(self, names: list[str], together: dict[str, Any]) -> dict[str, dict[str, Any]]:
        found = sorted({*names})
        if len(found) == 1:
            return {found[0]: {**together}}
        places = {name: [place for place, each in enumerate(names) if each == name] for name in found}
        return {name: self._results(places[name]) for name in found}

    def _results(self, places: Sequence[int]) -> dict[str, Any]:
        nets = [self.net[place] for place in places]
        won = [net for net in nets if net > 0]
        earned = sum(won)
        sums = Sums(
            trades=len(nets),
            wins=len(won),
            earned=_usdt(earned),
            lost=_usdt(sum(nets) - earned),
            fees=_usdt(sum(self.fees[place] for place in places)),
            funding=_usdt(sum(self.funding[place] for place in places)),
            r=_clear(self.r[places]) if nets else 0.0,
        )
        return results_of(sums)

    def _sequence(self) -> dict[str, Any]:
        order = np.argsort(self.closed_ms, kind="stable")
        times = self.closed_ms[order]
        places: list[int] = order.tolist()
        if (times[1:] == times[:-1]).any():
            closed = self.closed_ms.tolist()
            places.sort(key=lambda place: (closed[place], self.ids[place]))
        hours = ((self.closed_ms - self.filled_ms) / HOUR_MS).tolist()
        return sequence_of([self.net[place] > 0 for place in places], hours)


def _joined(columns: Sequence[Any]) -> Any:
    first = columns[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(columns)
    return [each for column in columns for each in column] if isinstance(first, list) else sum(columns)


def _times(found: Iterable[int]) -> IntArray:
    return np.array([*found], dtype=np.int64)


def _usdt(units: int) -> Decimal:
    return units * UNIT


def _usdt_of(units: IntArray) -> FloatArray:
    """As their decimals would be rounded."""
    if units.max() < EXACT_MAX:
        return units / UNITS
    return np.array([each / UNITS for each in units.tolist()])


def _clear(values: FloatArray) -> float:
    """Their sum, where the digits of their mean that are told are sure."""
    total = fsum(values.tolist())
    rest = abs(total) / len(values) * 10**6 % 1
    if abs(rest - 0.5) < NEAR or not np.abs(values).max() < R_MAX:
        raise Unclear
    return total


class Readings(NamedTuple):
    """Of equity, ascending."""

    at_ms: IntArray
    units: IntArray

    def since(self, start_ms: int) -> Readings:
        """From an instant on, beginning with what equity was then."""
        first = int(self.at_ms.searchsorted(start_ms, side="right"))
        if first == 0:
            return self
        return Readings(
            np.concatenate(([start_ms], self.at_ms[first:])),
            np.concatenate((self.units[first - 1 : first], self.units[first:])),
        )

    def figures(self, start_ms: int) -> OfCurve:
        """``start_ms``: from when on anything could be traded. Raises Unclear."""
        if not len(self.units) or int(self.units.min()) <= 0:
            raise Unclear
        tried = self.since(start_ms)
        returns = tried.daily_returns()
        yearly = return_yearly_pct([tried._point(0), tried._point(-1)])
        return OfCurve(
            max_drawdown_pct=self._drawdown_pct(),
            longest_drawdown_days=self._longest_days(),
            return_yearly_pct=yearly,
            sharpe=sharpe_of(returns),
            sortino=sortino_of(returns),
            calmar=calmar_of(yearly, tried._drawdown_pct()),
        )

    def daily_returns(self) -> list[float]:
        """What equity made of each UTC day. Raises Unclear."""
        at_ms, units = self
        if not len(units) or int(units.min()) <= 0 or (len(units) > 1 and at_ms[0] == at_ms[1]):
            raise Unclear
        days = np.arange(at_ms[0] // DAY_MS, (at_ms[-1] - 1) // DAY_MS + 1)
        last = ((at_ms[1:] - 1) // DAY_MS).searchsorted(days, side="right")
        closes = _usdt_of(units[np.concatenate(([0], last))])
        found: list[float] = (closes[1:] / closes[:-1] - 1).tolist()
        return found

    def _point(self, place: int) -> tuple[int, Decimal]:
        return self.at_ms.item(place), _usdt(self.units.item(place))

    def _drawdown_pct(self) -> float:
        """Of all falls that may be the largest, the largest."""
        high = np.maximum.accumulate(self.units)
        falls = (high - self.units) / high
        deep = np.flatnonzero(falls >= falls.max() * (1 - 1e-12))
        pairs = {*zip(high[deep].tolist(), self.units[deep].tolist(), strict=True)}
        return round(float(max(Decimal(top - low) / Decimal(top) * 100 for top, low in pairs)), 6)

    def _longest_days(self) -> float:
        """From a high until equity is there again, or until the end."""
        high = np.maximum.accumulate(self.units)
        tops = np.flatnonzero(self.units == high)
        ends = np.append(self.at_ms[tops[1:]], self.at_ms[-1])
        below = np.append(np.diff(tops) > 1, tops[-1] < len(high) - 1)
        return round(int(np.max((ends - self.at_ms[tops])[below], initial=0)) / DAY_MS, 6)
