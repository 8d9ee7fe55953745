"""No entry without the means to leave: what a book and a budget must have before a position may be opened."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from decimal import Decimal

import pytest
from msgspec.structs import replace

from exchange.binance.limits import Ask, Budget
from exchange.binance.turns import Turns
from exchange.binance.windows import Window, Windows
from exchange.priority import Priority
from exchange.types import Book, Confirmed, Level, OrderType, Room
from fsm.core.means import ORDERS_A_TRADE, with_means_to_leave
from fsm.core.model.decision import failed
from fsm.core.model.events import Means, SetupEnded
from fsm.core.model.intents import PlaceEntry
from fsm.core.model.records import State, Trade
from fsm.live.context.clock import MachineClock
from fsm.live.operator.wording import because
from tests.unit.fsm.core.parts import HOUR_MS, NO_MONEY, SYMBOL, T0, candle, prices_at, setting_with
from tests.unit.fsm.core.stage import Stage

PLENTY = Room(orders=300, looks=200)
LAST = Decimal(60_000)
CONTEXT = setting_with()


def book(*, bids: str = "59995:100", asks: str = "60005:100") -> Book:
    """Levels as PRICE:QUANTITY, the best first."""

    def side(text: str) -> tuple[Level, ...]:
        pairs = (level.split(":") for level in text.split())
        return tuple(Level(Decimal(price), Decimal(quantity)) for price, quantity in pairs)

    return Book(symbol=SYMBOL, bids=side(bids), asks=side(asks))


def signalled(**policy: object) -> Stage:
    stage = Stage(**policy)
    stage.engine.close_candle(candle(at_ms=stage.now_ms))
    assert stage.engine.record(SYMBOL).state is State.SIGNALLED
    return stage


def answered(stage: Stage, found: Book, room: Room = PLENTY) -> Stage:
    means = Means(room=room, book=found)
    event = SetupEnded(
        symbol=SYMBOL, at_ms=stage.now_ms, outcome=Confirmed(), prices=prices_at("60000", None), means=means
    )
    stage.tell(event)
    return stage


def entry_of(stage: Stage) -> PlaceEntry:
    return next(intent for intent in stage.sent if isinstance(intent, PlaceEntry))


class TestTheBook:
    def test_that_takes_it_leaves_the_entry_as_it_is(self) -> None:
        stage = answered(signalled(), book())
        assert entry_of(stage).request.type is OrderType.MARKET
        assert stage.reasons[1:3] == ["enter SETUP_READY", "fill FIRST_FILL"]

    def test_with_too_thin_an_offer_makes_it_a_limit_at_the_worst_price_that_is_allowed(self) -> None:
        """The middle is 60,000, and 0.3 % beyond it 60,180; never for more risk than was planned."""
        stage = signalled()
        planned = stage.trade
        answered(stage, book(asks="60005:0.001 60500:100"))
        request = entry_of(stage).request
        assert (request.type, request.price) == (OrderType.LIMIT, Decimal("60180.0"))
        assert request.good_till_ms == stage.now_ms + HOUR_MS
        risk = request.quantity * (request.price - planned.stop_price_initial)
        assert Decimal(0) < risk <= planned.risk_usdt
        assert request.quantity < planned.quantity

    @pytest.mark.parametrize(
        ("found", "why"),
        [
            (book(bids="59995:0.001"), "BOOK_CLOSE"),
            (book(bids="59995:0.001 59000:100"), "BOOK_CLOSE"),
            (book(bids="59800:100", asks="60200:100"), "BOOK_CLOSE"),
            (book(bids=""), "BOOK_CLOSE"),
            (book(asks=""), "BOOK_CLOSE"),
        ],
        ids=["nobody buys so much", "only far below", "a wide spread", "nobody buys", "nobody sells"],
    )
    def test_that_would_not_take_the_close_forbids_the_entry(self, found: Book, why: str) -> None:
        stage = answered(signalled(), found)
        assert stage.reasons[-1] == f"drop {why}"
        assert not any(isinstance(intent, PlaceEntry) for intent in stage.sent)
        assert "order book" in because(why)

    def test_goes_on_behind_the_last_level_that_is_shown(self) -> None:
        """A hundred levels are asked for, and some exchanges show five: that is no word about the rest."""
        near = " ".join(f"{59_995 - number}:0.001" for number in range(5))
        assert answered(signalled(), book(bids=near)).reasons[-1] == "protect STOP_CONFIRMED"
        far = " ".join(f"{59_995 - 50 * number}:0.001" for number in range(5))
        assert answered(signalled(), book(bids=far)).reasons[-1] == "drop BOOK_CLOSE"

    def test_is_asked_for_the_close_of_a_limit_entry_too(self) -> None:
        stage = answered(signalled(entry_type=OrderType.LIMIT), book(asks="60005:0.001"))
        assert entry_of(stage).request.type is OrderType.LIMIT
        stage = answered(signalled(entry_type=OrderType.LIMIT), book(bids="59995:0.001"))
        assert stage.reasons[-1] == "drop BOOK_CLOSE"

    def test_config_says_how_much_it_may_cost(self) -> None:
        wide = book(bids="59800:100", asks="60200:100")
        assert entry_of(answered(signalled(book_slippage_pct_max=Decimal(1)), wide)).request.type is OrderType.MARKET

    def test_rows_from_before_it_was_read_are_decided_as_they_were(self) -> None:
        stage = signalled()
        event = SetupEnded(symbol=SYMBOL, at_ms=stage.now_ms, outcome=Confirmed(), prices=prices_at("60000", None))
        stage.tell(event)
        assert entry_of(stage).request.type is OrderType.MARKET


class TestTheBudget:
    @pytest.mark.parametrize(
        ("room", "why"),
        [
            (Room(orders=2, looks=100), "ORDER_BUDGET"),
            (Room(orders=100, looks=1), "LOOK_BUDGET"),
            (Room(orders=100, looks=100, waiting=1), "PROTECTION_WAITS"),
        ],
    )
    def test_that_does_not_hold_its_stop_and_its_close_forbids_the_entry(self, room: Room, why: str) -> None:
        stage = answered(signalled(), book(), room)
        assert stage.reasons[-1] == f"drop {why}"
        assert "_" not in because(why)

    def test_an_exchange_that_counts_nothing_has_room(self) -> None:
        assert entry_of(answered(signalled(), book(), Room()))

    def test_entries_that_are_out_already_may_still_need_theirs(self) -> None:
        trade, money = signalled().trade, replace(NO_MONEY, entering=2)
        for orders, allowed in ((3 * ORDERS_A_TRADE, True), (3 * ORDERS_A_TRADE - 1, False)):
            assert (refusal(trade, Room(orders=orders), money.entering) is None) is allowed

    def test_of_a_thousand_entries_none_leaves_that_could_not_be_protected_and_closed(self) -> None:
        """With the client's own counting, at limits so tight that most are refused: whatever leaves could, at that
        moment, get its stop and its close, beside those of every other entry that is out."""
        told: Counter[str] = Counter()
        asyncio.run(_thousand(random.Random(1), told))
        print(told)
        assert told["entered"] > 100
        assert told["ORDER_BUDGET"] > 50
        assert told["LOOK_BUDGET"] > 50
        assert sum(told.values()) == 1_000


def refusal(trade: Trade, room: Room, entering: int) -> str | None:
    event = SetupEnded(
        symbol=SYMBOL,
        at_ms=T0,
        outcome=Confirmed(),
        prices=prices_at("60000", None),
        means=Means(room=room, book=book()),
    )
    _, guards = with_means_to_leave(trade, event, replace(NO_MONEY, entering=entering), CONTEXT)
    refused = failed(guards)
    return None if refused is None else refused.name


LOOK = 12
ENTRY = Ask(priority=Priority.TRADE, orders=1, opens=True)
STOP, CLOSE = Ask(priority=Priority.COVER, orders=1), Ask(priority=Priority.NAKED, orders=1)
SEEN = Ask(priority=Priority.LOOK, weight=LOOK)


async def _thousand(draw: random.Random, told: Counter[str]) -> None:
    trade, now_ms = signalled().trade, T0
    windows = Windows(
        [Window("ORDERS", 10_000, 14), Window("ORDERS", 60_000, 60), Window("REQUEST_WEIGHT", 60_000, 400)]
    )
    budget = Budget(windows=windows)
    turns = Turns(budget, MachineClock(), lambda: now_ms)
    out: list[int] = []  # when each entry that is out will have its stop
    for _ in range(1_000):
        now_ms += draw.randrange(0, 3_000)
        out = [until_ms for until_ms in out if until_ms > now_ms]
        if draw.random() < 0.5:
            windows.wait_ms(now_ms, weight=0, orders=0, ceiling_pct=100)
            windows.book(weight=draw.randrange(0, 40), orders=draw.randrange(0, 2))
        refused = refusal(trade, turns.room(LOOK), len(out))
        if refused is None and budget.wait(ENTRY, now_s=0, now_ms=now_ms).ms:
            refused = "WAITS"
        told[refused or "entered"] += 1
        if refused is not None:
            continue
        budget.book(ENTRY, 0)
        out.append(now_ms + draw.randrange(0, 4_000))
        owed = [STOP, CLOSE, SEEN] * len(out)
        for ask in owed:
            assert budget.wait(ask, now_s=0, now_ms=now_ms).ms == 0
            budget.book(ask, 0)
        for ask in owed:
            windows.give_back(weight=ask.weight, orders=ask.orders)
