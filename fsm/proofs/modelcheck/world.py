"""One state of the model: the symbol's record, the exchange, and what the live shell holds in memory.

Two states with the same ``key`` behave alike: times count only as far as something waits for them, ids only by what
they are for, and a short position is a long one in a mirror.
"""

from __future__ import annotations

from exchange.types import AlgoOrder, AlgoStatus, Fill, Order, OrderRequest
from fsm.core.candle_close import CLOSE_LATE_MS
from fsm.core.close_forms import FORMS
from fsm.core.leaving import UNSEEN_MS_MAX
from fsm.core.model.intents import CancelAlgo, CancelEntry, Intent, Look, SweepOrders
from fsm.core.model.records import ZERO, SymbolRecord, Trade
from fsm.core.observation import STUCK_TRIGGER_MS
from fsm.core.reducing import ARRIVES_MS_MAX
from fsm.core.releasing import cancels_stop
from fsm.proofs.modelcheck.setup import START_MS, SYMBOL
from fsm.proofs.modelcheck.venue import AbstractVenue

Row = tuple[Intent, ...]

PACE_MS = 4_000
"""After so long without a retry in an open trade the next one waits no more; older times are all alike."""


class ModelState:
    """Copied for each step, never shared. Of these only ``record`` survives a restart, and the exchange of course.

    ``rows`` are committed steps whose intents wait, the first under way; ``broken``: its rest is dropped up to its
    look. ``search`` counts looks for an entry of unknown outcome; ``seen`` is what the latest look showed;
    ``owed_ms`` since when a stop is owed. ``late`` is an order that is still on its way. ``unlisted``: the list by rule
    does not have the symbol (the list is journalled, so it survives too). The model's own memory:
    ``entry_sent`` and ``stop_sent`` number the newest trade with one, ``unsure`` are orders whose outcome is unknown,
    ``astray`` is the trade whose entry arrived late and was not taken over yet.
    """

    __slots__ = (
        "astray", "broken", "entry_sent", "exceeded", "late", "now_ms", "owed_ms", "record", "rows", "search", "seen",
        "stop_sent", "unlisted", "unsure", "venue",
    )  # fmt: skip

    def __init__(self) -> None:
        self.record = SymbolRecord(symbol=SYMBOL)
        self.venue = AbstractVenue()
        self.now_ms = START_MS
        self.rows: tuple[Row, ...] = ()
        self.broken = False
        self.search: int | None = None
        self.seen: object = None
        self.owed_ms: int | None = None
        self.late: OrderRequest | None = None
        self.exceeded = False
        self.unlisted = False
        self.astray = 0
        self.entry_sent = 0
        self.stop_sent = 0
        self.unsure: frozenset[str] = frozenset()

    def copy(self) -> ModelState:
        other = ModelState.__new__(ModelState)
        for name in ModelState.__slots__:
            setattr(other, name, getattr(self, name))
        other.venue = self.venue.copy()
        return other

    def forget_the_past(self) -> None:
        """Drop what nothing asks about any more: ended orders, fills and ledger of trades that are booked."""
        if self.record.trade is not None or self.record.abandoned is not None or self.venue.position != 0:
            return
        venue = self.venue
        if self.late is None:
            self.unsure = frozenset()
        venue.orders = {cid: order for cid, order in venue.orders.items() if order.status.is_open}
        venue.algos = {cid: algo for cid, algo in venue.algos.items() if algo.status.is_open}
        cursor = self.record.last_fill_id or 0
        venue.fills = tuple(fill for fill in venue.fills if fill.fill_id > cursor)
        venue.income = ()
        venue.theirs = ZERO

    @property
    def sign(self) -> int:
        """+1 in a long world, -1 in its mirror."""
        trade = self.record.trade or self.record.abandoned
        if trade is not None:
            return trade.side.sign
        return -1 if self.venue.position < 0 else 1

    def key(self) -> object:
        """What tells this state from others."""
        sign, late = self.sign, self.late
        return (
            self._record_key(),
            self._venue_key(sign),
            tuple(tuple(_intent_key(intent) for intent in row) for row in self.rows),
            self.broken,
            self.search,
            None if self.seen is None else hash(self.seen),
            None if self.owed_ms is None else self.now_ms - self.owed_ms,
            None if late is None else (_name(late.client_id), late.side.sign * sign),
            self.exceeded,
            self.unlisted,
            self.entry_sent - self.record.trades_opened,
            self.stop_sent - self.record.trades_opened,
            self.astray and self.astray - self.record.trades_opened,
            frozenset(_name(cid) for cid in self.unsure),
        )

    def _record_key(self) -> object:
        record = self.record
        tried, trade = record.tried, record.trade
        return (
            record.state,
            record.trades_opened,
            record.halt and record.halt.cause,
            record.quarantine and record.quarantine.cause,
            record.paused,
            cancels_stop(record),
            record.released is not None,
            record.foreign and record.foreign.quantity * self.sign,
            record.refusal and (record.refusal.code, record.refusal.count),
            self.now_ms < record.cooldown_until_ms,
            record.close_unheard_ms is None or min(self.now_ms - record.close_unheard_ms, CLOSE_LATE_MS),
            tried and (tried.at, min(tried.count, 5), min(self.now_ms - tried.real_ms, PACE_MS)),
            trade and _trade_key(trade),
            trade and trade.part and trade.part.unseen_ms and min(self.now_ms - trade.part.unseen_ms, ARRIVES_MS_MAX),
            trade and trade.unseen_ms is not None and self.now_ms - trade.unseen_ms >= UNSEEN_MS_MAX,
            record.abandoned and (_trade_key(record.abandoned), record.abandoned.number - record.trades_opened),
        )

    def _venue_key(self, sign: int) -> object:
        venue, record = self.venue, self.record
        cursor = record.trade.last_fill_id if record.trade else record.last_fill_id
        fills = tuple(_fill_key(fill, venue, sign) for fill in venue.fills if fill.fill_id > (cursor or 0))
        algos = frozenset(self._algo_key(algo) for algo in venue.algos.values())
        orders = frozenset(_order_key(order) for order in venue.orders.values())
        theirs = venue.theirs * sign, venue.stranger is None, venue.released, venue.bare
        return venue.position * sign, theirs, orders, algos, fills

    def _algo_key(self, algo: AlgoOrder) -> object:
        stuck = algo.status is AlgoStatus.TRIGGERED and self.now_ms - algo.update_time_ms > STUCK_TRIGGER_MS
        return _name(algo.client_id), algo.status, algo.quantity, algo.executed_quantity, stuck


