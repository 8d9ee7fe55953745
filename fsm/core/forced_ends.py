"""When the exchange itself ended a position: liquidation, deleveraging, settlement."""

from __future__ import annotations

from exchange.origin import Origin
from exchange.types import IncomeKind, Order, SymbolSnapshot
from fsm.core.model.records import Trade

SETTLED, ADL, LIQUIDATED = "SETTLED", "ADL", "LIQUIDATED"

_REASONS = {Origin.SETTLEMENT: SETTLED, Origin.ADL: ADL, Origin.LIQUIDATION: LIQUIDATED}
_LEDGER: dict[str, str] = {IncomeKind.LIQUIDATION: LIQUIDATED, IncomeKind.SETTLEMENT: SETTLED}


def forced_close(trade: Trade, snapshot: SymbolSnapshot) -> str | None:
    """Why the exchange closed the position; None where nothing shows that it did (R68)."""
    closing = [order for order in snapshot.orders if order.side is trade.side.exit_side]
    by_order = [reason for order in closing if (reason := _reason(order)) is not None]
    rows = [row for row in snapshot.income if row.time_ms > trade.opened_ms and row.symbol in ("", trade.symbol)]
    by_ledger = [_LEDGER[row.income_type] for row in rows if row.income_type in _LEDGER]
    return next(iter([*by_order, *by_ledger]), None)


def first_forced_close(snapshot: SymbolSnapshot) -> str | None:
    """What the machine of 0.1.0 took for a liquidation, so that its journals are decided again as they were."""
    forced = {_reason(order) for order in snapshot.orders}
    if ADL in forced:
        return ADL
    is_cleared = any(row.income_type == IncomeKind.LIQUIDATION for row in snapshot.income)
    return LIQUIDATED if LIQUIDATED in forced or is_cleared else None


def closed_by_ledger(trade: Trade, snapshot: SymbolSnapshot) -> bool:
    """The ledger shows that the position was closed after it was opened: it books profit or loss only then."""
    kinds = (IncomeKind.REALIZED_PNL, *_LEDGER)
    return any(
        row.income_type in kinds and row.symbol == trade.symbol and row.time_ms > trade.opened_ms
        for row in snapshot.income
    )


def _reason(order: Order) -> str | None:
    return _REASONS.get(order.origin) if isinstance(order.origin, Origin) else None
