"""Watches one symbol in real time: how long a position has been without a stop, and how long something is missing."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from exchange.client_ids import parse
from exchange.types import AlgoOrder, Order, SymbolSnapshot
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.records import ZERO, State, SymbolRecord, Trade, TradeSide
from fsm.core.observation import TradeView, look_request
from fsm.core.order_requests import close_id

LOOKS_MIN = 2
LACKING_S_MIN = 2.0
"""What two looks this far apart both lack is not explained by a lag of the exchange's answers."""

ARRIVES_S_MAX = 6.0
"""An order is accepted for so long: five seconds from its time stamp, which may be one ahead of the exchange."""

TIMES_KEPT = 10_000
BUCKETS_MS = (25, 50, 100, 250, 500, 1_000, 2_000, 3_000, 5_000)
UNPROTECTED_STATES = (State.ENTERING, State.PROTECTED)
MAY_BE_OPEN = (*UNPROTECTED_STATES, State.EXITING, State.FLATTEN)


@dataclass(slots=True)
class ProtectionTimes:
    """Real milliseconds from the answer that showed a first fill to the look that showed its stop."""

    times_ms: list[float] = field(default_factory=list)
    late: int = 0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))

    def add(self, ms: float) -> None:
        if len(self.times_ms) < TIMES_KEPT:
            self.times_ms.append(ms)
            self._counts[bisect_left(BUCKETS_MS, ms)] += 1

    def summary(self) -> dict[str, float | int | None]:
        """Count, p50, p99 and largest; and how often the deadline passed."""
        ordered = sorted(self.times_ms)
        return {
            "count": len(ordered),
            "p50_ms": _at(ordered, 0.50),
            "p99_ms": _at(ordered, 0.99),
            "max_ms": _at(ordered, 1.0),
            "late": self.late,
        }

    def histogram(self) -> dict[str, Any]:
        """How many took at most so long, each counted once, and their sum; the last bucket has no top."""
        tops = (*BUCKETS_MS, None)
        buckets = [{"le_ms": top, "count": count} for top, count in zip(tops, self._counts, strict=True)]
        return {"sum_ms": round(sum(self.times_ms), 3), "buckets": buckets}


def _at(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3)


def _is_closed(trade: Trade, view: TradeView) -> bool:
    """Fills account for the whole of it, and no more can come."""
    return trade.entry.finished and trade.closed_quantity + view.exit_filled >= trade.entry.filled > 0


class StopSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The stop as the exchange itself last showed it; ``verified_real_ms`` is the real time at which it was asked."""

    client_id: str
    trigger_price: Decimal
    verified_real_ms: int


def stop_seen(record: SymbolRecord, view: TradeView | None, real_ms: int) -> StopSeen | None:
    """The stop in force, if this look shows it resting just as it is wanted."""
    trade = record.trade
    if trade is None or trade.stop is None or view is None or not view.stop_rests:
        return None
    return StopSeen(client_id=trade.stop.client_id, trigger_price=trade.stop.trigger_price, verified_real_ms=real_ms)


class ProtectionTimer:
    """One for each symbol. Times are seconds of the real clock, given by the caller."""

    def __init__(self, times: ProtectionTimes) -> None:
        self._times = times
        self._naked_since_s: float | None = None
        self._has_acted = False
        self._heard: tuple[str, float] = ("", 0.0)
        self._is_first_stop = False
        self._lacking: tuple[object, ...] = ()
        self._lacking_since_s = 0.0
        self._lacking_looks = 0
        self._lasts_s = LACKING_S_MIN

    # --- the protection deadline --------------------------------------------------------------
    @property
    def is_naked(self) -> bool:
        """A position is open, in whatever state, and nobody has seen its stop rest."""
        return self._naked_since_s is not None

    @property
    def naked_since_s(self) -> float | None:
        """Since when; None: it is not."""
        return self._naked_since_s

    def heard(self, client_id: str, at_s: float) -> bool:
        """The stream told of a fill of this entry, of which nothing else is known yet; whether that is news."""
        is_news = client_id != self._heard[0]
        if is_news:
            self._heard = (client_id, at_s)
        return is_news

    def filled(self, client_id: str, at_s: float) -> None:
        """The first fill of this entry was learned of then, or heard of before: since then a stop is owed."""
        heard_id, heard_s = self._heard
        self._owed(min(at_s, heard_s) if client_id == heard_id else at_s, is_first=True)

    def found_naked(self, at_s: float) -> None:
        """A position is known to have lost its stop, or never to have had one that was seen."""
        if self._naked_since_s is None:
            self._owed(at_s, is_first=False)

    def _owed(self, at_s: float, *, is_first: bool) -> None:
        self._naked_since_s, self._is_first_stop, self._has_acted = at_s, is_first, False

    def suspended(self, seconds: float) -> None:
        """Nobody ran for so long (a stopped process, a commit that stalled): the deadline waits with it."""
        if self._naked_since_s is not None:
            self._naked_since_s += seconds

    def left_s(self, now_s: float, deadline_ms: int) -> float | None:
        """Seconds until the deadline passes (zero or less: it has), or None while nothing is owed."""
        if self._naked_since_s is None or self._has_acted:
            return None
        return self._naked_since_s + deadline_ms / 1000 - now_s

    def gave_up(self) -> None:
        """The deadline has passed and was acted upon."""
        self._times.late += 1
        self._has_acted = True

    def looked(self, record: SymbolRecord, view: TradeView | None, now_s: float) -> float | None:
        """Judge a look after the engine did; gives the milliseconds to protection when it is what confirmed a stop."""
        trade = record.trade
        if trade is None or view is None or trade.first_fill_ms is None:
            self._naked_since_s = None
            return None
        covered = view.stop_rests or view.bridged  # while a stop is moved, the one before or the bridge covers
        if view.position > 0 and not covered:
            self.found_naked(now_s)
            return None
        if not covered and record.state in UNPROTECTED_STATES and not _is_closed(trade, view):
            return None  # a zero may be stale: what was owed is owed until it is explained
        since_s, self._naked_since_s = self._naked_since_s, None
        if since_s is None or not covered or not self._is_first_stop:
            return None
        took_ms = (now_s - since_s) * 1000
        self._times.add(took_ms)
        return took_ms

    # --- what stays missing -------------------------------------------------------------------
    def persists(self, record: SymbolRecord, snapshot: SymbolSnapshot, context: DecisionContext, now_s: float) -> bool:
        """True when this look shows the same as earlier ones for so long that it is no lag."""
        waits = _closes_what_is_not_ours(record, snapshot, context)
        self._lasts_s = ARRIVES_S_MAX if waits else LACKING_S_MIN
        seen = (*_appearance(record, snapshot, context), record.trade.unheard if waits and record.trade else ())
        if seen != self._lacking:
            self._lacking, self._lacking_since_s, self._lacking_looks = seen, now_s, 0
        self._lacking_looks += 1
        return self._lacking_looks >= LOOKS_MIN and now_s - self._lacking_since_s >= self._lasts_s

    def lasting_in_s(self, now_s: float) -> float:
        """Seconds until what the newest look showed counts as lasting if another shows it then; not above zero: it
        does already."""
        return self._lacking_since_s + self._lasts_s - now_s


def _appearance(record: SymbolRecord, snapshot: SymbolSnapshot, context: DecisionContext) -> tuple[object, ...]:
    """What a look must show again for its absences to count as lasting: everything but prices and times. Of a position
    of somebody who was not named yet, that it is there: it may be traded on every second (R80)."""
    shown = {order.client_id for order in snapshot.orders} | {algo.client_id for algo in snapshot.algo_orders}
    missing = tuple(cid for cid in look_request(record, context).tracked if cid not in shown)
    is_news = _is_news(record, snapshot)
    orders = tuple(sorted(map(_state_of, (o for o in snapshot.orders if not is_news or parse(o.client_id)))))
    algos = tuple(sorted(map(_state_of, (a for a in snapshot.algo_orders if not is_news or parse(a.client_id)))))
    quantity = snapshot.position.quantity if snapshot.position else ZERO
    return record.state, missing, orders, algos, *((quantity > 0,) if is_news else (quantity, len(snapshot.fills)))


def _state_of(order: Order | AlgoOrder) -> tuple[str, str, Decimal]:
    return order.client_id, order.status.value, order.executed_quantity


def _is_news(record: SymbolRecord, snapshot: SymbolSnapshot) -> bool:
    """A position that no trade of ours explains, of which nobody has been told."""
    trade, quantity = record.trade, snapshot.position.quantity if snapshot.position else ZERO
    if quantity == 0 or record.foreign is not None or record.released is not None:
        return False
    return trade is None or (quantity > 0) is not (trade.side is TradeSide.LONG)


def _closes_what_is_not_ours(record: SymbolRecord, snapshot: SymbolSnapshot, context: DecisionContext) -> bool:
    """A close that no look shows may still arrive, and a second one beside it would take somebody else's share."""
    trade, position = record.trade, snapshot.position
    if record.state not in (State.EXITING, State.FLATTEN) or trade is None or position is None:
        return False
    pending = close_id(context, trade, trade.exit_attempt)
    if not trade.piece_pending or any(order.client_id == pending for order in snapshot.orders):
        return False
    held = position.quantity if trade.side is TradeSide.LONG else -position.quantity
    return held > trade.entry.filled - trade.closed_by_us


def is_unsettled(record: SymbolRecord, snapshot: SymbolSnapshot, view: TradeView | None) -> bool:
    """True when what this look shows should not stay so: look again soon. ``sight`` is that of the trade, if any."""
    trade = record.trade
    quantity = snapshot.position.quantity if snapshot.position else ZERO
    if trade is None or view is None:
        is_open = any(order.status.is_open for order in snapshot.orders)
        is_open = is_open or any(algo.status.is_open for algo in snapshot.algo_orders)
        if record.released is not None:
            return False
        named = ZERO if record.foreign is None else record.foreign.quantity
        is_news = quantity not in (0, named)  # somebody else's, and nobody has been told of it (R80)
        return is_news or (record.quarantine is None and (quantity != 0 or is_open))
    if record.state in (State.EXITING, State.FLATTEN):
        return True
    if record.state is State.ENTERING and trade.first_fill_ms is None:
        return trade.entry.price is None
    if record.state not in UNPROTECTED_STATES:
        return False
    return _differs(record, view, quantity)


def _differs(record: SymbolRecord, view: TradeView, quantity: object) -> bool:
    trade = record.trade
    assert trade is not None
    sign = 1 if trade.side is TradeSide.LONG else -1
    wanted = {target.index for target in trade.targets if not target.done} if trade.targets_sent else set()
    targets_rest = all(index in view.targets for index in wanted)
    if trade.part is not None or any(target.is_moving for target in trade.targets):
        return True  # a part is being closed by hand, or a target moved
    return not view.stop_rests or quantity != sign * trade.open_quantity or not targets_rest
