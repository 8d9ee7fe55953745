"""Compares, for each UTC day, what the journal says trades have earned with the income that the exchange reports (R43).

A trade belongs to the day in which it was booked, with everything that it earned and cost over its life. What was paid
in another coin is compared in that coin, so that a conversion is never mistaken for a difference. Rows that belong to
no trade of ours (trades by hand, transfers, rebates) are told apart and are no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import structlog

from exchange.errors import ExchangeError
from exchange.types import Income, IncomeKind
from fsm.core.booking import LEDGER_TYPES
from fsm.core.model.records import ZERO
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.news import books_differ_news
from fsm.live.trading.wallet import is_transfer
from store import queries
from store.rows import FillRow
from store.trade_rows import TradeRow

log = structlog.get_logger("fsm.bookkeeping")

DAY_MS = 86_400_000
SETTLE_MS = 300_000
"""So long after midnight the day's last rows are there; on the exchange's clock."""

HISTORY_DAYS = 85
"""The exchange keeps three months of income; a day that is older can no longer be compared."""

CHECK_S = 20.0
TOLERANCE = Decimal("1e-8")
CURSOR = "bookkeeping"
FILL_TYPES: tuple[str, ...] = (IncomeKind.REALIZED_PNL, IncomeKind.COMMISSION)
MARGIN_ASSET = "USDT"

OnMismatch = Callable[[str, str], None]
"""Told of (day, sentence)."""


class _Cursor(msgspec.Struct, frozen=True):
    """The first day that has not been compared."""

    day_ms: int


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One trade in both books, by asset; ``converted`` is what commission in other coins became in the journal."""

    trade_id: str
    journal: dict[str, Decimal]
    exchange: dict[str, Decimal]
    converted: Decimal

    @property
    def agrees(self) -> bool:
        assets = {*self.journal, *self.exchange}
        differences = (self.journal.get(asset, ZERO) - self.exchange.get(asset, ZERO) for asset in assets)
        return all(abs(difference) <= TOLERANCE for difference in differences)


