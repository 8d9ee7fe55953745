"""R78, R23: two bots on copies of one database before one account, of which neither has traded since the copy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exchange.client_ids import Leg, parse
from fsm.live.process.presence import PAUSES_S
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import START_MS, jump, quiet
from store.database import open_store
from tests.integration.stories import BTC, HOUR_MS, SYMBOL, TOP, tell, to_protected

ANOTHER_MACHINE = Path(__file__).with_name("another_machine.py")
PATIENCE_S = 120.0
SOON_S = 0.1
HELD = [jump(BTC), *quiet(TOP, 6)]
HOURS = [*quiet(BTC, 2), jump(BTC), *quiet(TOP, 4)]


async def settled(bot: RealBot) -> None:
    """Ready, with a quiet hour decided on, and all its marks placed."""
    await started(bot)
    await bot.simulation.advance(HOUR_MS // 2 + 2_000)
    await bot.until(lambda: bot.has_decided(START_MS, 1), "decide on a quiet hour")


async def started(bot: RealBot) -> None:
    bot.spawn()
    await bot.until(bot.is_ready, "get ready")
    before = len(PAUSES_S) * (bot.starts - 1)
    await bot.until(lambda: marks(bot) == before + len(PAUSES_S), "place its marks")


def copied(bot: RealBot, folder: Path) -> Path:
    """What a careful user does: a whole copy, while it runs."""
    folder.mkdir()
    with open_store(bot.db, mode="read") as store:
        store.connection.execute("VACUUM INTO ?", (str(folder / bot.db.name),))
    return folder


def marks(bot: RealBot) -> int:
    rows = list(bot.store.connection.execute("SELECT count(*) FROM system_events WHERE kind = 'PRESENCE'"))
    return int(rows[0][0])


def halted_by(bot: RealBot) -> str | None:
    rows = list(bot.store.connection.execute("SELECT halt_cause FROM account"))
    return str(rows[0][0]) if rows and rows[0][0] else None


async def enters_nothing(bot: RealBot) -> None:
    """Through the hour that brings a signal."""
    asked = len(await bot.simulation.requests(0))
    await bot.simulation.advance(3 * HOUR_MS)
    await bot.until(lambda: bot.has_decided(START_MS + 3 * HOUR_MS, 1), "decide on the signal")
    orders = [row for row in (await bot.simulation.requests(0))[asked:] if row.path == "/fapi/v1/order"]
    assert [row for row in orders if row.method == "POST"] == []
    assert (await bot.simulation.shown()).held() == {}


async def stops(bot: RealBot) -> list[str]:
    """The ids of the stops of trades that rest at the exchange: marks may rest beside them for a moment."""
    resting = [order.client_id for order in (await bot.simulation.shown()).algo_orders]
    return [name for name in resting if (parts := parse(name)) is not None and parts.leg is Leg.STOP]


def test_on_one_machine_the_second_is_refused_before_it_does_anything(tmp_path: Path) -> None:
    async def story(bot: RealBot) -> None:
        await settled(bot)
        other = bot.another(copied(bot, tmp_path / "copy"), log=tmp_path / "other.log")
        asked = len(await bot.simulation.requests(0))
        other.spawn()
        assert other.ended(PATIENCE_S) == 3
        assert f"process {bot.pid}" in other.log.read_text()
        assert "copy of this database" in other.log.read_text()
        written = [row for row in (await bot.simulation.requests(0))[asked:] if row.method != "GET"]
        assert written == []
        assert bot.is_running
        bot.kill()
        other.spawn()
        await other.until(other.is_ready, "start once the first has ended")
        await other.close()

    tell(tmp_path, HOURS, story)


@pytest.mark.slow
def test_on_two_machines_the_one_that_was_started_last_manages_and_neither_enters(tmp_path: Path) -> None:
    async def story(bot: RealBot) -> None:
        await settled(bot)
        locks = tmp_path / "locks"
        locks.mkdir()
        program = (str(ANOTHER_MACHINE), str(locks))
        other = bot.another(copied(bot, tmp_path / "copy"), log=tmp_path / "other.log", program=program)
        await bot.simulation.advance(5_000)
        other.spawn()
        try:
            await other.until(other.is_ready, "get ready")
            assert await asyncio.to_thread(bot.ended, PATIENCE_S) == 1
            assert "was started later on a copy of this database" in bot.log.read_text()
            assert halted_by(bot) == "FOREIGN"
            await other.until(lambda: halted_by(other) == "FOREIGN", "hear of the first")
            await enters_nothing(other)
        finally:
            await other.close()

    tell(tmp_path, HOURS, story)


def test_of_two_that_hold_one_position_the_later_one_looks_after_it(tmp_path: Path) -> None:
    """The copy was made in the middle of a trade, and no symbol is flat."""

    async def story(bot: RealBot) -> None:
        await to_protected(bot)
        await bot.until(lambda: marks(bot) == len(PAUSES_S), "place its marks")
        (stop,) = await stops(bot)
        (tmp_path / "locks").mkdir()
        program = (str(ANOTHER_MACHINE), str(tmp_path / "locks"))
        other = bot.another(copied(bot, tmp_path / "copy"), log=tmp_path / "other.log", program=program)
        await bot.simulation.advance(5_000)
        other.spawn()
        try:
            await other.until(other.is_ready, "get ready")
            assert await asyncio.to_thread(bot.ended, PATIENCE_S) == 1
            assert halted_by(bot) == "FOREIGN"
            await other.until(lambda: halted_by(other) == "FOREIGN", "hear of the first")
            assert await stops(bot) == [stop]
            await bot.simulation.act(action="vanish", clientAlgoId=stop)
            assert await stops(bot) == []
            while not await stops(bot):
                await bot.simulation.advance(1_000)
                await asyncio.sleep(SOON_S)  # real time for it, or a slow machine is at the end of the candles before
            await bot.simulation.act(action="close", symbol=SYMBOL)
            await other.until(lambda: other.is_flat, "book the close")
            assert await stops(bot) == []
        finally:
            await other.close()

    tell(tmp_path, HELD, story)


@pytest.mark.slow
def test_a_bot_that_starts_again_on_its_own_database_is_no_copy_of_itself(tmp_path: Path) -> None:
    async def story(bot: RealBot) -> None:
        await settled(bot)
        for _ in range(2):
            bot.kill()
            await started(bot)
            assert halted_by(bot) is None

    tell(tmp_path, HOURS, story)
