"""A market's candles: fed in turns with whatever else the process has to do, and again under other rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from fsm.live.trading.market import CANDLES_A_TURN, Market
from fsm.live.trading.others_candles import OthersCandles
from fsm.proofs.testkit.scripted_market import RULES, START_MS, quiet
from rules.compiled_rules import CompiledRules
from rules.load import parse_rules
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.rows import AnchorRow, CandleRow

HOUR_MS = 3_600_000
HOURS = 2_000
SYMBOL = "BTCUSDT"
SLOW = "  close_1h: {indicator: close, timeframe: 1h}\n  slow_1h: {indicator: ema, timeframe: 1h, period: 50}\n"
OTHER_RULES = RULES.replace("  close_1h: {indicator: close, timeframe: 1h}\n", SLOW).replace(
    "close_1h > 1.008 * open_1h", "close_1h > slow_1h"
)


def rules_of(text: str = RULES) -> CompiledRules:
    return parse_rules(text, "rules of a test").for_symbol(SYMBOL)


def market_of(rules: CompiledRules) -> Market:
    return Market(SYMBOL, rules, others=OthersCandles(lambda: 0), candles_min=20, history_candles=HOURS)


def keep(store: Store, first: int, last: int, *, anchor_ms: int | None = None) -> None:
    """Hours ``first``..``last`` of a market that hardly moves, as a bot keeps them."""
    rows = [
        CandleRow(
            symbol=SYMBOL,
            timeframe="1h",
            open_time_ms=START_MS + number * HOUR_MS,
            open=hour[0],
            high=hour[1],
            low=hour[2],
            close=hour[3],
            volume=1_000.0,
        )
        for number, hour in enumerate(quiet(60_000.0, last))
        if number >= first
    ]
    anchors = [] if anchor_ms is None else [AnchorRow(symbol=SYMBOL, timeframe="1h", first_ms=anchor_ms)]
    Journal(store, "test0001").commit(Batch(candles=rows, anchors=anchors))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "bot.sqlite", mode="write") as opened:
        opened.bind(environment="sim", account="test", at_ms=0)
        keep(opened, 0, HOURS, anchor_ms=START_MS)
        yield opened


async def turns_beside(work: Callable[[], Awaitable[object]]) -> int:
    """How often another task had its turn while this one worked."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    await work()
    beside.cancel()
    return turns


def test_a_start_that_feeds_thousands_of_candles_lets_those_who_protect_have_their_turns(store: Store) -> None:
    market = market_of(rules_of())
    turns = asyncio.run(turns_beside(lambda: market.restore(store, "")))
    assert market.candle_ms == START_MS + (HOURS - 1) * HOUR_MS
    assert turns >= HOURS / CANDLES_A_TURN


def test_other_rules_read_the_candles_beside_the_old_ones_which_work_on_meanwhile(store: Store) -> None:
    market = market_of(rules_of())
    asyncio.run(market.restore(store, ""))
    facts, stream_hour = market.facts(), market.candle_ms

    async def script() -> Market:
        other = rules_of(OTHER_RULES)
        found: list[Market] = []

        async def build() -> None:
            found.append(await market.under(other, store))

        assert await turns_beside(build) >= HOURS / CANDLES_A_TURN
        return found[0]

    other = asyncio.run(script())
    assert (market.facts(), market.candle_ms) == (facts, stream_hour)
    regime = market.regime
    keep(store, HOURS, HOURS + 1)  # a candle closes between building and taking over
    market.become(other, store)
    assert market.facts().keys() > facts.keys()
    assert market.candle_ms == START_MS + HOURS * HOUR_MS, "what closed meanwhile is not lost"
    assert market.regime == regime, "how the regime is told did not change"
    fresh = market_of(other.rules)
    asyncio.run(fresh.restore(store, ""))
    assert market.facts() == fresh.facts()


THRESHOLD = RULES.replace("1.008", "1.02")


@pytest.mark.parametrize(
    ("changed", "alike"),
    [
        (RULES, True),
        (THRESHOLD, True),
        (OTHER_RULES, False),
        (RULES.replace("close_1h > 1.008 * open_1h", "close_1h > 1.008 * open_1h[1]"), False),
        (RULES.replace("open_1h: {indicator: open,", "open_1h: {indicator: high,"), False),
    ],
)
def test_rules_read_alike_when_they_read_the_same_values_whatever_they_make_of_them(changed: str, alike: bool) -> None:
    assert rules_of().reads_as(rules_of(changed)) is alike
    assert rules_of(changed).reads_as(rules_of()) is alike


def test_other_rules_that_read_the_same_go_on_with_what_was_read(store: Store) -> None:
    """R49: as if the bot had been started with them; the regime's counters begin again only where it is told anew."""
    market = market_of(rules_of())
    asyncio.run(market.restore(store, ""))
    regime, other = market.regime, rules_of(THRESHOLD)
    market.follow(other)
    assert market.rules is other
    assert market.regime == regime
    market.follow(rules_of(RULES.replace("confirmations: 1", "confirmations: 2")))
    assert market.regime == regime.restarted() != regime
    market.follow(other)
    fresh = market_of(other)
    asyncio.run(fresh.restore(store, ""))
    assert (market.facts(), market.candle_ms) == (fresh.facts(), fresh.candle_ms)


def test_a_hole_that_opens_while_other_rules_are_prepared_is_no_reason_to_stop_half_way(store: Store) -> None:
    """The rules of the other symbols are exchanged by then: this one's must be too."""
    market = market_of(rules_of())
    asyncio.run(market.restore(store, ""))
    other = asyncio.run(market.under(rules_of(OTHER_RULES), store))
    behind_ms = START_MS + (HOURS + 3) * HOUR_MS
    keep(store, HOURS + 3, HOURS + 4, anchor_ms=behind_ms)
    market.become(other, store)
    assert market.candle_ms == behind_ms
    assert market.rules is other.rules
