"""R52: a bot of the first schema is ended in the middle of a trade, upgraded, killed on the way, and started again."""

from __future__ import annotations

import os
import subprocess
import sys
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
from tests.integration.stories import BTC, HOUR_MS, LOW, SYMBOL, TOP, tell, to_protected, until_state

ROOT = Path(__file__).parents[2]

# A child for each statement kills itself before it, and leaves the file to the next one; the last one comes through.
KILLED_AT_EACH = """
import os, signal, sys
from pathlib import Path
import apsw
from store.migrations import upgrade

deaths = 0
while True:
    child = os.fork()
    if child == 0:
        seen = 0
        def trace(cursor, sql, bindings):
            global seen
            if seen == deaths:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            return True
        apsw.connection_hooks.append(lambda connection: setattr(connection, "exec_trace", trace))
        upgrade(Path(sys.argv[1]), at_ms=7)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 0:
        break
    deaths += 1
print(deaths)
"""


def upgraded_dying(path: Path) -> int:
    """Upgrade it, with a death before each statement; how many there were."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EACH, path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


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
