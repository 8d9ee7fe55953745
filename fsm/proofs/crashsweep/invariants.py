"""What must hold after every crash, and the checks of it: on the exchange's own memory and on the journal."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from exchange.client_ids import Leg, client_id, parse
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.scripts import FOREIGN_ORDER, FOREIGN_POSITION, OTHERS
from fsm.proofs.crashsweep.stage import CrashingBot
from fsm.proofs.testkit.in_process_bot import DATABASE_ID
from store import queries
from store.database import Store, open_store
from store.outbox import Outbox
from store.verify import verify

CLAIMS: dict[str, str] = {
    "INTENT_FIRST": "no order leaves before the row that wants it is committed",
    "SENT_ONCE": "each client id becomes at most one order, and each trade has at most one entry order (a close of the "
    "whole position that two looks did not show may arrive twice: both can only reduce)",
    "COVERED_IN_TIME": "no position is without a stop beyond the protection deadline, unless it is being closed",
    "LEFT_COVERED": "a process that ends because nothing can be written leaves no position without a stop",
    "STARTS_AGAIN": "after every death a start succeeds (on a full disk: once there is room), and the bot lives on",
    "RECOVERED_TWICE": "a second start right after a first one decides nothing, places nothing and cancels nothing",
    "JOURNAL_VERIFIES": "every chain and every projection is as it was written",
    "REPLAYS": "every recorded decision comes out the same when it is taken again from the journal",
    "ENDS_ALIKE": "every trade ends as it does undisturbed; where one is missing, a row says that its entry was missed",
    "BOOKS_AGREE": "what the trades made is what the wallet gained, fees included, entries with the prices they had",
    "COMES_TO_REST": "nothing of ours is left open: no order, no position, no intent whose outcome is not known",
    "TOLD": "every alert reaches the operator, and is repeated at most once for each death",
    "HANDS_OFF": "what somebody else has on the account is not touched",
}
"""Each claim by name, in words."""

Found = tuple[str, str]
"""A claim and how it does not hold."""

REPEATED = re.compile(r" \(\d+ times\)$")
"""One message may stand for several that are alike: it is written, and arrives, once."""

_MISSED = ("drop", "abandon")
_WANTED = "SELECT client_id, count(*) FROM intents WHERE client_id IS NOT NULL GROUP BY client_id"
_JOURNALLED = "SELECT reason FROM transitions WHERE trigger = ? ORDER BY id"


class Ending(msgspec.Struct, frozen=True):
    """What came of a script: the finished trades, and why entries were missed."""

    trades: tuple[tuple[Any, ...], ...]
    missed: tuple[str, ...]


def ending(store: Store) -> Ending:
    """Read from a journal."""
    rows = [
        (t.symbol, t.side, t.quantity, t.entry_price, t.exit_price, t.exit_reason, t.net_pnl)
        for t in queries.trades(store, limit=1000)
        if t.status == "CLOSED"
    ]
    missed = [reason for trigger in _MISSED for (reason,) in store.connection.execute(_JOURNALLED, (trigger,))]
    return Ending(tuple(sorted(rows, key=str)), tuple(missed))


def violations(r: CrashingBot, calm: Ending | None, wallet_before: Decimal, deaths: int) -> list[Found]:
    """Everything that is wrong after a script was played; ``calm`` is how it ends undisturbed (None: this is that)."""
    found = list(r.failures)
    found += _hands_off(r)
    report = verify(r.db)
    found += [("JOURNAL_VERIFIES", f"{p.table} {p.row_id}: {p.what}") for p in report.problems]
    replayed = replay(r.db)
    found += [("REPLAYS", f"{d.table} {d.id}: {d.what}") for d in replayed.differences]
    with open_store(r.db, mode="read") as store:
        found += _orders(r, store)
        found += _rest(r, store)
        found += _told(r, store, deaths)
        seen = ending(store)
        found += _books(r, store, wallet_before)
    if calm is not None:
        found += _alike(seen, calm)
    return found


def _orders(r: CrashingBot, store: Store) -> Iterator[Found]:
    state = r.venue.state
    wanted: dict[str, int] = dict(store.connection.execute(_WANTED))
    triggered = {algo.actual_order_id for algo in state.algos}
    sent = [order.client_id for order in state.orders if order.order_id not in triggered]
    sent += [algo.client_id for algo in state.algos]
    for name, count in Counter(sent).items():
        parts = parse(name)
        if parts is None or parts.leg is Leg.PROBE:
            continue
        if count > (max(1, wanted.get(name, 0)) if parts.leg is Leg.CLOSE else 1):
            yield "SENT_ONCE", f"{name} became {count} orders"
    entries: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for order in state.orders:
        parts = parse(order.client_id)
        if parts is not None and parts.leg is Leg.ENTRY:
            entries[order.symbol, parts.trade_number].add(order.client_id)
        elif parts is None and order.symbol != OTHERS and order.order_id not in triggered:
            yield "SENT_ONCE", f"{order.client_id} is an order of nobody on {order.symbol}"
    for (symbol, number), names in entries.items():
        if len(names) > 1:
            yield "SENT_ONCE", f"trade {number} of {symbol} has the entries {', '.join(sorted(names))}"


def _hands_off(r: CrashingBot) -> Iterator[Found]:
    state = r.venue.state
    if state.holding(OTHERS).quantity != Decimal("0.1"):
        yield "HANDS_OFF", f"the position in {OTHERS} is {state.holding(OTHERS).quantity}"
    order = state.orders.find(FOREIGN_ORDER)
    if order is None or not order.status.is_open:
        yield "HANDS_OFF", f"the order in {OTHERS} is no longer open"
    others = [order.client_id for order in state.orders if order.symbol == OTHERS]
    if sorted(others) != sorted((FOREIGN_POSITION, FOREIGN_ORDER)):
        yield "HANDS_OFF", f"there are orders of ours in {OTHERS}: {others}"


def _rest(r: CrashingBot, store: Store) -> Iterator[Found]:
    state = r.venue.state
    for symbol in r.stage.feeds:
        if symbol == OTHERS:
            continue
        if state.holding(symbol).quantity:
            yield "COMES_TO_REST", f"{symbol} still has a position of {state.holding(symbol).quantity}"
        open_orders = [order.client_id for order in state.orders.open(symbol)]
        open_orders += [algo.client_id for algo in state.algos.open(symbol)]
        if open_orders:
            yield "COMES_TO_REST", f"{symbol} still has orders: {', '.join(open_orders)}"
    for row in Outbox(store).pending():
        yield "COMES_TO_REST", f"intent {row.id} ({row.kind}) is still {row.status}"
    for record in queries.symbols(store):
        if record.quarantine_cause is not None:
            yield "COMES_TO_REST", f"{record.symbol} was quarantined: {record.quarantine_cause}"


def _told(r: CrashingBot, store: Store, deaths: int) -> Iterator[Found]:
    heard = Counter(REPEATED.sub("", text) for text in r.messenger.heard)
    written = Counter(text for (text,) in store.connection.execute("SELECT text FROM alerts"))
    for text, count in written.items():
        if not count <= heard[text] <= count + deaths:
            yield "TOLD", f"{text!r} was written {count} times and arrived {heard[text]} times"
    for text in heard.keys() - written.keys():
        yield "TOLD", f"{text!r} arrived and was never written"


def _books(r: CrashingBot, store: Store, wallet_before: Decimal) -> Iterator[Found]:
    trades = queries.trades(store, limit=1000)
    made = sum((t.net_pnl or Decimal(0) for t in trades), Decimal(0))
    gained = r.venue.account().wallet_balance - wallet_before
    if made != gained and not any(trade.exit_reason == "RELEASED" for trade in trades):  # what follows is the user's
        yield "BOOKS_AGREE", f"the trades made {made} and the wallet gained {gained}"
    entered = {order.client_id: order.average_price for order in r.venue.state.orders if order.executed}
    for trade in queries.trades(store, status="CLOSED", limit=1000):
        name = client_id(DATABASE_ID, trade.symbol, trade.number, Leg.ENTRY, 0, 1)
        if trade.entry_price != entered.get(name):
            yield "BOOKS_AGREE", f"{trade.id} was entered at {entered.get(name)} and is booked with {trade.entry_price}"


def _alike(seen: Ending, calm: Ending) -> Iterator[Found]:
    reasons = Counter(seen.missed) - Counter(calm.missed)
    key = _without_size if reasons else tuple
    found, wanted = Counter(map(key, seen.trades)), Counter(map(key, calm.trades))
    missing = wanted - found
    for trade in found - wanted:
        yield "ENDS_ALIKE", f"there is a trade that would not be: {trade}; undisturbed: {calm.trades}"
    if missing.total() > reasons.total():
        yield "ENDS_ALIKE", f"{missing.total()} trades are missing and {reasons.total()} rows say why"


def _without_size(trade: tuple[Any, ...]) -> tuple[Any, ...]:
    """A missed trade leaves another equity, from which later ones are sized: symbol, side, entry and reason stay."""
    symbol, side, _, entry_price, _, exit_reason, _ = trade
    return (symbol, side, entry_price, exit_reason)
