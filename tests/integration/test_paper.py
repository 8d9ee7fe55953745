"""Paper follows a real exchange: trades of a backtest over the same candles, through bursts, silence and outages."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from exchange.paper.mirror import MIRRORED
from exchange.sim.server.listing import Told
from exchange.sim.server.saved import SavedState, StateError, encode
from fsm.backtest.run import Request, run_backtest
from fsm.config import Config
from fsm.proofs.parity.comparison import compare
from fsm.proofs.parity.explained import Explained, Why, explained
from indicators.candle import Timeframe
from store.database import open_store
from store.verify import verify
from tests.integration.paper_market import PaperBot
from tests.integration.test_timeframes import FIRST_MS, MINUTE_MS, anchors_of, config_of, rules_of, write_minutes

SYMBOLS = ("BTCUSDT", "XRPUSDT")
BEGIN_MS = FIRST_MS + 1_100 * MINUTE_MS
"""The first close that is decided; the bot starts twenty seconds before."""


class Market:
    """Candles of one minute of two restless symbols, and lively rules on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir()
        write_minutes(self.data, "BTCUSDT", 60_000.0, 1, 2)
        write_minutes(self.data, "XRPUSDT", 0.6, 2, 2)
        self.rules = rules_of("1m", "5m")

    def config(self, folder: Path) -> Config:
        """As shipped where time is concerned: nothing stands still for anybody."""
        config = config_of(folder, "1m", "5m", symbols=SYMBOLS)
        loops = msgspec.structs.replace(
            config.settings.loops, reconcile_interval_ms=5_000, lists_interval_ms=60_000, equity_interval_ms=15_000
        )
        return dataclasses.replace(config, settings=msgspec.structs.replace(config.settings, loops=loops))

    def bot(self, folder: Path) -> PaperBot:
        return PaperBot(
            config=self.config(folder),
            rules=self.rules,
            data=self.data,
            db=folder / "paper.sqlite",
            start_ms=BEGIN_MS - 20_000,
            symbols=SYMBOLS,
            step=Timeframe.M1,
        )

    def backtest(self, folder: Path, to_ms: int) -> Path:
        db = folder / "lab.sqlite"
        run_backtest(
            Request(
                config=self.config(folder),
                rules=self.rules,
                data=(self.data,),
                symbols=SYMBOLS,
                from_ms=BEGIN_MS - MINUTE_MS,
                to_ms=to_ms,
                db=db,
                anchors=anchors_of(folder / "paper.sqlite", self.rules, SYMBOLS),
            )
        )
        return db

    def compared(self, folder: Path, to_ms: int) -> tuple[int, list[Explained]]:
        """How many steps were compared, and what is said of each trade that differs."""
        lab = self.backtest(folder, to_ms)
        with open_store(folder / "paper.sqlite", mode="read") as ours, open_store(lab, mode="read") as theirs:
            count, _ = compare(ours, theirs, before_ms=to_ms)
            return count, explained(ours, theirs, before_ms=to_ms)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return Market(tmp_path_factory.mktemp("market"))


def play(bot: PaperBot, minutes: int, script: Callable[[PaperBot], Awaitable[None]] | None = None) -> int:
    """A bot on paper for so long; until when it decided."""
    end_ms = BEGIN_MS + minutes * MINUTE_MS

    async def life(bot: PaperBot) -> None:
        await bot.begin()
        await bot.start()
        if script is not None:
            await script(bot)
        await bot.until(end_ms + 30_000)

    bot.run(life)
    return end_ms


def test_trades_are_those_of_a_backtest_over_the_same_candles(tmp_path: Path, market: Market) -> None:
    """Every step of every trade, but for prices within what a market moves in a second, and sizes that follow."""
    bot = market.bot(tmp_path)
    end_ms = play(bot, 20)
    count, trades = market.compared(tmp_path, end_ms)
    assert count > 40
    assert trades, "prices of a second are not those of a candle's corners"
    assert {found.cause for found in trades} <= {Why.FILL, Why.SIZE}
    apart = [found.told.partition("up to ")[2].partition(" %")[0] for found in trades if found.cause is Why.FILL]
    assert all(float(share) < 0.05 for share in apart)
    assert verify(tmp_path / "paper.sqlite").fine


def test_nothing_that_it_asks_needs_a_key(tmp_path: Path, market: Market) -> None:
    bot = market.bot(tmp_path)
    play(bot, 2)
    asked = bot.real.weather.asked
    assert {found.method for found in asked} == {"GET"}
    assert {found.path for found in asked} <= MIRRORED | {"/fapi/v1/time"}
    assert not {"signature", "timestamp", "recvWindow", "listenKey"} & {
        name for found in asked for name in found.params
    }
    assert "x-mbx-apikey" not in bot.real.transport.headers
    assert bot.real.emulator.listen_keys.active() is None


