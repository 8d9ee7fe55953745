"""Sorts what the exchange knows of one symbol's orders by trade, for a journal that may be older than the exchange."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from exchange.client_ids import Leg, is_ours, parse
from exchange.types import AlgoOrder, Fill, Income, Order, Side, SymbolSnapshot
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import JournalFoundOld
from fsm.core.model.records import ZERO, State, SymbolRecord
from fsm.core.order_requests import planned_stop


class LostTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a trade whose journal is lost. ``number`` is None where not even that is known."""

    symbol: str
    number: int | None
    bought: Decimal
    sold: Decimal
    realized_pnl: Decimal
    commission: dict[str, Decimal]
    fill_ids: tuple[int, ...]
    first_ms: int
    last_ms: int

    def __str__(self) -> str:
        whose = f"{self.symbol}-{self.number}" if self.number is not None else f"an unknown trade in {self.symbol}"
        fees = " and ".join(f"{amount:f} {asset}" for asset, amount in sorted(self.commission.items())) or "no"
        made = f"result {self.realized_pnl:+f} USDT before {fees} commission"
        return f"{whose} of a lost journal: bought {self.bought:f}, sold {self.sold:f}, {made}"


class Evidence:
    """One symbol: its record, and what the exchange holds of ours. ``unrecorded`` are ids that no row of this journal
    has, ``unknown`` those of them that do not follow from the record either."""

    def __init__(
        self,
        record: SymbolRecord,
        *,
        database_id: str,
        orders: list[Order],
        algos: list[AlgoOrder],
        fills: list[Fill],
        unknown: set[str],
        unrecorded: set[str],
    ) -> None:
        self.record = record
        self._orders = [order for order in orders if is_ours(order.client_id, database_id)]
        self._algos = [algo for algo in algos if is_ours(algo.client_id, database_id)]
        self.unknown = unknown
        self.unrecorded = unrecorded
        self._fills = self._by_trade(orders, fills)

    def _by_trade(self, orders: list[Order], fills: list[Fill]) -> dict[int | None, list[Fill]]:
        """Fills by the trade that they are of (None: their order is not told any more). Others' are left out."""
        names = {order.order_id: parse(order.client_id) for order in orders}
        ours = {order.order_id for order in self._orders}
        found: defaultdict[int | None, list[Fill]] = defaultdict(list)
        for fill in fills:
            parts = names.get(fill.order_id)
            if fill.order_id not in names:
                found[None].append(fill)
            elif fill.order_id in ours and parts is not None:
                found[parts.trade_number].append(fill)
        return found

    @property
    def _begun(self) -> int:
        """The last trade that this journal has seen begin: a signal alone is not yet one."""
        is_open = self.record.trade is not None and self.record.state is not State.SIGNALLED
        return self.record.trades_opened - (0 if is_open or not self._lost_own else 1)

    @property
    def _lost_own(self) -> bool:
        """The number that the journal gave last was used by the journal that is lost."""
        free = self.record.trade is None or self.record.state is State.SIGNALLED
        return free and self.record.trades_opened in set(map(trade_number, self.unknown))

    @property
    def numbers(self) -> list[int]:
        """Trades that only the lost journal knew."""
        return sorted({number for number in map(trade_number, self.unknown) if number > self._begun})

    @property
    def open_number(self) -> int | None:
        """The lost trade that is still open by its fills, or by the stop that rests."""
        newest = max(self.numbers, default=None)
        if newest is None:
            return None
        signed = (fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in self._fills.get(newest, ()))
        return newest if sum(signed, ZERO) != 0 else None

    def event(self, at_ms: int, epoch: str, income: list[Income]) -> JournalFoundOld:
        """What the engine is told. Where the record's trade is over, all that it left, and no more."""
        record, trade, numbers = self.record, self.record.trade, self.numbers
        is_over = trade is not None and bool(numbers)
        own = self._fills.get(trade.number, []) if trade is not None and record.state is not State.SIGNALLED else []
        ended_ms = max((fill.time_ms for fill in own), default=0)
        rows = [row for row in income if trade is not None and trade.opened_ms < row.time_ms <= ended_ms]
        snapshot = SymbolSnapshot(
            symbol=record.symbol,
            at_ms=at_ms,
            position=None,
            orders=tuple(self._of(self._orders, trade.number)) if is_over and trade is not None else (),
            algo_orders=() if is_over else tuple(self._algos),
            fills=tuple(own) if is_over else (),
            income=tuple(rows) if is_over else (),
        )
        return JournalFoundOld(
            symbol=record.symbol,
            at_ms=at_ms,
            epoch=epoch,
            newest=self._newest(),
            last_fill_id=self._last_fill_id() if numbers else None,
            is_over=is_over,
            snapshot=snapshot,
        )

    def _newest(self) -> int:
        numbers = self.numbers
        if not numbers:
            return self.record.trades_opened
        return max(numbers) - (1 if self.open_number is not None else 0)

    def _last_fill_id(self) -> int | None:
        """The last fill of trades that are over: what the open one has counts for it."""
        opened = self._fills.get(self.open_number, []) if self.open_number is not None else []
        if opened:
            return min(fill.fill_id for fill in opened) - 1
        everything = (fill.fill_id for fills in self._fills.values() for fill in fills)
        return max(everything, default=self.record.last_fill_id)

    def named(self) -> list[LostTrade]:
        """Trades that are over and were never in this journal, and fills of nobody knows which."""
        lost = [number for number in self.numbers if number != self.open_number]
        groups = [(number, self._fills[number]) for number in lost if number in self._fills]
        if self.unknown and self._fills.get(None):
            groups.append((None, self._fills[None]))  # type: ignore[arg-type]
        return [_lost_trade(self.record.symbol, number, fills) for number, fills in groups]

    @staticmethod
    def _of(orders: Iterable[Order], number: int) -> list[Order]:
        return [order for order in orders if trade_number(order.client_id) == number]


def _lost_trade(symbol: str, number: int | None, fills: list[Fill]) -> LostTrade:
    commission: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for fill in fills:
        commission[fill.commission_asset] += fill.commission
    return LostTrade(
        symbol=symbol,
        number=number,
        bought=sum((fill.quantity for fill in fills if fill.side is Side.BUY), ZERO),
        sold=sum((fill.quantity for fill in fills if fill.side is Side.SELL), ZERO),
        realized_pnl=sum((fill.realized_pnl for fill in fills), ZERO),
        commission=dict(commission),
        fill_ids=tuple(fill.fill_id for fill in fills),
        first_ms=min(fill.time_ms for fill in fills),
        last_ms=max(fill.time_ms for fill in fills),
    )


def trade_number(client_id: str) -> int:
    """Of one of our ids."""
    parts = parse(client_id)
    assert parts is not None
    return parts.trade_number


def remembered_ids(record: SymbolRecord, context: DecisionContext) -> set[str]:
    """Ids that follow from the record, whether an order of that name was journalled or not: the last stop of a bot
    whose journal was full left without a row. Of a signal alone nothing has left: an order of its name is another's."""
    found: set[str] = set()
    for trade in (None if record.state is State.SIGNALLED else record.trade, record.abandoned):
        if trade is not None:
            stops = [stop.client_id for stop in (trade.stop, trade.stop_before) if stop is not None]
            targets = [target.client_id for target in trade.targets]
            found |= {trade.entry.client_id, planned_stop(trade, context).request.client_id, *stops, *targets}
    return found


def is_order_of_trades(client_id: str, database_id: str) -> bool:
    """Ours, and no probe of a self-test."""
    parts = parse(client_id)
    return parts is not None and parts.database_id == database_id and parts.leg is not Leg.PROBE