def _name(cid: str) -> str:
    """An id without what differs from database to database."""
    return cid[16:]


def _order_key(order: Order) -> object:
    return _name(order.client_id), order.status, order.quantity, order.executed_quantity


def _fill_key(fill: Fill, venue: AbstractVenue, sign: int) -> object:
    by = next((cid for cid, order in venue.orders.items() if order.order_id == fill.order_id), "")
    by = by or next((cid for cid, algo in venue.algos.items() if algo.actual_order_id == fill.order_id), "")
    return _name(by), fill.side.sign * sign, fill.quantity


def _trade_key(trade: Trade) -> object:
    entry, stop = trade.entry, trade.stop
    return (
        entry.quantity,
        entry.price is None,
        entry.filled,
        entry.finished,
        entry.average_price is None,
        stop and (_name(stop.client_id), abs(stop.trigger_price - trade.entry_price_planned)),
        trade.stop_before and _name(trade.stop_before.client_id),
        tuple((t.attempt, t.sent, t.done, t.quantity, t.before is None) for t in trade.targets),
        trade.targets_sent,
        trade.adopted,
        trade.first_fill_ms is None,
        trade.protected_ms is None,
        trade.uncovered_ms is None,
        trade.open_quantity,
        trade.closed_quantity,
        trade.closed_by_us,
        trade.exit_reason,
        trade.exit_attempt,
        trade.exit_refused,
        (min(trade.close_failed, FORMS + 1), trade.close_form % FORMS, trade.close_lot, trade.close_least),
        trade.close_grain,
        trade.no_position_ms is None,
        trade.unseen_ms is None,
        tuple(_name(cid) for cid in trade.unheard),
        trade.swept,
        trade.part and trade.part.quantity,
        trade.part_number is None,
    )


def _intent_key(intent: Intent) -> object:
    match intent:
        case CancelAlgo(client_id=cid) | CancelEntry(client_id=cid):
            return "cancel", _name(cid)
        case SweepOrders(client_ids=cids):
            return "sweep", tuple(_name(cid) for cid in cids)
        case Look():
            return "look"
    request = getattr(intent, "request", None)
    if request is None:
        return type(intent).__name__
    return _name(request.client_id), request.quantity, request.type, getattr(request, "price", None) is None
