"""What came of one variant: its trades, its equity, and the figures that a backtest has of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from fsm.backtest.curve import Curve
from fsm.backtest.result import Result
from fsm.core.model.money import MONEY
from fsm.core.model.records import ZERO, Trade

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


class ClosedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip, with the fields and units of the engine's ``Trade``.

    ``stop_price`` is where the stop was at the end; ``stop_price_initial`` where it was planned.
    """

    id: str
    symbol: str
    side: str
    strategy: str
    regime: str
    signal_candle_ms: int
    opened_ms: int
    first_fill_ms: int | None
    closed_ms: int | None
    quantity: Decimal
    entry_price_planned: Decimal
    entry_price: Decimal | None
    stop_price_initial: Decimal
    stop_price: Decimal | None
    exit_price: Decimal | None
    closed_quantity: Decimal
    risk_usdt: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal | None
    r: Decimal | None
    exit_reason: str | None
    flagged: str | None = None


class Outcome:
    """``trades`` in the order in which they were booked; ``curve`` (time in ms, equity in USDT) has every reading.

    ``by_engine`` says why it was the engine that ran, if it did; ``by_kernel`` how many trades the kernel lived.
    """

    def __init__(
        self,
        trades: Callable[[], tuple[ClosedTrade, ...]],
        curve: Callable[[], Curve],
        final_equity: Decimal,
        result: Callable[[], Result],
        by_engine: str = "",
        by_kernel: int = 0,
    ) -> None:
        self._trades, self._curve, self.final_equity = trades, curve, final_equity
        self.by_engine, self.by_kernel = by_engine, by_kernel
        self._result = result

    @cached_property
    def trades(self) -> tuple[ClosedTrade, ...]:
        return in_money(self._trades)

    @cached_property
    def curve(self) -> Curve:
        return in_money(self._curve)

    @cached_property
    def result(self) -> Result:
        """The backtest's, without a journal; summed up when it is first asked for."""
        return self._result()

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Those of ``backtest --json``: return_pct, sharpe, max_drawdown_pct, per_strategy and so on."""
        return {name: value for name, value in self.result.to_json().items() if name not in NOT_OF_A_VARIANT}

    @property
    def net_pnl(self) -> Decimal:
        """USDT that all trades made together."""
        return sum((trade.net_pnl or ZERO for trade in self.trades), ZERO)


def in_money(make: Callable[[], Made]) -> Made:
    """What is made when it is asked for is made as if at once."""
    with localcontext(MONEY):
        return make()


def closed(trade: Trade) -> ClosedTrade:
    return ClosedTrade(
        id=trade.id,
        symbol=trade.symbol,
        side=trade.side.value,
        strategy=trade.strategy,
        regime=trade.regime,
        signal_candle_ms=trade.signal_candle_ms,
        opened_ms=trade.opened_ms,
        first_fill_ms=trade.first_fill_ms,
        closed_ms=trade.closed_ms,
        quantity=trade.quantity,
        entry_price_planned=trade.entry_price_planned,
        entry_price=trade.entry_price,
        stop_price_initial=trade.stop_price_initial,
        stop_price=None if trade.stop is None else trade.stop.trigger_price,
        exit_price=trade.exit_price,
        closed_quantity=trade.closed_quantity,
        risk_usdt=trade.risk_usdt,
        realized_pnl=trade.realized_pnl,
        fees=trade.fees,
        funding=trade.funding,
        net_pnl=trade.net_pnl,
        r=trade.r,
        exit_reason=trade.exit_reason,
        flagged=trade.flagged,
    )
