"""R45: three hundred symbols at an hour's close stay inside the limits, and nothing starves what protects.

Time is simulated and the exchange's limits are its own; only the network is left out.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from exchange.binance.client import BinanceClient
from exchange.errors import RateLimited
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.server.faults import Match, Rule, When
from exchange.sim.server.gateway import ENDPOINTS
from exchange.sim.server.params import Params
from exchange.types import Confirmed, LookRequest, Refused, Side
from fsm.live.trading.market import Market
from fsm.live.trading.others_candles import OthersCandles
from indicators.candle import Timeframe
from rules.load import load_rules
from tests.contract.conftest import anyio_backend, candles  # noqa: F401 - fixtures
from tests.contract.grounds import BEGIN_MS, BTC, HOUR_MS
from tests.contract.requests import market, stop
from tests.contract.wired import Wired

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CLONES = 299
SETTLE_MS = 2_000
MINUTE_MS = 60_000
LIMIT = 2_400
READ_CEILING = LIMIT * 70 // 100
TIMEFRAMES = (Timeframe.H1, Timeframe.H4, Timeframe.D1)
CANDLES = 2  # what a refresh asks for: the one that closed, and one more to join it to what is known
AT_ONCE = 10


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BTCUSDT and clones of it under invented names, each with its filters and brackets."""
    folder = tmp_path_factory.mktemp("crowd")
    info = json.loads((shipped_folder() / "symbols.json").read_bytes())
    brackets = json.loads((shipped_folder() / "brackets.json").read_bytes())
    rules = next(row for row in info["symbols"] if row["symbol"] == BTC)
    levels = next(row for row in brackets if row["symbol"] == BTC)
    names = [BTC, *(f"CLONE{number:03d}USDT" for number in range(CLONES))]
    rows = [f"{BEGIN_MS + n * HOUR_MS},60000,60000,60000,60000,{n + 1}" for n in range(62 * 24)]
    packed = gzip.compress(("\n".join(["open_time_ms,open,high,low,close,volume", *rows]) + "\n").encode(), mtime=0)
    for name in names:
        (folder / f"{name}-1h.csv.gz").write_bytes(packed)
    info["symbols"] = [{**rules, "symbol": name, "pair": name} for name in names]
    (folder / "symbols.json").write_text(json.dumps(info))
    (folder / "brackets.json").write_text(json.dumps([{**levels, "symbol": name} for name in names]))
    return folder


async def _refreshed(client: BinanceClient, clock: Any, symbols: list[str]) -> None:
    """All closed candles of all symbols, a few at once; whoever is told to wait waits."""
    wanted = [(symbol, timeframe) for symbol in symbols for timeframe in TIMEFRAMES]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(symbol: str, timeframe: Timeframe) -> None:
        async with gate:
            while True:
                try:
                    found = await client.candles(symbol, timeframe, limit=CANDLES)
                except RateLimited as limited:
                    await clock.sleep(limited.retry_after_ms / 1_000)
                    continue
                assert len(found) == CANDLES
                assert found[-1].open_time_ms + timeframe.ms == timeframe.floor(clock.now_ms())
                return

    await asyncio.gather(*(one(symbol, timeframe) for symbol, timeframe in wanted))


async def test_r45_a_symbol_s_close_costs_a_question_of_weight_one_for_each_timeframe_that_is_due(crowd: Path) -> None:
    wired = Wired(crowd)
    rules = load_rules(ROOT / "rules.yaml").for_symbol(BTC)
    market = Market(BTC, rules, others=OthersCandles(lambda: 0), candles_min=200, history_candles=250)
    wired.emulator.advance(Timeframe.D1.floor(wired.emulator.now_ms) + Timeframe.D1.ms + SETTLE_MS)
    for hours, due in ((0, 3), (1, 1), (3, 2), (8, 2)):
        wired.emulator.advance(wired.emulator.now_ms + hours * HOUR_MS)
        already = len(wired.log.since(0, 100_000))
        fetched = await market.fetch(wired.client, Timeframe.H1.floor(wired.emulator.now_ms))
        assert fetched is not None
        market.take(fetched)
        asked = [entry for entry in wired.log.since(0, 100_000)[already:] if entry.path == "/fapi/v1/klines"]
        weights = [ENDPOINTS[entry.method, entry.path].weight(Params(entry.params)) for entry in asked]
        assert weights == [1 if hours else 2] * due


