"""R52: a bot of the first schema is ended in the middle of a trade, upgraded, killed on the way, and started again."""

from __future__ import annotations

from pathlib import Path

import apsw

from fsm.bootstrap import RECORDED_WORDS
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import jump, quiet
from store import queries
from store.migrations.schema import SCHEMA_VERSION, check
from store.verify import verify
from tests.integration.dying_upgrade import DyingUpgrade
from tests.integration.stories import BTC, HOUR_MS, LOW, SYMBOL, TOP, tell, to_protected, until_state


def upgraded_dying(path: Path) -> int:
    """Upgrade it, with a death before each statement; how many there were. Each leaves the file to the next one."""
    deaths = 0
    with DyingUpgrade() as dying:
        while dying.upgrade(path, dies_before=deaths) is None:
            deaths += 1
    return deaths


def made_older(path: Path) -> None:
    """As a bot of the first schema leaves it."""
    connection = apsw.Connection(str(path))
    with connection:
        connection.execute("DROP TABLE seals")
        connection.execute("DELETE FROM schema_version WHERE version > 1")
    connection.close()
    assert check(path).found == 1


def test_r52_the_stop_rests_through_every_death_of_an_upgrade_and_the_new_bot_manages_the_trade(tmp_path: Path) -> None:
    fallen = [(TOP, TOP, LOW, LOW), *quiet(LOW, 3)]

    async def story(bot: RealBot) -> None:
        await to_protected(bot)
        bot.kill()
        bot.forget()
        made_older(bot.db)
        before = (await bot.simulation.shown()).algo_orders
        bot.spawn()
        assert bot.ended(60) == 3
        assert "db upgrade" in bot.log.read_text()
        assert upgraded_dying(bot.db) > 35
        assert check(bot.db).found == SCHEMA_VERSION
        assert (await bot.simulation.shown()).algo_orders == before
        bot.spawn()
        await bot.until(bot.is_ready, "get ready again")
        await until_state(bot, State.PROTECTED)
        shown = await bot.simulation.shown()
        assert shown.stops() == {SYMBOL}
        assert {order.client_id for order in before} <= {order.client_id for order in shown.algo_orders}
        await bot.simulation.advance(4 * HOUR_MS)
        await bot.until(lambda: bot.is_flat, "book the trade that its stop ended")
        (trade,) = queries.trades(bot.store)
        assert (trade.status, trade.exit_reason) == ("CLOSED", "STOP_HIT")
        assert verify(bot.db).problems == ()
        assert replay(bot.db, words=RECORDED_WORDS).different == 0

    tell(tmp_path, [jump(BTC), *quiet(TOP, 1), *fallen], story)
