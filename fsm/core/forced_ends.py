"""When the exchange itself ended a position: liquidation, deleveraging, settlement; told by whole words.

Special client ids and income types: user data streams and GET /fapi/v1/income, checked 2026-11.
"""

from __future__ import annotations

from exchange.types import SymbolSnapshot
from fsm.core.model.records import Trade

SETTLED, ADL, LIQUIDATED = "SETTLED", "ADL", "LIQUIDATED"

_PREFIXES = (("settlement_autoclose-", SETTLED), ("adl_autoclose-", ADL), ("autoclose-", LIQUIDATED))
_WHOLE = {"adl_autoclose": ADL}
_LEDGER = {"INSURANCE_CLEAR": LIQUIDATED, "DELIVERED_SETTELMENT": SETTLED}
"""The insurance fund takes part in every liquidation and in nothing else. The second word is Binance's spelling."""


def forced_by(client_id: str) -> str | None:
    """What an order of the exchange's own was, by its client id (R68)."""
    if client_id in _WHOLE:
        return _WHOLE[client_id]
    return next((reason for prefix, reason in _PREFIXES if client_id.startswith(prefix)), None)


def forced_close(trade: Trade, snapshot: SymbolSnapshot) -> str | None:
    """Why the exchange closed the position; None where nothing shows that it did."""
    closing = [order for order in snapshot.orders if order.side is trade.side.exit_side]
    by_order = [reason for order in closing if (reason := forced_by(order.client_id)) is not None]
    rows = [row for row in snapshot.income if row.time_ms > trade.opened_ms and row.symbol in ("", trade.symbol)]
    by_ledger = [_LEDGER[row.income_type] for row in rows if row.income_type in _LEDGER]
    return next(iter([*by_order, *by_ledger]), None)


def closed_by_ledger(trade: Trade, snapshot: SymbolSnapshot) -> bool:
    """The ledger shows that the position was closed after it was opened: it books profit or loss only then."""
    kinds = ("REALIZED_PNL", *_LEDGER)
    return any(
        row.income_type in kinds and row.symbol == trade.symbol and row.time_ms > trade.opened_ms
        for row in snapshot.income
    )
