"""Trades that the kernel lived, as records: made when somebody asks for them."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt

from fsm.search.outcome import ClosedTrade
from fsm.search.seat import Seat
from fsm.search.straight import numbers as at
from fsm.search.terms import ZERO

IntArray = npt.NDArray[np.int64]


class Booked:
    """Rows and fills of the kernel; ``count`` and ``fills`` of them are kept."""

    def __init__(self, seat: Seat, calls: at.Calls, digits: int, rows: IntArray, fills: IntArray) -> None:
        self._seat, self._calls, self._digits, self._rows, self._fills = seat, calls, digits, rows, fills
        self.count = self.fills = 0

    def trades(self, numbers: list[int]) -> list[ClosedTrade]:
        """Those with these numbers, in ascending order."""
        rows = self._rows[: self.count].tolist()
        fills = self._fills[: self.fills]
        first = np.searchsorted(fills[:, 0], np.arange(self.count + 1)).tolist()
        exits = fills.tolist()
        return [self._trade(rows[number], exits[first[number] : first[number + 1]]) for number in numbers]

    def _trade(self, row: list[int], exits: list[list[int]]) -> ClosedTrade:
        seat, digits, call = self._seat, self._digits, row[at.R_CALL]
        terms, signals = seat.terms, seat.signals
        sign, lot = int(self._calls.sign[call]), terms.filters.market_step_size
        opened_ms = signals.at_ms[call]
        planned, entry, stop = (Decimal(row[place]).scaleb(-digits) for place in (at.R_PLANNED, at.R_ENTRY, at.R_STOP))
        first_stop = Decimal(int(self._calls.stop[call])).scaleb(-digits)
        realized, fees, funding = (Decimal(row[place]).scaleb(-8) for place in (at.R_REALIZED, at.R_FEES, at.R_FUNDING))
        quantity, net = lot * row[at.R_LOTS], realized - fees + funding
        risk = quantity * terms.loss_per_unit(sign, planned, first_stop)
        price, closed = ZERO, ZERO
        for _, level, lots in exits:
            here = lot * lots
            price = (price * closed + Decimal(level).scaleb(-digits) * here) / (closed + here)
            closed += here
        return ClosedTrade(
            id=f"{seat.symbol}-{row[at.R_NUMBER]}",
            symbol=seat.symbol,
            side="LONG" if sign > 0 else "SHORT",
            strategy=signals.kinds[int(self._calls.kind[call])][0].name,
            regime=signals.regime(signals.found.rows.item(call)),
            signal_candle_ms=opened_ms - terms.entry_ms,
            opened_ms=opened_ms,
            first_fill_ms=opened_ms,
            closed_ms=row[at.R_CLOSED_MS],
            quantity=quantity,
            entry_price_planned=planned,
            entry_price=entry,
            stop_price_initial=first_stop,
            stop_price=stop,
            exit_price=price,
            closed_quantity=closed,
            risk_usdt=risk,
            realized_pnl=realized,
            fees=fees,
            funding=funding,
            net_pnl=net,
            r=net / risk if risk else ZERO,
            exit_reason=at.REASONS[row[at.R_REASON]],
        )
