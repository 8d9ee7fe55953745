"""Prices on paper: what is told moves the account there, wicks included, and nothing happens that was not told."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.binance.codec_prices import Forming, MarkTold
from exchange.paper.world import LiveWorld, Missed
from exchange.sim.core.events import Batch
from exchange.sim.core.venue import Venue
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from exchange.types import (
    AlgoRequest,
    AlgoStatus,
    ConditionalType,
    MarginType,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
    WorkingType,
)

SYMBOL = "BTCUSDT"
T0 = 1_704_067_200_000  # 2024-01-01 00:00 UTC
MINUTE_MS = 60_000


def candle(low: str, close: str, *, high: str = "60000", minute: int = 0, opened: str = "60000") -> Forming:
    prices = {"open": Decimal(opened), "high": Decimal(high), "low": Decimal(low), "close": Decimal(close)}
    return Forming(symbol=SYMBOL, open_ms=T0 + minute * MINUTE_MS, **prices)


def mark(price: str, at_ms: int, *, rate: str = "0.0001", funding_ms: int = 0) -> MarkTold:
    return MarkTold(symbol=SYMBOL, at_ms=at_ms, price=Decimal(price), rate=Decimal(rate), funding_ms=funding_ms)


class Account:
    """A long of 0.1 BTC bought at 60,000 ten seconds into a minute, with a stop and a target."""

    def __init__(self, *, stop_depth: str = "0") -> None:
        self.venue = Venue(
            filters=shipped_filters(),
            brackets=shipped_brackets(),
            balance=Decimal(10_000),
            slippage=Decimal(0),
            stop_depth=Decimal(stop_depth),
        )
        self.venue.state.now_ms = T0
        self.world = LiveWorld(self.venue, [SYMBOL])
        self.world.hear(candle("59900", "60000"))
        self.go_on(10_000)
        self.venue.set_margin_type(SYMBOL, MarginType.ISOLATED)
        self.venue.set_leverage(SYMBOL, 5)

    def go_on(self, until_ms: int) -> list[Batch]:
        found: list[Batch] = []
        while (batch := self.world.step(T0 + until_ms)) is not None:
            found.append(batch)
        return found

    def hear(self, told: Forming | MarkTold, at_ms: int) -> list[Batch]:
        self.world.hear(told)
        return self.go_on(at_ms)

    def buy(self) -> None:
        wanted = {"type": OrderType.MARKET, "quantity": Decimal("0.1"), "client_id": "entry"}
        self.venue.place_order(OrderRequest(symbol=SYMBOL, side=Side.BUY, **wanted))  # type: ignore[arg-type]

    def rest(self, kind: ConditionalType, price: str, *, by_mark: bool = False) -> None:
        self.venue.place_algo(
            AlgoRequest(
                symbol=SYMBOL,
                side=Side.SELL,
                type=kind,
                trigger_price=Decimal(price),
                working_type=WorkingType.MARK_PRICE if by_mark else WorkingType.CONTRACT_PRICE,
                client_id=f"{kind}-{price}",
                quantity=None,
                close_position=True,
                reduce_only=False,
            )
        )

    @property
    def exits(self) -> list[tuple[Decimal, int]]:
        """Price and time (milliseconds since the beginning) of each fill after the first."""
        return [(fill.price, fill.time_ms - T0) for fill in self.venue.state.fills[1:]]


@pytest.fixture
def account() -> Account:
    found = Account()
    found.buy()
    found.rest(ConditionalType.STOP_MARKET, "59500")
    return found


def test_the_first_word_of_a_symbol_is_where_its_prices_begin(account: Account) -> None:
    assert account.venue.state.quotes[SYMBOL].last == 60_000
    assert account.venue.position(SYMBOL).entry_price == 60_000


def test_a_wick_between_two_messages_triggers_the_stop(account: Account) -> None:
    account.hear(candle("59400", "60000"), 11_000)
    assert account.exits == [(Decimal(59_500), 10_000)]


def test_a_wick_of_the_same_minute_from_before_the_order_does_not(account: Account) -> None:
    account.rest(ConditionalType.TAKE_PROFIT_MARKET, "61000")
    account.hear(candle("59400", "59600"), 11_000)
    assert len(account.exits) == 1, "the stop of the fixture went there"
    again = Account()
    again.hear(candle("59400", "60000"), 11_000)
    again.buy()
    again.rest(ConditionalType.STOP_MARKET, "59500")
    for second in range(12, 60):
        again.hear(candle("59400", "59900"), second * 1_000)
    assert again.exits == []
    again.hear(candle("59399", "59900"), 60_000)
    assert [price for price, _ in again.exits] == [Decimal(59_500)]


def test_a_stop_of_live_prices_fills_at_the_worst_of_the_movement_that_triggered_it() -> None:
    account = Account(stop_depth="0.25")
    account.buy()
    account.rest(ConditionalType.STOP_MARKET, "59500")
    account.hear(candle("59900", "59901"), 10_500)
    account.hear(candle("59450", "59460"), 11_000)
    assert account.exits == [(Decimal(59_450), 10_500)]


def test_what_is_older_than_what_is_known_is_let_pass(account: Account) -> None:
    account.hear(candle("59900", "59950", minute=1, high="60100"), 61_000)
    account.hear(candle("59000", "59950"), 62_000)
    assert account.exits == []
    assert account.venue.state.quotes[SYMBOL].last == 59_950


def test_the_mark_triggers_what_goes_by_it_and_liquidates(account: Account) -> None:
    account.rest(ConditionalType.TAKE_PROFIT_MARKET, "60500", by_mark=True)
    account.hear(mark("60400", T0 + 11_000), 11_000)
    assert account.exits == []
    account.hear(mark("60500", T0 + 12_000), 12_000)
    assert account.exits == [(Decimal(60_000), 11_000)]


def test_funding_is_settled_at_its_time_by_the_newest_rate_that_was_told(account: Account) -> None:
    account.hear(mark("60000", T0 + 11_000, rate="0.0005", funding_ms=T0 + 30_000), 11_000)
    account.hear(mark("60000", T0 + 29_000, rate="0.0001", funding_ms=T0 + 30_000), 29_000)
    account.go_on(31_000)
    (paid,) = [row for row in account.venue.income() if row.income_type == "FUNDING_FEE"]
    assert (paid.income, paid.time_ms) == (Decimal("-0.6"), T0 + 30_000)
    account.go_on(90_000)
    assert len([row for row in account.venue.income() if row.income_type == "FUNDING_FEE"]) == 1


def missed(*candles: Forming, rates: dict[int, Decimal] | None = None) -> dict[str, Missed]:
    return {SYMBOL: Missed(candles=candles, rates=rates or {})}


def test_what_nobody_heard_is_walked_at_the_times_at_which_it_happened(account: Account) -> None:
    """Of three minutes the second one has a wick to the stop, and everything after it meets a flat account."""
    account.world.catch_up(
        missed(
            candle("59900", "59950"),
            candle("59400", "59900", opened="59950", minute=1),
            candle("59000", "59100", opened="59900", minute=2),
        ),
        T0 + 170_000,
    )
    account.go_on(170_000)
    ((price, at_ms),) = account.exits
    assert price == Decimal(59_500)
    assert MINUTE_MS <= at_ms < 2 * MINUTE_MS
    assert account.venue.now_ms == T0 + 170_000


def test_the_part_of_a_minute_that_was_lived_is_not_lived_again() -> None:
    """Its low was there before the order; only a lower one is news."""
    account = Account()
    account.hear(candle("59400", "60000"), 20_000)
    account.buy()
    account.rest(ConditionalType.STOP_MARKET, "59500")
    account.world.catch_up(missed(candle("59400", "59800"), candle("59700", "59800", minute=1)), T0 + 80_000)
    account.go_on(80_000)
    assert account.exits == []


def test_a_settlement_in_the_gap_takes_the_position_of_its_time(account: Account) -> None:
    """The stop is hit a minute after it; the rate is the recorded one, not what was told before the line went down."""
    at_ms = T0 + MINUTE_MS
    account.hear(mark("60000", T0 + 11_000, rate="0.0005", funding_ms=at_ms), 11_000)
    account.world.catch_up(
        missed(
            candle("59900", "60000"),
            candle("59900", "60000", minute=1),
            candle("59400", "59900", minute=2),
            rates={at_ms: Decimal("0.0002")},
        ),
        T0 + 170_000,
    )
    account.go_on(170_000)
    (paid,) = [row for row in account.venue.income() if row.income_type == "FUNDING_FEE"]
    assert (paid.income, paid.time_ms) == (Decimal("-1.2"), at_ms)
    assert len(account.exits) == 1


def test_a_resting_limit_order_fills_in_a_wick_at_its_own_price() -> None:
    account = Account()
    account.venue.place_order(
        OrderRequest(
            symbol=SYMBOL,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=Decimal("0.1"),
            price=Decimal(59_800),
            client_id="rests",
        )
    )
    account.hear(candle("59750", "59990"), 11_000)
    assert [(fill.price, fill.maker) for fill in account.venue.state.fills] == [(Decimal(59_800), True)]


def test_time_alone_triggers_nothing_and_never_goes_back(account: Account) -> None:
    assert account.go_on(50_000) == []
    account.world.step(T0)
    assert account.venue.now_ms == T0 + 50_000
    (stop,) = account.venue.open_algos(SYMBOL)
    assert stop.status is AlgoStatus.NEW
