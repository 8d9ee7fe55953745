"""What came of one variant: its trades, its equity, and the figures that a backtest has of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cached_property
from typing import Any, TypeVar

from fsm.backtest.curve import Curve, daily_returns, since
from fsm.backtest.result import Result
from fsm.core.model.money import MONEY
from fsm.core.model.records import ZERO
from fsm.search.closed_trade import ClosedTrade
from fsm.search.figures import Readings, TradeColumns, Unclear

Made = TypeVar("Made")

NOT_OF_A_VARIANT = frozenset(
    {
        "transitions",
        "journal_hash",
        "rules_hash",
        "config_hash",
        "data_hash",
        "seconds",
        "symbol_rules",
        "candle_holes",
    }
)
"""What a backtest tells beside its figures: of its journal, its inputs and its time."""


Trades = tuple[ClosedTrade, ...]


class Outcome:
    """``trades`` in the order in which they were booked; ``curve`` (time in ms, equity in USDT) has every reading.

    Both are made when they are asked for: ``figures`` and ``daily_returns`` come of ``columns`` where there are any.
    ``by_engine`` says why it was the engine that ran, if it did; ``by_kernel`` how many trades the kernel lived.
    """

    def __init__(
        self,
        trades: Callable[[], Trades],
        curve: Callable[[], Curve],
        final_equity: Decimal,
        result: Callable[[Trades, Curve], Result],
        columns: Callable[[], tuple[TradeColumns, Readings]] | None = None,
        by_engine: str = "",
        by_kernel: int = 0,
    ) -> None:
        self._trades, self._curve, self.final_equity = trades, curve, final_equity
        self.by_engine, self.by_kernel = by_engine, by_kernel
        self._result, self._columns = result, columns

    @cached_property
    def trades(self) -> Trades:
        return in_money(self._trades)

    @cached_property
    def curve(self) -> Curve:
        return in_money(self._curve)

    @cached_property
    def result(self) -> Result:
        """The backtest's, without a journal; summed up when it is first asked for."""
        return self._result(self.trades, tuple(self.curve))

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Those of ``backtest --json``: return_pct, sharpe, max_drawdown_pct, per_strategy and so on."""
        return {name: value for name, value in self._told().items() if name not in NOT_OF_A_VARIANT}

    def _told(self) -> dict[str, Any]:
        if self._columns is None:
            return self.result.to_json()
        trades, readings = in_money(self._columns)
        try:
            return self._frame.told(in_money(trades.figures), readings.figures(self._frame.tried_ms))
        except Unclear:
            return self.result.to_json()

    @cached_property
    def daily_returns(self) -> list[float]:
        """What equity made of each UTC day as a fraction, from the first on which anything could be traded."""
        start_ms = self._frame.tried_ms
        try:
            if self._columns is not None:
                return self._columns()[1].since(start_ms).daily_returns()
        except Unclear:
            pass
        return daily_returns(since(self.curve, start_ms))

    @cached_property
    def _frame(self) -> Result:
        """The result without what its trades and its curve say."""
        return self._result((), ())

    @property
    def net_pnl(self) -> Decimal:
        """USDT that all trades made together."""
        return sum((trade.net_pnl or ZERO for trade in self.trades), ZERO)


def in_money(make: Callable[[], Made]) -> Made:
    """What is made when it is asked for is made as if at once."""
    with localcontext(MONEY):
        return make()
