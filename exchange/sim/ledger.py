"""The account's wallet and its book of income: the wallet changes by nothing that has no row."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from exchange.types import Income

ASSET = "USDT"
FEE_COIN = "BNB"
"""Commission may be paid in it, from a balance that is not modelled: the wallet here is USDT alone."""


class IncomeType(StrEnum):
    """Kinds of rows of GET /fapi/v1/income that this exchange produces."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"


class Ledger:
    """Wallet balance = opening balance + the sum of all rows in USDT, exactly."""

    def __init__(self, balance: Decimal) -> None:
        self.opening_balance = balance
        self.wallet = balance
        self.rows: list[Income] = []

    def post(
        self,
        kind: IncomeType,
        amount: Decimal,
        *,
        symbol: str,
        at_ms: int,
        trade_id: int | None = None,
        asset: str = ASSET,
    ) -> None:
        """Book one row; an amount of zero leaves no row, as on the exchange."""
        if amount == 0:
            return
        row = Income(
            symbol=symbol,
            income_type=kind.value,
            income=amount,
            asset=asset,
            time_ms=at_ms,
            transaction_id=len(self.rows) + 1,
            trade_id="" if trade_id is None else str(trade_id),
        )
        self.rows.append(row)
        self.wallet += amount if asset == ASSET else 0