def _weights_by_minute(wired: Wired, since: int) -> dict[int, int]:
    """What the exchange booked in each minute, by its own table."""
    booked: dict[int, int] = {}
    for entry in wired.log.since(since, 100_000):
        weight = ENDPOINTS[entry.method, entry.path].weight(Params(entry.params))
        booked[entry.at_ms // MINUTE_MS] = booked.get(entry.at_ms // MINUTE_MS, 0) + weight
    return booked


async def test_r45_300_symbols_are_refreshed_at_a_close_within_the_limit_and_its_reserve(crowd: Path) -> None:
    wired = Wired(crowd)
    symbols = list(await wired.client.filters())
    assert len(symbols) >= 300
    crowd_symbols = list(wired.emulator.world.feeds)
    assert len(crowd_symbols) == 300
    emulator = wired.emulator
    emulator.advance(Timeframe.D1.floor(emulator.now_ms) + Timeframe.D1.ms)
    closed_ms = emulator.now_ms
    await _refreshed(wired.client, wired.clock, crowd_symbols)
    entries = wired.log.since(0, 100_000)
    assert {entry.status for entry in entries} == {200}
    assert len([entry for entry in entries if entry.path == "/fapi/v1/klines"]) >= 900
    booked = _weights_by_minute(wired, 0)
    assert max(booked.values()) <= READ_CEILING
    assert emulator.now_ms - closed_ms <= MINUTE_MS
    assert emulator.limiter.strikes == 0


async def test_r45_in_the_busiest_minute_an_entry_is_placed_protected_and_seen(crowd: Path) -> None:
    wired = Wired(crowd)
    await wired.client.filters()
    await _exhausted(wired)
    with pytest.raises(RateLimited, match="READ share"):
        await wired.client.commission_rates(BTC)
    assert isinstance(await wired.client.place_order(market(Side.BUY, "0.010")), Confirmed)
    assert isinstance(await wired.client.place_algo(stop(Side.SELL, "58000")), Confirmed)
    positions, algos = await wired.client.positions(BTC), await wired.client.open_algos(BTC)
    assert len(positions) == len(algos) == 1
    assert isinstance(await wired.client.place_order(market(Side.SELL, "0.010", reduce_only=True)), Confirmed)
    assert isinstance(await wired.client.cancel_all(BTC), Confirmed)
    assert {entry.status for entry in wired.log.since(0, 100_000)} == {200}


async def _exhausted(wired: Wired) -> None:
    """Read until reading has used up its share."""
    while True:
        try:
            await wired.client.commission_rates(BTC)  # weight 20
        except RateLimited:
            return


@pytest.mark.parametrize("tells", [True, False], ids=["Retry-After", "without"])
async def test_r45_a_storm_of_429_never_starves_a_protective_order(candles: Path, tells: bool) -> None:  # noqa: F811
    """Reads meet 429 again and again; each time the stop of a fresh position rests at once."""
    wired = Wired(candles)
    emulator, client = wired.emulator, wired.client
    emulator.limiter.tells_wait = tells
    await client.filters()
    klines = Match(path="/fapi/v1/klines")
    emulator.faults.add(Rule(effect={"status": 429, "body": {"code": -1003, "msg": "Too many requests"}}, match=klines))
    for storm in range(50):
        assert isinstance(await client.place_order(market(Side.BUY, "0.010")), Confirmed)
        refused = await asyncio.gather(
            *(client.candles(BTC, Timeframe.H1, limit=10) for _ in range(20)), return_exceptions=True
        )
        assert all(isinstance(error, RateLimited) for error in refused)
        outcome = await client.place_order(market(Side.BUY, "0.010"))
        assert isinstance(outcome, Refused)
        began_ms = emulator.now_ms
        assert isinstance(await client.place_algo(stop(Side.SELL, "58000")), Confirmed), f"storm {storm}"
        assert emulator.now_ms - began_ms <= 2_500
        closing = await client.place_order(market(Side.SELL, "0.010", reduce_only=True))
        assert isinstance(closing, Confirmed), f"storm {storm}"
        await wired.clock.sleep(60)
    assert emulator.limiter.bans == 0
    assert emulator.venue.position(BTC).quantity == 0


@pytest.mark.parametrize(("tells", "tries"), [(True, 1), (False, 4)], ids=["Retry-After", "without"])
async def test_r45_while_the_exchange_refuses_everything_protection_tries_until_it_passes(
    candles: Path,  # noqa: F811
    tells: bool,
    tries: int,
) -> None:
    """Ten seconds of 429 for everybody: what protects keeps a stated end, probes by the ladder else, earns no ban."""
    wired = Wired(candles)
    emulator, client = wired.emulator, wired.client
    await client.filters()
    assert isinstance(await client.place_order(market(Side.BUY, "0.010")), Confirmed)
    emulator.limiter.tells_wait = tells
    storm = Rule(effect="rate_limit_429", match=Match(path="/fapi/v1/klines"), when=When.INSTEAD, times=1)
    emulator.faults.add(storm)
    with pytest.raises(RateLimited):
        await client.candles(BTC, Timeframe.H1, limit=10)
    request, began_ms = stop(Side.SELL, "58000"), emulator.now_ms
    while not isinstance(await client.place_algo(request), Confirmed):
        await wired.clock.sleep(0.25)
        assert emulator.now_ms - began_ms < 15_500
    assert emulator.now_ms - began_ms >= 9_000
    tried = [entry for entry in wired.log.since(0, 10_000) if entry.path == "/fapi/v1/algoOrder"]
    assert len(tried) == tries
    assert emulator.limiter.bans == 0
    assert len(emulator.venue.open_algos(BTC)) == 1


async def test_r45_when_reading_has_used_up_its_share_thirty_positions_can_still_be_looked_at(crowd: Path) -> None:
    wired = Wired(crowd)
    await wired.client.filters()
    await _exhausted(wired)
    for symbol in list(wired.emulator.world.feeds)[:30]:
        snapshot = await wired.client.look(symbol, LookRequest(fills_after_id=0))
        assert snapshot.symbol == symbol
    assert max(_weights_by_minute(wired, 0).values()) <= LIMIT * 95 // 100
    assert {entry.status for entry in wired.log.since(0, 100_000)} == {200}
