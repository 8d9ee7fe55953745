"""What the machine of 0.1.0 took for a liquidation, so that its journals are decided again as they were."""

from __future__ import annotations

from exchange.types import SymbolSnapshot


def first_forced_close(snapshot: SymbolSnapshot) -> str | None:
    forced = " ".join(order.client_id for order in snapshot.orders)
    if "adl_autoclose" in forced:
        return "ADL"
    is_cleared = any(row.income_type == "INSURANCE_CLEAR" for row in snapshot.income)
    return "LIQUIDATED" if "autoclose-" in forced or is_cleared else None