class IncomeAudit:
    """Looks now and then whether a day has ended; days that were missed are compared at the next start."""

    def __init__(self, live: LiveContext, on_mismatch: OnMismatch) -> None:
        self._live = live
        self._on_mismatch = on_mismatch
        self._day_ms: int | None = None

    async def run(self) -> None:
        while True:
            try:
                await self.catch_up()
            except ExchangeError as error:
                self._live.on_trouble("", error)
            await self._live.clock.sleep(CHECK_S)

    async def catch_up(self) -> None:
        """Compare every day that is over and was not compared yet. Raises ExchangeError; it goes on there next time."""
        now_ms = self._live.clock.now_ms()
        day_ms = self._first_day(now_ms)
        while day_ms + DAY_MS + SETTLE_MS <= now_ms:
            await self._compare(day_ms)
            self._day_ms = day_ms = day_ms + DAY_MS
            self._live.journal.document(CURSOR, now_ms, _Cursor(day_ms))

    def _first_day(self, now_ms: int) -> int:
        """The first day that was not compared, of those that the exchange still knows."""
        today_ms = now_ms - now_ms % DAY_MS
        oldest_ms = today_ms - HISTORY_DAYS * DAY_MS
        if self._day_ms is None:
            self._day_ms = self._stored_day(oldest_ms, today_ms, now_ms)
        return max(self._day_ms, oldest_ms)

    def _stored_day(self, oldest_ms: int, today_ms: int, now_ms: int) -> int:
        store = self._live.journal.store
        found = queries.document(store, CURSOR)
        if found is not None:
            return msgspec.json.decode(found.body_json, type=_Cursor).day_ms
        earlier = queries.trades_closed(store, since_ms=oldest_ms, until_ms=today_ms)
        first_ms = earlier[0].closed_ms if earlier and earlier[0].closed_ms is not None else now_ms
        return first_ms - first_ms % DAY_MS

    async def _compare(self, day_ms: int) -> None:
        live, store = self._live, self._live.journal.store
        trades = queries.trades_closed(store, since_ms=day_ms, until_ms=day_ms + DAY_MS)
        start_ms = min([day_ms, *(trade.opened_ms for trade in trades)])
        rows = await live.exchange.income(start_ms=start_ms, end_ms=day_ms + DAY_MS - 1)
        fills = {trade.id: queries.fills(store, trade_id=trade.id, limit=100_000) for trade in trades}
        pairs = [self._pair(trade, fills[trade.id], rows) for trade in trades]
        self._write_down(day_ms, pairs, [row for row in rows if row.time_ms >= day_ms])

    def _pair(self, trade: TradeRow, fills: list[FillRow], rows: list[Income]) -> Compared:
        in_other = _sum({f.commission_asset: -f.commission} for f in fills if f.commission_asset != MARGIN_ASSET)
        in_usdt = sum((f.commission for f in fills if f.commission_asset == MARGIN_ASSET), ZERO)
        converted = trade.fees - in_usdt if in_other else ZERO
        return Compared(
            trade_id=trade.id,
            journal={MARGIN_ASSET: trade.pnl + trade.funding - (trade.fees - converted), **in_other},
            exchange=_totals(row for row in rows if self._belongs(row, trade, fills)),
            converted=converted,
        )

    def _belongs(self, row: Income, trade: TradeRow, fills: list[FillRow]) -> bool:
        """By the fill's number; what no fill of ours carries, by symbol and time, so that a fill we missed shows."""
        if row.symbol != trade.symbol or row.income_type not in (*FILL_TYPES, *LEDGER_TYPES):
            return False
        if row.income_type in FILL_TYPES and row.trade_id in {str(fill.fill_id) for fill in fills}:
            return True
        within = trade.opened_ms < row.time_ms <= (trade.closed_ms or 0)
        return within and not (row.income_type in FILL_TYPES and self._is_known(row))

    def _is_known(self, row: Income) -> bool:
        """Whether some trade of ours counted this fill."""
        return row.trade_id.isdecimal() and queries.has_fill(self._live.journal.store, row.symbol, int(row.trade_id))

    def _write_down(self, day_ms: int, pairs: list[Compared], of_day: list[Income]) -> None:
        """One row a day in the journal, and a word to the operator where the books differ."""
        wrong = [pair for pair in pairs if not pair.agrees]
        day = datetime.fromtimestamp(day_ms / 1000, tz=UTC).strftime("%Y-%m-%d")
        reason = "MISMATCH" if wrong else "MATCH"
        self._live.journal.note(
            self._live.clock.now_ms(),
            "BOOKKEEPING",
            reason,
            day=day,
            trades=len(pairs),
            journal=_sum(pair.journal for pair in pairs),
            exchange=_sum(pair.exchange for pair in pairs),
            converted_usdt=sum((pair.converted for pair in pairs), ZERO),
            wrong=wrong,
            transfers=_totals(row for row in of_day if is_transfer(row)),
            other=_totals(row for row in of_day if self._is_foreign(row)),
        )
        log.log(_LEVEL[reason], "bookkeeping", reason=reason, day=day, trades=len(pairs), wrong=len(wrong))
        if wrong:
            told = "; ".join(_told(pair) for pair in wrong)
            self._on_mismatch(day, books_differ_news(day, told))

    def _is_foreign(self, row: Income) -> bool:
        """A row of a fill that is in no book of ours, or of a kind that no trade brings about."""
        if is_transfer(row) or row.income_type in LEDGER_TYPES:
            return False
        if row.income_type not in FILL_TYPES:
            return True
        return not self._is_known(row)


_LEVEL = {"MATCH": 20, "MISMATCH": 40}


def _totals(rows: Iterable[Income]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for row in rows:
        found[row.asset] += row.income
    return dict(found)


def _sum(parts: Iterable[dict[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for part in parts:
        for asset, amount in part.items():
            found[asset] += amount
    return dict(found)


def _told(pair: Compared) -> str:
    assets = sorted({*pair.journal, *pair.exchange})
    amounts = (f"{pair.journal.get(a, ZERO):f} {a} here, {pair.exchange.get(a, ZERO):f} {a} there" for a in assets)
    return f"{pair.trade_id}: {', '.join(amounts)}"
