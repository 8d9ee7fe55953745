"""What transitions mean for trades, positions, orders and intents, through a trade's whole life."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.sim.core.reasons import refused
from exchange.types import Confirmed, Outcome, Unknown
from fsm.core.model.intents import CancelAlgo, CancelEntry, Intent, SweepOrders
from fsm.core.model.records import Flag, State, SymbolRecord
from fsm.journal.engine_journal import StoredEngineJournal
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.models import Order, Position, Trade
from store.projections import project, project_account
from store.rows import OrderEnd, OrderUpdate, PositionMark
from store.verify import verify


def statuses(store: Store) -> dict[str, str]:
    every = ("PENDING", "OPEN", "CLOSED", "ABANDONED")
    return {trade.id: trade.status for status in every for trade in queries.trades(store, status=status)}


def test_a_trade_is_pending_then_open_then_closed(store: Store, journal: Journal, story: Any) -> None:
    seen = []
    for row in story.round_trip("BTCUSDT", 1, story.start):
        journal.commit(Batch(transitions=[row]))
        seen.append(statuses(store)["BTCUSDT-1"])
    assert seen == ["PENDING", "PENDING", "OPEN", "OPEN", "OPEN", "CLOSED"]
    trade = queries.trade(store, "BTCUSDT-1")
    assert trade is not None
    assert (trade.regime_at_entry, trade.strategy_used, trade.exit_reason) == ("TREND", "trend_pullback", "TARGET")
    assert (trade.net_pnl, trade.fees, trade.funding) == (Decimal("114.9"), Decimal("5.0"), Decimal("-0.1"))
    assert trade.r == Decimal("114.9") / Decimal("120.5")
    assert (trade.entry_price, trade.exit_price, trade.adopted) == (Decimal("42001.00"), Decimal("43000.00"), False)
    assert trade.transition_id == 6


def test_a_plan_that_came_to_nothing_is_kept_as_abandoned_and_not_shown_among_trades(
    store: Store, journal: Journal, story: Any
) -> None:
    journal.commit(Batch(transitions=[story.signalled("BTCUSDT", 1, story.start)]))
    journal.commit(Batch(transitions=[story.dropped("BTCUSDT", 1, story.start + 1)]))
    assert statuses(store) == {"BTCUSDT-1": "ABANDONED"}
    assert queries.trades(store) == []
    assert queries.trades_count(store) == 0


def test_a_position_is_there_while_the_trade_holds_any_and_remembers_its_stop(
    store: Store, journal: Journal, story: Any
) -> None:
    held = []
    for row in story.round_trip("BTCUSDT", 1, story.start):
        journal.commit(Batch(transitions=[row]))
        held.append([position.size for position in queries.positions(store)])
    assert held == [[], [], [Decimal("0.120")], [Decimal("0.120")], [Decimal("0.120")], []]


def test_marks_belong_to_one_position_and_do_not_outlive_it(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    mark = PositionMark(
        symbol="BTCUSDT",
        mark=Decimal("42500.10"),
        upnl=Decimal("-59.9"),
        liquidation_price=None,
        isolated_wallet=Decimal("2520.5"),
        updated_ms=9,
    )
    journal.commit(Batch(marks=[mark]))
    assert queries.positions(store) == []
    first, second = (story.round_trip("BTCUSDT", number, story.start + number) for number in (1, 2))
    journal.commit(Batch(transitions=first[:3], marks=[mark]))
    (position,) = queries.positions(store)
    assert (position.mark, position.upnl, position.liquidation_price) == (Decimal("42500.10"), Decimal("-59.9"), None)
    assert (position.stop_price, position.trade_id) == (Decimal("41000.10"), "BTCUSDT-1")
    journal.commit(Batch(transitions=first[3:4]))
    assert queries.positions(store)[0].mark == Decimal("42500.10")
    journal.commit(Batch(transitions=[*first[4:], *second[:3]]))
    (position,) = queries.positions(store)
    assert (position.trade_id, position.mark, position.updated_ms) == ("BTCUSDT-2", None, None)
    assert verify(path).problems == ()


def test_orders_are_known_from_their_intent_on_and_follow_what_the_exchange_says(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    rows = story.round_trip("BTCUSDT", 1, story.start)
    journal.commit(Batch(transitions=rows[:3]))
    by_purpose = {order.purpose: order for order in queries.orders(store, trade_id="BTCUSDT-1")}
    assert set(by_purpose) == {"PlaceEntry", "PlaceStop", "PlaceTarget"}
    stop = by_purpose["PlaceStop"]
    assert (stop.family, stop.type, stop.trigger_price) == ("ALGO", "STOP_MARKET", Decimal("41000.10"))
    assert (stop.close_position, stop.quantity, stop.status, stop.order_id) == (True, None, "INTENDED", None)
    entry = by_purpose["PlaceEntry"]
    assert (entry.family, entry.quantity, entry.reduce_only) == ("ORDER", Decimal("0.120"), False)
    update = OrderUpdate(
        client_order_id=stop.client_order_id,
        order_id=4_611_686_018_427_387_904,
        status="NEW",
        executed_quantity=Decimal(0),
        average_price=None,
        updated_ms=7,
    )
    foreign = replace(update, client_order_id="somebody-else")
    journal.commit(Batch(order_updates=[update, foreign]))
    (found,) = [order for order in queries.open_orders(store) if order.purpose == "PlaceStop"]
    assert (found.order_id, found.status, found.updated_ms) == (4_611_686_018_427_387_904, "NEW", 7)
    again = replace(rows[2], trigger="reprotect", at_ms=story.start + 9)
    journal.commit(Batch(transitions=[again]))
    (found,) = [order for order in queries.open_orders(store) if order.purpose == "PlaceStop"]
    assert (found.status, found.transition_id, found.created_ms) == ("NEW", 4, story.start + 9)
    assert len(queries.orders(store)) == 3
    assert verify(path).problems == ()


CANCELLED, REJECTED = Confirmed(), refused(code=-2021, message="would trigger at once")


@pytest.mark.parametrize(
    ("purpose", "kind", "outcome", "status"),
    [
        ("PlaceStop", "CancelAlgo", CANCELLED, "CANCELED"),
        ("PlaceTarget", "SweepOrders", CANCELLED, "CANCELED"),
        ("PlaceEntry", "CancelEntry", CANCELLED, "CANCELED"),
        ("PlaceStop", "PlaceStop", REJECTED, "REJECTED"),
        ("PlaceTarget", "PlaceTarget", None, "DROPPED"),
        ("PlaceStop", "CancelAlgo", REJECTED, "INTENDED"),
        ("PlaceStop", "CancelAlgo", Unknown("no answer"), "INTENDED"),
    ],
)
def test_an_order_whose_end_follows_from_an_answer_is_no_longer_told_as_open(
    store: Store, journal: Journal, story: Any, purpose: str, kind: str, outcome: Outcome | None, status: str
) -> None:
    """A cancelled conditional order is answered without a status; readers then saw it as open for ever."""
    rows = story.round_trip("BTCUSDT", 1, story.start)
    journal.commit(Batch(transitions=rows[:3]))
    order = next(order for order in queries.orders(store) if order.purpose == purpose)
    cancels: dict[str, Intent] = {
        "CancelAlgo": CancelAlgo(symbol="BTCUSDT", client_id=order.client_order_id),
        "CancelEntry": CancelEntry(symbol="BTCUSDT", client_id=order.client_order_id),
        "SweepOrders": SweepOrders(symbol="BTCUSDT", client_ids=(order.client_order_id,)),
    }
    (asked,) = (i for i in queries.intents(store, order.transition_id) if i.client_id == order.client_order_id)
    intent = cancels.get(kind) or msgspec.json.decode(asked.payload_json, type=Intent)
    StoredEngineJournal(journal, rules_hash="r", config_hash="c").settle(asked.id, intent, outcome, 99)
    (found,) = [each for each in queries.orders(store) if each.client_order_id == order.client_order_id]
    assert found.status == status
    assert (found in queries.open_orders(store)) is (status == "INTENDED")


def test_an_order_that_has_ended_keeps_its_end(store: Store, journal: Journal, story: Any) -> None:
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)[:3]))
    name = queries.orders(store)[0].client_order_id
    filled = OrderUpdate(
        client_order_id=name,
        order_id=1,
        status="FILLED",
        executed_quantity=Decimal(1),
        average_price=None,
        updated_ms=5,
    )
    journal.commit(Batch(order_updates=[filled]))
    journal.commit(Batch(order_ends=[OrderEnd(client_order_id=name, status="CANCELED", updated_ms=9)]))
    (found,) = [order for order in queries.orders(store) if order.client_order_id == name]
    assert (found.status, found.updated_ms) == ("FILLED", 5)


def test_an_order_that_is_told_as_over_still_matches_its_hash(
    path: Path, store: Store, journal: Journal, story: Any
) -> None:
    """Found by torture, seed 11: every cancelled order made `audit verify` report damage, which blocks entries."""
    journal.commit(Batch(transitions=story.round_trip("BTCUSDT", 1, story.start)[:3]))
    (name, *_) = [order.client_order_id for order in queries.open_orders(store)]
    journal.commit(Batch(order_ends=[OrderEnd(client_order_id=name, status="CANCELED", updated_ms=9)]))
    assert verify(path).problems == ()


def test_halt_quarantine_and_pause_are_read_off_the_record(store: Store, journal: Journal, story: Any) -> None:
    """R50: they are part of the journalled record, so a restart finds them."""
    record = SymbolRecord(
        symbol="BTCUSDT",
        state=State.HALT,
        halt=Flag("OPERATOR", 5),
        quarantine=Flag("FOREIGN_ORDER", 6),
        paused=True,
        trades_opened=3,
    )
    journal.commit(Batch(transitions=[story.transition(record, "halt", "IDLE", 5)]))
    symbol = queries.symbol(store, "BTCUSDT")
    assert symbol is not None
    assert (symbol.state, symbol.halt_cause, symbol.halt_since_ms) == ("HALT", "OPERATOR", 5)
    assert (symbol.quarantine_cause, symbol.quarantine_since_ms) == ("FOREIGN_ORDER", 6)
    assert (symbol.paused, symbol.trades_opened) == (True, 3)
    assert msgspec.json.decode(symbol.record_json, type=SymbolRecord) == record


def test_amounts_are_plain_decimal_text_however_they_were_written(store: Store, journal: Journal, story: Any) -> None:
    trade = replace(
        story.filled_trade("BTCUSDT", 1, story.start), quantity=Decimal("1E+3"), realized_pnl=Decimal("1E-8")
    )
    record = SymbolRecord(symbol="BTCUSDT", state=State.ENTERING, trade=trade)
    journal.commit(Batch(transitions=[story.transition(record, "fill", "ENTERING", 5)]))
    stored = store.connection.execute("SELECT quantity, pnl, entry_price FROM trades").fetchall()
    assert stored == [("1000", "0.00000001", "42001.00")]


def test_an_engine_may_name_its_intents_itself(store: Store, journal: Journal, story: Any) -> None:
    row = story.signalled("BTCUSDT", 1, story.start)
    effect = msgspec.json.decode(row.effect_json)
    effect["intents"][0]["id"] = "own-name"
    journal.commit(Batch(transitions=[replace(row, effect_json=msgspec.json.encode(effect).decode())]))
    assert [intent.id for intent in queries.intents(store, 1)] == ["own-name"]


def test_projecting_is_pure_and_says_what_changes(story: Any) -> None:
    fill = replace(story.round_trip("BTCUSDT", 1, story.start)[2], id=3)
    changes = project(fill)
    assert changes == project(fill)
    assert [(change.model, change.key) for change in changes if change.model in (Trade, Position)] == [
        (Trade, "BTCUSDT-1"),
        (Position, "BTCUSDT"),
    ]
    assert [change.key for change in changes if change.model is Order] == ["f0-BTCUSDT-1-S1.1", "f0-BTCUSDT-1-T1.1"]
    assert project_account(story.event(1)) == []


@pytest.mark.parametrize("effect", ["", "[]", '{"intents":[]}', '{"record":{"symbol":"BTCUSDT"}}'])
def test_an_effect_of_another_shape_is_refused(story: Any, effect: str) -> None:
    row = replace(story.signalled("BTCUSDT", 1, story.start), effect_json=effect)
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        project(row)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), flush_every=st.sampled_from([1, 3, 50]))
def test_any_interleaving_of_symbols_verifies(
    tmp_path_factory: pytest.TempPathFactory, story: Any, seed: int, flush_every: int
) -> None:
    """Invariant 6: replaying the journal gives the projections, bit for bit, in whatever order things happened."""
    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("any") / "bot.sqlite"
    scripts = {
        symbol: [row for number in (1, 2, 3) for row in story.round_trip(symbol, number, story.start + number)]
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    }
    with open_store(path, mode="write") as store, Journal(store, "run", flush_every=flush_every) as journal:
        for _ in range(chance.randrange(1, 54)):
            symbol = chance.choice([name for name, rows in scripts.items() if rows])
            batch = Batch(transitions=[scripts[symbol].pop(0)])
            if chance.random() < 0.3:
                batch.decisions.append(story.decision(symbol, story.start, chance.choice(["SIGNAL", "NO_SETUP"])))
            if chance.random() < 0.3:
                batch.system_events.append(story.account_event(story.start))
            journal.commit(batch)
    assert verify(path).problems == ()
