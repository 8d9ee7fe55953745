"""R78: copies are made through a busy day while the bot trades; when the machine is lost, one goes on elsewhere."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exchange.client_ids import parse
from fsm.bootstrap import RECORDED_WORDS
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, START_MS
from store import queries
from store.database import open_store
from store.verify import verify
from tests.integration.restores import restless
from tests.integration.stories import HOUR_MS, SYMBOL, tell

ROOT = Path(__file__).parents[2]
DAY_HOURS, LATER_HOURS = 24, 12
RESTORED = "RESTORED"


def begun(*words: str | Path) -> subprocess.Popen[str]:
    """A command of the product, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fsm", *words, "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BINANCE_ENV": "sim"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answered(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


async def live(bot: RealBot, first: int, last: int) -> None:
    """Hour after hour of the script, each decided on and carried out; nothing is ever left without a stop."""
    for hour in range(first, last):
        await bot.simulation.advance(HOUR_MS)
        candle_ms = START_MS + (QUIET_HOURS + hour) * HOUR_MS
        await bot.until(partial(bot.has_decided, candle_ms, 1), f"decide on hour {hour}")
        shown = await bot.simulation.shown()
        while not bot.agrees(shown):
            await bot.until(bot.has_written, "carry out what it decided")
            shown = await bot.simulation.shown()
        assert set(shown.held()) <= shown.stops()


def epochs(bot: RealBot) -> set[str]:
    rows = bot.store.connection.execute("SELECT client_order_id FROM orders")
    return {parts.epoch for (name,) in rows if (parts := parse(name)) is not None}


@pytest.mark.slow
def test_r78_a_copy_of_a_busy_day_goes_on_elsewhere_with_ids_of_its_own(tmp_path: Path) -> None:
    async def story(bot: RealBot) -> None:
        bot.spawn()
        await bot.until(bot.is_ready, "get ready")
        await bot.simulation.advance(HOUR_MS // 2 + 2_000)
        copies = []
        for hour in range(DAY_HOURS):  # each is made while the bot decides and trades
            process = begun("db", "backup", tmp_path / f"copy-{hour}.sqlite", "--db", bot.db)
            await live(bot, hour, hour + 1)
            copies.append(Path(answered(process)["backup"]))
        known = [trades_of(copy) for copy in copies]
        assert known[-1] - known[0] >= 4, "the day was busy"
        chosen = next(copy for copy, count in zip(copies, known, strict=True) if count >= known[-1] - 2)
        assert all(verify(copy).problems == () for copy in copies[::6])
        assert epochs(bot) == {""}
        bot.kill()

        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        answered(begun("db", "restore", chosen, "--db", elsewhere / bot.db.name))
        other = bot.another(elsewhere, log=tmp_path / "other.log")
        try:
            other.spawn()
            await other.until(other.is_ready, "get ready")
            (halted,) = other.store.connection.execute("SELECT halt_cause FROM account")
            assert halted == (RESTORED,)
            answered(begun("resume", "--db", other.db))
            await live(other, DAY_HOURS, DAY_HOURS + LATER_HOURS)
            before, after = sorted(epochs(other))
            assert (before, bool(after)) == ("", True)
            assert trades_of(other.db) > trades_of(chosen)
            assert verify(other.db).problems == ()
            assert replay(other.db, words=RECORDED_WORDS).different == 0
        finally:
            await other.close()

    tell(tmp_path, restless(SYMBOL, DAY_HOURS + LATER_HOURS + 1, random.Random(1)), story)


def trades_of(path: Path) -> int:
    with open_store(path, mode="read") as store:
        return len(queries.trades(store))
