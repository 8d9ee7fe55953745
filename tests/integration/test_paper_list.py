"""Symbols by a rule on paper: the list of the day is made of what the real exchange tells, by its clock and without a
key; what enters warms up, what leaves keeps its trade to its end."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from fsm.core.model.policy import ListRule
from fsm.journal import symbol_lists
from fsm.journal.replay import replay
from fsm.journal.symbol_lists import KIND, SymbolList
from indicators.candle import Timeframe
from store import queries
from store.database import Store, open_store
from store.verify import verify
from tests.integration.paper_market import PaperBot
from tests.integration.test_timeframes import FIRST_MS, MINUTE_MS, config_of, rules_of, write_minutes

DAY_MS = 86_400_000
MIDNIGHT_MS = FIRST_MS + DAY_MS
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
LEAVES, EXCLUDED, ENTERS = SYMBOLS
RULE = ListRule(n=1, exclude=(EXCLUDED,))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The excluded one is traded most, always; of the others one is until midnight, and another one after it."""
    folder = tmp_path_factory.mktemp("listed")
    for number, (symbol, price) in enumerate(zip(SYMBOLS, (60_000.0, 3_000.0, 0.6), strict=True), 1):
        write_minutes(folder, symbol, price, number, 2)
    _rewrite(folder, EXCLUDED, lambda at_ms, row: [*row[:4], row[4] * 1e9])
    _rewrite(folder, ENTERS, lambda at_ms, row: [*row[:4], row[4] * 1e9] if at_ms >= MIDNIGHT_MS else row)
    _rewrite(folder, LEAVES, _quiet_but_for_one_trade)
    return folder


def _quiet_but_for_one_trade(at_ms: int, row: list[float]) -> list[float]:
    """It surges two minutes after midnight, stands still while the list is made, and falls ten minutes later."""
    minute = (at_ms - MIDNIGHT_MS) // MINUTE_MS
    if not -25 <= minute < 40:
        return row
    open_, close = (
        60_000.0 + 600 * (minute > 1) - 300 * (minute > 12),
        60_000.0 + 600 * (minute > 0) - 300 * (minute > 11),
    )
    return [open_, max(open_, close), min(open_, close), close, row[4]]


def _rewrite(folder: Path, symbol: str, change: Callable[[int, list[float]], list[float]]) -> None:
    path = folder / f"{symbol}-1m.csv.gz"
    head, *rows = gzip.decompress(path.read_bytes()).decode().split()
    for place, row in enumerate(rows):
        at_ms, *numbers = row.split(",")
        changed = change(int(at_ms), [float(number) for number in numbers])
        rows[place] = ",".join([at_ms, *(f"{number:.4f}" for number in changed)])
    path.write_bytes(gzip.compress("\n".join([head, *rows, ""]).encode(), mtime=0))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, data: Path) -> PaperBot:
    """Twenty minutes before midnight and thirty after it. The list is made anew while a trade is open."""
    folder = tmp_path_factory.mktemp("bot")
    config = config_of(folder, "1m", "5m", symbols=SYMBOLS)
    settings = config.settings
    loops = replace(settings.loops, reconcile_interval_ms=5_000, lists_interval_ms=60_000, equity_interval_ms=15_000)
    settings = replace(settings, loops=loops, symbols={}, symbol_list=RULE)
    bot = PaperBot(
        config=dataclasses.replace(config, settings=settings),
        rules=rules_of("1m", "5m"),
        data=data,
        db=folder / "paper.sqlite",
        start_ms=MIDNIGHT_MS - 20 * MINUTE_MS - 20_000,
        symbols=SYMBOLS,
        step=Timeframe.M1,
    )

    async def life(bot: PaperBot) -> None:
        await bot.begin(watched=(LEAVES,))
        await bot.start()
        await bot.until(MIDNIGHT_MS + 30 * MINUTE_MS)

    bot.run(life)
    return bot


@pytest.fixture
def store(lived: PaperBot) -> Iterator[Store]:
    with open_store(lived.db, mode="read") as opened:
        yield opened


def lists(store: Store) -> list[tuple[int, SymbolList]]:
    rows = queries.system_events(store, kind=KIND)
    return [(row.at_ms, symbol_lists.read(row.facts_json)) for row in reversed(rows)]


def entries(store: Store) -> dict[str, list[int]]:
    rows = store.connection.execute("SELECT symbol, at_ms FROM transitions WHERE trigger = 'enter' ORDER BY id")
    found: dict[str, list[int]] = {symbol: [] for symbol in SYMBOLS}
    for symbol, at_ms in rows:
        found[symbol].append(at_ms)
    return found


@pytest.mark.slow
def test_a_list_is_made_at_the_start_and_after_midnight_of_the_real_exchanges_clock(store: Store) -> None:
    (_, first), (at_ms, second) = lists(store)
    assert (first.listed, second.listed) == ((LEAVES,), (ENTERS,))
    assert (second.entered, second.left) == ((ENTERS,), (LEAVES,))
    assert 0 <= at_ms - MIDNIGHT_MS - 5 * MINUTE_MS < 10_000
    assert second.day_ms - first.day_ms == DAY_MS


def test_what_is_asked_for_it_needs_no_key(lived: PaperBot) -> None:
    asked = [found for found in lived.real.weather.asked if found.path == "/fapi/v1/ticker/24hr"]
    assert [found.params for found in asked] == [{}, {}], "once for each day"
    assert {found.method for found in lived.real.weather.asked} == {"GET"}
    assert "x-mbx-apikey" not in lived.real.transport.headers


def test_what_leaves_enters_nothing_more_and_its_trade_goes_to_its_end(store: Store) -> None:
    left_ms = lists(store)[1][0]
    assert max(entries(store)[LEAVES]) < left_ms
    trades = [trade for trade in queries.trades(store) if trade.symbol == LEAVES]
    (open_then,) = [each for each in trades if each.opened_ms < left_ms <= (each.closed_ms or left_ms)]
    assert open_then.exit_reason == "STOP_HIT", "its trail had followed"
    assert (open_then.closed_ms or 0) > left_ms + 5 * MINUTE_MS
    moves = store.connection.execute(
        "SELECT count(*) FROM transitions WHERE symbol = ? AND trigger = 'restop' AND at_ms > ?", (LEAVES, left_ms)
    )
    assert moves.fetchone()[0] > 0, "closes go on, and with them what the rules want of an open trade"
    after = store.connection.execute(
        "SELECT DISTINCT reason FROM transitions WHERE symbol = ? AND at_ms >= ?", (LEAVES, left_ms)
    )
    assert not {reason for (reason,) in after if "LIST" in reason}, "nothing is done to it for that"


def test_what_enters_reads_its_candles_first_and_then_trades(store: Store) -> None:
    left_ms = lists(store)[1][0]
    found = entries(store)
    assert found[ENTERS]
    assert min(found[ENTERS]) > left_ms
    assert found[EXCLUDED] == []
    (count,) = store.connection.execute(
        "SELECT count(*) FROM candles WHERE symbol = ? AND timeframe = '1m' AND open_time_ms < ?", (ENTERS, left_ms)
    ).fetchone()
    assert count >= 200


def test_the_journal_holds_and_decides_the_same_again(lived: PaperBot) -> None:
    assert verify(lived.db).fine
    found = replay(lived.db)
    assert (found.differences, found.symbol_lists) == ((), 2)
