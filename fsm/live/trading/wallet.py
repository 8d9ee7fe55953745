"""Explains every change of the wallet: by the exchange's ledger, or by fills that it does not show yet (R77).

The balance may show a transfer up to a minute before the ledger does. So what the wallet should be is kept beside what
it is: the last balance that was fully explained and the rows since. A difference is looked up until a row explains it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from exchange.errors import Refusal
from exchange.port import Exchange
from exchange.refusals import RefusalReason
from exchange.types import Account, Fill, Income, IncomeKind
from fsm.core.model.records import ZERO
from store import queries
from store.database import Store

ASSET = "USDT"
TRANSFER_TYPES = frozenset(
    {"TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW",
     "STRATEGY_UMFUTURES_TRANSFER", "WELCOME_BONUS", "CONTEST_REWARD", "AUTO_EXCHANGE"}
)  # fmt: skip
"""Money that came or went from outside (GET /fapi/v1/income, checked 2026-11). Rebates, kickbacks, insurance clearings
and fees of any kind are results of trading, as is every kind that is not known and does not call itself a transfer."""

TRANSFER_WORDS = frozenset({"TRANSFER", "DEPOSIT", "WITHDRAW", "WITHDRAWAL"})
"""Binance adds kinds of income now and then; one with such a word in its name is money from or to the outside."""

NAME, NAME_OF_0_1 = "wallet", "transfers_cursor"
LOOK_BACK_MS = 900_000
"""A row may be shown after others that are newer; so long after its own time it is still counted."""

UNEXPLAINED_MS_MAX = 120_000
"""Twice as long as a row was ever seen to lag behind the balance; then a fall counts as a loss, a rise as a deposit."""

UNEXPLAINED_S_MIN = 5.0
"""The same in real time, in which a fast simulation's ledger is asked at least once more."""

TOLERANCE = Decimal("0.01")
"""USDT that may be missing without a word: less than any fee worth naming."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """The wallet as far as it is explained. ``counted`` are the rows of the last quarter hour, as (time, kind and id).

    Rows before ``floor_ms`` were there before we came. ``explained_ms`` is when wallet and ledger last agreed, and
    ``since_ms`` since when they do not. ``doubts`` are what neither rows nor fills explain, as (since when, USDT): each
    has its own time. ``written_off`` has been given up on, and may be explained after all.
    """

    floor_ms: int
    at_ms: int
    explained_ms: int
    wallet: Decimal
    counted: tuple[tuple[int, str], ...] = ()
    since_ms: int | None = None
    doubts: tuple[tuple[int, Decimal], ...] = ()
    written_off: Decimal = ZERO
    written_off_ms: int = 0

    @property
    def rows_from_ms(self) -> int:
        """From here on the ledger is asked."""
        return max(self.floor_ms, self.at_ms - LOOK_BACK_MS)


class _Cursor(msgspec.Struct, frozen=True):
    """What version 0.1.0 kept: up to where transfers were summed, and these of that very millisecond."""

    at_ms: int
    seen: tuple[int, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading of the account came to; the fields are those of EquityRead. ``after`` is to be kept."""

    after: Explained
    transfers: Decimal = ZERO
    transferred_ms: int | None = None
    late: Decimal = ZERO
    unexplained: Decimal = ZERO
    written_off: Decimal = ZERO
    taken_for_deposit: Decimal = ZERO


