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
    """Wallet balance = opening balance + the sum of all rows in USDT, exactly.

    ``shown_ms`` holds, by transaction id, from when on a row is shown: on the exchange a transfer may change the
    balance up to a minute before the list of income has it (seen 2026-11).
    """

    def __init__(self, balance: Decimal) -> None:
        self.opening_balance = balance
        self.wallet = balance
        self.rows: list[Income] = []
        self.shown_ms: dict[int, int] = {}

    def shown(self, now_ms: int) -> list[Income]:
        """The rows that the exchange tells of by now."""
        if not self.shown_ms:
            return self.rows
        return [row for row in self.rows if self.shown_ms.get(row.transaction_id, 0) <= now_ms]

    def hides(self, now_ms: int) -> bool:
        """Whether the balance knows of something that no row shows yet."""
        return any(shown_ms > now_ms for shown_ms in self.shown_ms.values())

    def post(
        self,
        kind: IncomeType,
        amount: Decimal,
        *,
        symbol: str,
        at_ms: int,
        trade_id: int | None = None,
        asset: str = ASSET,
        shown_after_ms: int = 0,
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
        if shown_after_ms:
            self.shown_ms[row.transaction_id] = at_ms + shown_after_ms
        self.wallet += amount if asset == ASSET else 0