@pytest.mark.slow
def test_a_stream_that_comes_in_bursts_costs_prices_and_no_trade(tmp_path: Path, market: Market) -> None:
    async def bursts(bot: PaperBot) -> None:
        bot.real.weather.late_s = 3.0

    end_ms = play(market.bot(tmp_path), 15, bursts)
    _, trades = market.compared(tmp_path, end_ms)
    assert all(found.is_explained for found in trades), trades


def test_a_stream_that_falls_silent_is_replaced_by_asking(tmp_path: Path, market: Market) -> None:
    """The connection stays and says nothing: prices come by REST, and nothing is stale for long."""
    fresh: list[bool] = []

    async def silence(bot: PaperBot) -> None:
        await bot.until(BEGIN_MS + 2 * MINUTE_MS)
        for _ in range(40):
            bot.real.emulator.hub.mute(True)
            await bot.until(bot.clock.now_ms() + 1_000)
            fresh.append(bot.paper.feed.is_fresh())
        bot.real.emulator.hub.mute(False)

    end_ms = play(market.bot(tmp_path), 8, silence)
    assert fresh.count(True) == 40
    _, trades = market.compared(tmp_path, end_ms)
    assert all(found.is_explained for found in trades), trades


def test_an_outage_with_positions_open(tmp_path: Path, market: Market) -> None:
    """Nobody is there for nine minutes. Time on paper stands still and nothing is answered; afterwards what happened
    meanwhile has happened at its own time, and the books say which closes nobody decided."""
    seen: dict[str, object] = {}

    async def outage(bot: PaperBot) -> None:
        emulator = bot.paper.app.emulator
        while not any(holding.quantity for holding in emulator.state.holdings.values()):
            await bot.until(bot.clock.now_ms() + 1_000)
        bot.real.go_down()
        await bot.until(bot.clock.now_ms() + 8_000)
        frozen_ms, fills = emulator.now_ms, len(emulator.state.fills)
        seen["from"] = frozen_ms
        await bot.until(frozen_ms + 9 * MINUTE_MS)
        assert (emulator.now_ms, len(emulator.state.fills)) == (frozen_ms, fills)
        with pytest.raises(ConnectionResetError):
            await bot.paper.gateway.answer("GET", "/fapi/v1/time", "", "", "")
        with pytest.raises(ConnectionResetError):
            await bot.paper.gateway.answer("GET", "/fapi/v1/klines", "symbol=BTCUSDT&interval=1m", "", "")
        bot.real.come_back()
        await bot.until(bot.clock.now_ms() + 40_000)
        assert abs(emulator.now_ms - bot.clock.now_ms()) < 1_000
        seen["fills"] = [fill.time_ms for fill in emulator.state.fills[fills:]]
        seen["until"] = bot.clock.now_ms()

    end_ms = play(market.bot(tmp_path), 18, outage)
    times = seen["fills"]
    assert isinstance(times, list)
    assert times, "a stop or target was hit meanwhile"
    assert all(seen["from"] <= at_ms <= seen["until"] for at_ms in times)  # type: ignore[operator]
    assert min(times) < seen["until"] - 40_000, "at its own time, not at that of the return"  # type: ignore[operator]
    _, trades = market.compared(tmp_path, end_ms)
    assert all(found.is_explained for found in trades), trades
    assert Why.OUTAGE in {found.cause for found in trades}
    assert verify(tmp_path / "paper.sqlite").fine


async def holding(bot: PaperBot, stop_share: int = 997) -> None:
    """A long of 0.01 BTC by another hand, with a stop at so many thousandths."""
    async with _hand(bot) as hand:
        order = {"symbol": "BTCUSDT", "type": "MARKET", "side": "BUY", "quantity": "0.010"}
        (await hand.post("/sim/v1/account", json={"action": "order", "params": order})).raise_for_status()
        last = bot.paper.app.emulator.state.quotes["BTCUSDT"].last
        stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "closePosition": "true"}
        stop |= {"algoType": "CONDITIONAL", "triggerPrice": f"{last * stop_share // 1000}.0"}
        (await hand.post("/sim/v1/account", json={"action": "algo", "params": stop})).raise_for_status()


def saved_of(bot: PaperBot) -> SavedState:
    return msgspec.json.decode(encode(bot.paper.app.emulator), type=SavedState)


