"""Trades that the kernel lived, as records: made when somebody asks for them."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise, repeat
from operator import mul
from typing import Any

import numpy as np
import numpy.typing as npt

from fsm.search.bars import UNITS
from fsm.search.closed_trade import ClosedTrade
from fsm.search.figures import TradeColumns
from fsm.search.seat import Seat
from fsm.search.straight import numbers as at
from fsm.search.terms import ZERO, Terms
from indicators.windows import quotient

IntArray = npt.NDArray[np.int64]


class Booked:
    """Rows and fills of the kernel; ``count`` and ``fills`` of them are kept."""

    def __init__(self, seat: Seat, calls: at.Calls, digits: int, rows: IntArray, fills: IntArray) -> None:
        self._seat, self._calls, self._digits, self._rows, self._fills = seat, calls, digits, rows, fills
        self._terms = seat.terms
        self.count = self.fills = 0

    def trades(self) -> list[ClosedTrade]:
        """All of them, in the order in which they ended."""
        rows, fills = self._rows[: self.count], self._fills[: self.fills]
        made = self._calls_of(rows[:, at.R_CALL])
        prices = (self._prices(rows[:, place]) for place in (at.R_PLANNED, at.R_ENTRY, at.R_STOP))
        money = (_scaled(rows[:, place], 8) for place in (at.R_REALIZED, at.R_FEES, at.R_FUNDING))
        rest = (rows[:, place].tolist() for place in (at.R_NUMBER, at.R_LOTS, at.R_REASON, at.R_CLOSED_MS))
        exits = [*zip(self._prices(fills[:, 1]), fills[:, 2].tolist(), strict=True)]
        first = np.searchsorted(fills[:, 0], np.arange(self.count + 1)).tolist()
        ends = (exits[start:end] for start, end in pairwise(first))
        return [_trade(self._terms, *each) for each in zip(*made, *prices, *money, *rest, ends, strict=True)]

    def columns(self) -> TradeColumns:
        """The same for figures."""
        rows = self._rows[: self.count]
        places = rows[:, at.R_CALL]
        strategy, regime = self._names_of(places)
        planned, stop, sign = rows[:, at.R_PLANNED], self._calls.stop[places], self._calls.sign[places]
        net = rows[:, at.R_REALIZED] - rows[:, at.R_FEES] + rows[:, at.R_FUNDING]
        per_unit = sign * (planned - stop) + (planned + stop) * (float(self._terms.cost_pct) / 100)
        lot = float(self._terms.filters.market_step_size) / 10.0**self._digits
        risk = rows[:, at.R_LOTS] * lot * per_unit
        return TradeColumns(
            net=net.tolist(),
            fees=rows[:, at.R_FEES].tolist(),
            funding=rows[:, at.R_FUNDING].tolist(),
            r=quotient(net / UNITS, risk, otherwise=0.0),
            filled_ms=self._calls.at_ms[places],
            closed_ms=rows[:, at.R_CLOSED_MS],
            ids=[f"{self._terms.symbol}-{number}" for number in rows[:, at.R_NUMBER].tolist()],
            regime=regime,
            strategy=strategy,
            symbol=[self._terms.symbol] * self.count,
            closed_at_end=0,
        )

    def _calls_of(self, places: IntArray) -> tuple[list[Any], ...]:
        """(sign, strategy, regime, time, first stop) of the signal of each trade."""
        calls = self._calls
        return (
            calls.sign[places].tolist(),
            *self._names_of(places),
            calls.at_ms[places].tolist(),
            self._prices(calls.stop[places]),
        )

    def _names_of(self, places: IntArray) -> tuple[list[str], list[str]]:
        """(strategy, regime)"""
        signals = self._seat.signals
        names = [strategy.name for strategy, _ in signals.kinds]
        regimes = signals.track.codes[signals.found.rows[places]].tolist()
        return (
            [names[kind] for kind in self._calls.kind[places].tolist()],
            [signals.track.names[code] for code in regimes],
        )

    def _prices(self, column: IntArray) -> list[Decimal]:
        return _scaled(column, self._digits)


def _scaled(column: IntArray, digits: int) -> list[Decimal]:
    return [*map(mul, column.tolist(), repeat(Decimal(1).scaleb(-digits)))]


def _trade(
    terms: Terms,
    sign: int,
    strategy: str,
    regime: str,
    opened_ms: int,
    stop_first: Decimal,
    planned: Decimal,
    entry: Decimal,
    stop: Decimal,
    realized: Decimal,
    fees: Decimal,
    funding: Decimal,
    number: int,
    lots: int,
    reason: int,
    closed_ms: int,
    exits: list[tuple[Decimal, int]],
) -> ClosedTrade:
    lot = terms.filters.market_step_size
    quantity, net = lot * lots, realized - fees + funding
    risk = quantity * terms.loss_per_unit(sign, planned, stop_first)
    price, closed = ZERO, ZERO
    for level, here in exits:
        part = lot * here
        price, closed = (price * closed + level * part) / (closed + part), closed + part
    return ClosedTrade(
        id=f"{terms.symbol}-{number}",
        symbol=terms.symbol,
        side="LONG" if sign > 0 else "SHORT",
        strategy=strategy,
        regime=regime,
        signal_candle_ms=opened_ms - terms.entry_ms,
        opened_ms=opened_ms,
        first_fill_ms=opened_ms,
        closed_ms=closed_ms,
        quantity=quantity,
        entry_price_planned=planned,
        entry_price=entry,
        stop_price_initial=stop_first,
        stop_price=stop,
        exit_price=price,
        closed_quantity=closed,
        risk_usdt=risk,
        realized_pnl=realized,
        fees=fees,
        funding=funding,
        net_pnl=net,
        r=net / risk if risk else ZERO,
        exit_reason=at.REASONS[reason],
    )