class Wallet:
    """One account's. ``traded`` names the symbols in which something of ours may have been filled lately."""

    def __init__(
        self, store: Store, exchange: Exchange, *, traded: Callable[[], Iterable[str]], monotonic: Callable[[], float]
    ) -> None:
        self._exchange = exchange
        self._traded = traded
        self._monotonic = monotonic
        self._noticed_s: float | None = None
        self._older: _Cursor | None = None
        self.kept: Explained | None = None
        found, older = queries.document(store, NAME), queries.document(store, NAME_OF_0_1)
        if found is not None:
            self.kept = _until_last_written(msgspec.json.decode(found.body_json, type=Explained), store)
        elif older is not None:
            self._older = msgspec.json.decode(older.body_json, type=_Cursor)

    async def explain(self, account: Account) -> Explanation:
        """What explains this balance. Raises ExchangeError; whoever keeps ``after`` sets ``kept`` to it."""
        if self.kept is None:
            return await self._first(account, self._older)
        kept, now_ms = self.kept, account.update_time_ms
        watches = kept.written_off != 0 and now_ms - kept.written_off_ms < LOOK_BACK_MS
        if account.wallet_balance == kept.wallet and kept.since_ms is None and not watches:
            self.kept = replace(kept, explained_ms=now_ms)  # not worth a commit: every written equity says as much
            return Explanation(after=self.kept)
        rows = await self._rows(kept.rows_from_ms)
        known = {key for _, key in kept.counted}
        fresh = sorted((row for row in rows if _key(row) not in known), key=lambda row: (row.time_ms, _key(row)))
        change = account.wallet_balance - kept.wallet
        after_all = _whole(fresh, change + kept.written_off) if kept.written_off else None
        if after_all:
            return self._after_all(kept, account, fresh[:after_all])
        whole = _whole(fresh, change)
        if whole is not None:
            return self._settled(kept, account, fresh[:whole])
        return await self._doubted(kept, account, rows, [row for row in fresh if row.time_ms <= now_ms])

    async def _rows(self, start_ms: int) -> list[Income]:
        """The ledger since then. Where none is served, fills must explain what they can."""
        try:
            return await self._exchange.income(start_ms=start_ms)
        except Refusal as refusal:
            if refusal.reason is not RefusalReason.OTHER:
                raise
            return []

    # --- how it may come out ------------------------------------------------------------------
    async def _first(self, account: Account, older: _Cursor | None) -> Explanation:
        """What was there before we came is no profit of ours; after 0.1.0 its own cursor says what was counted."""
        now_ms = account.update_time_ms
        floor_ms = now_ms if older is None else older.at_ms
        rows = await self._rows(floor_ms)
        if older is None:
            old = [row for row in rows if row.time_ms <= floor_ms]
            fresh: list[Income] = []
        else:
            old = [row for row in rows if row.time_ms == floor_ms and row.transaction_id in older.seen]
            fresh = [row for row in rows if row not in old and row.time_ms <= now_ms]
        begun = Explained(floor_ms=floor_ms, at_ms=floor_ms, explained_ms=now_ms, wallet=account.wallet_balance)
        return self._settled(_counting(begun, old), account, fresh)

    def _settled(self, kept: Explained, account: Account, rows: Sequence[Income]) -> Explanation:
        """Everything has a row."""
        self._noticed_s = None
        after = replace(
            _counting(kept, rows),
            wallet=account.wallet_balance,
            since_ms=None,
            doubts=(),
            explained_ms=max(account.update_time_ms, kept.explained_ms),
        )
        transfers, oldest_ms = _transferred(rows)
        return Explanation(after=after, transfers=transfers, transferred_ms=oldest_ms)

    def _after_all(self, kept: Explained, account: Account, rows: Sequence[Income]) -> Explanation:
        """What was given up on has its row after all. A rise was taken for a deposit already."""
        found = self._settled(kept, account, rows)
        late = kept.written_off
        counted = late if late > 0 else ZERO
        after = replace(found.after, written_off=ZERO)
        return replace(
            found, after=after, transfers=found.transfers - counted, late=late if found.transfers and late < 0 else ZERO
        )

    async def _doubted(
        self, kept: Explained, account: Account, rows: Sequence[Income], fresh: Sequence[Income]
    ) -> Explanation:
        """Something has no row. A fall is looked for among the fills, so that a real loss acts at once."""
        now_ms, now_s = account.update_time_ms, self._monotonic()
        since_ms = now_ms if kept.since_ms is None else kept.since_ms
        after = _counting(kept, fresh)
        after = replace(after, wallet=kept.wallet + _sum(fresh), since_ms=since_ms)
        transfers, oldest_ms = _transferred(fresh)
        found = Explanation(after=after, transfers=transfers, transferred_ms=oldest_ms)
        left = account.wallet_balance - after.wallet
        if abs(left) <= TOLERANCE:
            return replace(found, after=replace(after, wallet=account.wallet_balance, since_ms=None, doubts=()))
        by_fills = ZERO if left > 0 else await self._by_fills(kept, rows, left, now_ms)
        unexplained = left - by_fills
        if abs(unexplained) <= TOLERANCE:
            return replace(found, after=replace(after, doubts=()))  # its rows will come; nothing is in doubt
        doubts = _doubts(kept.doubts, unexplained, now_ms)
        if self._noticed_s is None or len(doubts) > len(kept.doubts):
            self._noticed_s = now_s
        found = replace(found, after=replace(after, doubts=doubts), unexplained=unexplained)
        is_late = now_s - self._noticed_s >= UNEXPLAINED_S_MIN and now_ms - doubts[0][0] >= UNEXPLAINED_MS_MAX
        return self._given_up(found, now_ms) if is_late else found

    def _given_up(self, found: Explanation, now_ms: int) -> Explanation:
        """Too long without a word: what is cautious is taken for true. Fills whose rows are missing are waited for."""
        self._noticed_s = None
        old = [amount for at_ms, amount in found.after.doubts if now_ms - at_ms >= UNEXPLAINED_MS_MAX]
        doubts, amount = found.after.doubts[len(old) :], sum(old, ZERO)
        after = replace(
            found.after,
            wallet=found.after.wallet + amount,
            since_ms=doubts[0][0] if doubts else None,
            doubts=doubts,
            written_off=amount,
            written_off_ms=now_ms,
        )
        deposit = max(amount, ZERO)
        return replace(
            found,
            after=after,
            transfers=found.transfers + deposit,
            taken_for_deposit=deposit,
            unexplained=found.unexplained - amount,
            written_off=min(amount, ZERO),
        )

    async def _by_fills(self, kept: Explained, rows: Sequence[Income], left: Decimal, now_ms: int) -> Decimal:
        """What fills that the ledger does not show yet have changed, as far as it explains what is left. Of one that is
        older than the ledger was asked for nobody knows whether it is shown."""
        shown = {(row.income_type, row.trade_id) for row in rows}
        fills: list[Fill] = []
        for symbol in self._traded():
            fills += await self._exchange.fills(symbol, start_ms=max(kept.explained_ms - 1_000, kept.rows_from_ms))
        total = ZERO
        for fill in sorted(fills, key=lambda fill: (fill.time_ms, fill.fill_id)):
            number = str(fill.fill_id)
            changed = fill.realized_pnl if (IncomeKind.REALIZED_PNL, number) not in shown else ZERO
            if fill.commission_asset == ASSET and (IncomeKind.COMMISSION, number) not in shown:
                changed -= fill.commission
            if fill.time_ms > now_ms and abs(left - total) <= TOLERANCE:
                break
            total += changed
        return max(total, left)