def test_a_saved_account_meets_what_happened_while_nobody_ran(tmp_path: Path, market: Market) -> None:
    """The stop of a position was hit in the meantime, at the price and time that the candles say."""
    bot = market.bot(tmp_path)

    async def script(bot: PaperBot) -> None:
        await bot.begin()
        emulator = bot.paper.app.emulator
        await holding(bot)
        await bot.until(bot.clock.now_ms() + 5_000)
        saved = saved_of(bot)
        stopped_ms = emulator.now_ms
        for task in bot._tasks:
            task.cancel()
        bot._tasks.clear()
        while not bot.real.emulator.now_ms > stopped_ms + 90 * MINUTE_MS:
            await bot.until(bot.clock.now_ms() + MINUTE_MS)
        await bot.begin(saved)
        after = bot.paper.app.emulator
        assert not after.state.holding("BTCUSDT").quantity
        assert stopped_ms < after.state.fills[-1].time_ms < bot.clock.now_ms() - MINUTE_MS
        assert abs(after.now_ms - bot.clock.now_ms()) < 1_000

    bot.run(script)


def _hand(bot: PaperBot) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(bot.paper.app), base_url="http://localhost")


def test_nobody_moves_prices_or_time_on_paper(tmp_path: Path, market: Market) -> None:
    async def script(bot: PaperBot) -> None:
        await bot.begin()
        async with _hand(bot) as hand:
            for path, body in (
                ("/sim/v1/advance", {"ms": 60_000}),
                ("/sim/v1/clock", {"speed": 60}),
                ("/sim/v1/price", {"symbol": "BTCUSDT", "last": "1"}),
            ):
                refused = await hand.post(path, json=body)
                assert refused.status_code == 422, path
                assert "real exchange's" in refused.json()["error"]

    market.bot(tmp_path).run(script)


def test_a_symbol_that_is_asked_for_later_gets_prices(tmp_path: Path, market: Market) -> None:
    """As after an edit that trades one more."""

    async def script(bot: PaperBot) -> None:
        await bot.begin(watched=("BTCUSDT",))
        feed, quotes = bot.paper.feed, bot.paper.app.emulator.state.quotes
        with pytest.raises(ConnectionResetError):
            await bot.paper.gateway.answer("POST", "/fapi/v1/leverage", "symbol=XRPUSDT&leverage=2", "", "")
        await bot.until(bot.clock.now_ms() + 5_000)
        assert feed.is_fresh("XRPUSDT")
        assert set(quotes) == set(SYMBOLS)

    market.bot(tmp_path).run(script)


def test_what_is_delisted_is_settled_and_holds_nothing_else_up(tmp_path: Path, market: Market) -> None:
    """Its status changes, then its prices end; the rest of the account goes on."""

    async def script(bot: PaperBot) -> None:
        await bot.begin()
        await holding(bot)
        paper, real = bot.paper, bot.real.emulator
        real.listing.change("BTCUSDT", {}, status="SETTLING")
        await bot.until(bot.clock.now_ms() + 610_000)
        assert not paper.app.emulator.venue.positions()
        assert not paper.app.emulator.venue.open_algos()
        assert paper.feed.is_fresh()
        assert list(paper.feed.watched) == ["XRPUSDT"]
        saved = saved_of(bot)
        await bot.begin(saved, watched=SYMBOLS)
        assert list(bot.paper.feed.watched) == ["XRPUSDT"]

    market.bot(tmp_path).run(script)


def test_an_account_that_holds_what_nobody_knows_any_more_is_not_guessed_at(tmp_path: Path, market: Market) -> None:
    async def script(bot: PaperBot) -> None:
        await bot.begin()
        await holding(bot)
        saved = saved_of(bot)
        bot.real.emulator.listing.tell("BTCUSDT", Told.GONE)
        with pytest.raises(StateError, match="holds BTCUSDT, and nobody tells its rules"):
            await bot.begin(saved, watched=("XRPUSDT",))

    market.bot(tmp_path).run(script)


def test_being_asked_to_wait_is_passed_on(tmp_path: Path, market: Market) -> None:
    """The real exchange bans the address: candles say so at once, and so does the account once prices are old."""

    async def script(bot: PaperBot) -> None:
        await bot.begin()
        limiter, now_ms = bot.real.emulator.limiter, bot.real.emulator.now_ms
        limiter.ban_until(now_ms + 120_000)
        bot.real.emulator.hub.cut()
        bot.real.weather.late_s = -1.0
        answer = await bot.paper.gateway.answer("GET", "/fapi/v1/klines", "symbol=BTCUSDT&interval=1m", "", "")
        assert (answer.status, int(answer.headers["retry-after"]) > 100) == (418, True)
        await bot.until(bot.clock.now_ms() + 20_000)
        answer = await bot.paper.gateway.answer("GET", "/fapi/v1/time", "", "", "")
        assert (answer.status, answer.code) == (418, -1003)
        bot.real.weather.late_s = 0.0
        await bot.until(bot.clock.now_ms() + 150_000)
        assert bot.paper.feed.is_fresh()

    market.bot(tmp_path).run(script)
