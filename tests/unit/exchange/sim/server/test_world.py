"""Stepping the server's world gives, to the last digit, what a backtest gets from the same candles."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.candle_files import CandleFolders
from exchange.errors import Refusal
from exchange.sim.core.events import Batch
from exchange.sim.core.venue import Venue
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.price_walk import PriceWalk
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters, shipped_folder
from exchange.sim.server.world import World
from exchange.types import AlgoRequest, ConditionalType, Fill, OrderRequest, OrderType, Side, WorkingType

SYMBOLS = ("BTCUSDT", "SOLUSDT")
START_MS = 1_709_251_200_000  # 2024-03-01, a lively month
HOURS = 24 * 20
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def feeds() -> dict[str, SymbolFeed]:
    folders = CandleFolders((shipped_folder(),))
    return {symbol: SymbolFeed.read(folders, symbol) for symbol in SYMBOLS}


def new_venue() -> Venue:
    return Venue(filters=shipped_filters(), brackets=shipped_brackets(), balance=Decimal(100_000))


class Player:
    """Enters every few hours, protects what it holds at once, and takes what comes."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._made = 0

    def name(self) -> str:
        self._made += 1
        return f"p-{self._made}"

    def decide(self, hour: int) -> None:
        for number, symbol in enumerate(SYMBOLS):
            if (hour + number) % 5 == 0 and not self.venue.state.holding(symbol).quantity:
                self._enter(symbol, Side.BUY if (hour // 5) % 2 else Side.SELL, limit=bool(hour % 2))

    def answer(self, batch: Batch) -> None:
        del batch
        for symbol in SYMBOLS:
            held = self.venue.state.holding(symbol)
            if held.quantity and held.side is not None and not self.venue.state.algos.open(symbol):
                for kind, sign in ((ConditionalType.STOP_MARKET, -1), (ConditionalType.TAKE_PROFIT_MARKET, 1)):
                    self._close_at(
                        symbol, held.side, kind, held.entry_price * (1 + held.side.sign * sign * Decimal("0.012"))
                    )

    def _enter(self, symbol: str, side: Side, *, limit: bool) -> None:
        filters, quote = self.venue.state.filters[symbol], self.venue.state.quotes[symbol]
        price = quote.last * (1 - side.sign * Decimal("0.002"))
        order = OrderRequest(
            symbol=symbol,
            side=side,
            type=OrderType.LIMIT if limit else OrderType.MARKET,
            quantity=filters.floor_quantity(Decimal(2_000) / quote.last, market=True),
            price=price // filters.tick_size * filters.tick_size if limit else None,
            client_id=self.name(),
        )
        self.venue.cancel_all_orders(symbol)
        self.venue.place_order(order)

    def _close_at(self, symbol: str, side: Side, kind: ConditionalType, price: Decimal) -> None:
        tick = self.venue.state.filters[symbol].tick_size
        request = AlgoRequest(
            symbol=symbol,
            side=side.opposite,
            type=kind,
            trigger_price=price // tick * tick,
            working_type=WorkingType.MARK_PRICE,
            client_id=self.name(),
            close_position=True,
        )
        try:
            self.venue.place_algo(request)
        except Refusal as refusal:
            assert refusal.code == -2021  # noqa: PT017 - the price is beyond it already


def play_as_a_backtest(feeds: dict[str, SymbolFeed]) -> tuple[list[Fill], Decimal]:
    venue = new_venue()
    player = Player(venue)
    walk: PriceWalk | None = None
    for hour in range(HOURS):
        now_ms = START_MS + hour * HOUR_MS
        if walk is not None:
            for batch in walk.run(now_ms):
                player.answer(batch)
        for symbol, feed in feeds.items():
            rate = feed.funding(now_ms)
            if rate is not None:
                venue.settle_funding(symbol, rate, now_ms)
        venue.drain()
        walk = PriceWalk(
            venue, {symbol: bar for symbol, feed in feeds.items() if (bar := feed.bar(now_ms)) is not None}
        )
        for batch in walk.open():
            player.answer(batch)
        player.decide(hour)
        player.answer(())
    return venue.state.fills, venue.account().equity


def play_as_a_stepped_client(feeds: dict[str, SymbolFeed]) -> tuple[list[Fill], Decimal]:
    venue = new_venue()
    world = World.begin(venue, feeds, START_MS)
    player = Player(venue)
    for hour in range(HOURS):
        now_ms = START_MS + hour * HOUR_MS
        while (batch := world.step(now_ms)) is not None:
            player.answer(batch)
        player.decide(hour)
        player.answer(())
        venue.drain()
    return venue.state.fills, venue.account().equity


def test_a_stepped_client_gets_the_fills_of_a_backtest(feeds: dict[str, SymbolFeed]) -> None:
    expected, equity = play_as_a_backtest(feeds)
    fills, same = play_as_a_stepped_client(feeds)
    assert len(expected) > 100
    assert fills == expected
    assert same == equity


def test_without_orders_time_passes_the_same_in_one_step_or_in_many(feeds: dict[str, SymbolFeed]) -> None:
    one, many = (World.begin(new_venue(), feeds, START_MS) for _ in range(2))
    closes: list[int] = []
    many.on_close = closes.append
    end_ms = START_MS + 30 * HOUR_MS + 1_234_567
    assert one.step(end_ms) is None
    for at_ms in range(START_MS, end_ms, 777_777):
        assert many.step(at_ms) is None
    assert many.step(end_ms) is None
    assert one.now_ms == many.now_ms == end_ms
    assert closes == [START_MS + hour * HOUR_MS for hour in range(1, 31)]
    for symbol in SYMBOLS:
        assert abs(one.venue.state.quotes[symbol].last - many.venue.state.quotes[symbol].last) < Decimal("1E-6")


def test_a_world_begins_in_the_middle_of_an_hour(feeds: dict[str, SymbolFeed]) -> None:
    world = World.begin(new_venue(), feeds, START_MS + 1_500_000)
    assert world.now_ms == START_MS + 1_500_000
    assert world.bar_ms == START_MS
    bar = world.bar("BTCUSDT")
    assert bar is not None
    assert bar[0].last.low <= world.venue.state.quotes["BTCUSDT"].last <= bar[0].last.high