def _doubts(known: tuple[tuple[int, Decimal], ...], amount: Decimal, now_ms: int) -> tuple[tuple[int, Decimal], ...]:
    """What adds up to ``amount``, the oldest first: more is in doubt since now; of less, what fits it is explained, or
    the newest."""
    total = sum((each for _, each in known), ZERO)
    if total * amount <= 0:
        return ((now_ms, amount),)
    more = amount - total
    if abs(more) <= TOLERANCE:
        return known
    if more * amount > 0:
        return (*known, (now_ms, more))
    pieces = list(known)
    fitting = next((piece for piece in reversed(pieces) if abs(piece[1] + more) <= TOLERANCE), None)
    if fitting is not None:
        pieces.remove(fitting)
        return tuple(pieces)
    while more:
        at_ms, piece = pieces.pop()
        if abs(piece) > abs(more):
            pieces.append((at_ms, piece + more))
            break
        more += piece
    return tuple(pieces)


def _key(row: Income) -> str:
    """Transaction ids are unique within one kind of income only (GET /fapi/v1/income, checked 2026-11)."""
    return f"{row.income_type} {row.transaction_id}"


def is_transfer(row: Income) -> bool:
    """Money from or to the outside, in whatever coin."""
    return row.income_type in TRANSFER_TYPES or not TRANSFER_WORDS.isdisjoint(row.income_type.split("_"))


def _until_last_written(kept: Explained, store: Store) -> Explained:
    """Each equity that was written down while nothing was in doubt was explained."""
    latest = queries.latest_equity(store)
    if latest is None or kept.since_ms is not None:
        return kept
    return replace(kept, explained_ms=max(kept.explained_ms, latest.at_ms))


def _sum(rows: Iterable[Income]) -> Decimal:
    return sum((row.income for row in rows if row.asset == ASSET), ZERO)


def _transferred(rows: Iterable[Income]) -> tuple[Decimal, int | None]:
    found = [row for row in rows if row.asset == ASSET and is_transfer(row)]
    return _sum(found), min((row.time_ms for row in found), default=None)


def _counting(kept: Explained, rows: Iterable[Income]) -> Explained:
    """These rows are counted from now on; what is too old to be met again is forgotten."""
    counted = [*kept.counted, *((row.time_ms, _key(row)) for row in rows)]
    at_ms = max([kept.at_ms, *(time_ms for time_ms, _ in counted)])
    recent = tuple(sorted(each for each in counted if each[0] >= at_ms - LOOK_BACK_MS))
    return replace(kept, at_ms=at_ms, counted=recent)


def _whole(fresh: Sequence[Income], change: Decimal) -> int | None:
    """How many rows, from the oldest on, explain the change exactly; those after belong to a later balance."""
    found, total = (0, ZERO) if abs(change) <= TOLERANCE else (None, ZERO)
    for number, row in enumerate(fresh, 1):
        total += row.income if row.asset == ASSET else ZERO
        if abs(change - total) <= TOLERANCE:
            found = number
    return found
