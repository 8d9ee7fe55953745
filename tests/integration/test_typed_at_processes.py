"""What an operator types at a real bot before an exchange: a database put back, and a command that half succeeds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.proofs.crashsweep.real_bot import RealBot
from fsm.proofs.testkit.scripted_market import jump, quiet
from store.verify import verify
from tests.integration.stories import BTC, CONFIG, HOUR_MS, SYMBOL, TOP, tell, to_protected, until_state

ROOT = Path(__file__).parents[2]
FALLEN = (TOP, TOP, BTC * 0.998, TOP * 0.999)


def typed(bot: RealBot, *arguments: str) -> tuple[int, Any]:
    """A command as another process: its exit code and its document."""
    ended = subprocess.run(
        [sys.executable, "-m", "fsm", *arguments, "--json", "--db", str(bot.db)],
        cwd=ROOT,
        env={**os.environ, "BINANCE_ENV": "sim"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, json.loads(ended.stdout)


def put_back(backup: Path, db: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{db}{end}").unlink(missing_ok=True)
    shutil.copy(backup, db)


def quarantined(bot: RealBot) -> bool:
    found = bot.records().get(SYMBOL)
    return found is not None and found.quarantine is not None


def test_r78_a_backup_that_was_put_back_starts_halted_and_resume_ends_it(tmp_path: Path) -> None:
    """By the steps of docs/restoring.md: `db backup`, a trade that it does not know, put back, start, `resume`."""
    hours = [jump(BTC), FALLEN, *quiet(TOP, 3), jump(TOP), *quiet(TOP * 1.01, 4)]
    backup = tmp_path / "backup.sqlite"

    async def story(bot: RealBot) -> None:
        bot.spawn()
        await bot.until(bot.is_ready, "get ready")
        assert typed(bot, "db", "backup", str(backup))[0] == 0
        bot.kill()
        await to_protected(bot)
        bot.kill()
        put_back(backup, bot.db)
        bot.forget()
        bot.spawn()
        await bot.until(bot.is_ready, "get ready again")
        code, found = typed(bot, "status")
        assert (code, found["account"]["halt_cause"]) == (0, "RESTORED")
        await until_state(bot, State.PROTECTED)
        assert (await bot.simulation.shown()).stops() == {SYMBOL}, "what is open is looked after meanwhile"
        await bot.simulation.advance(6 * HOUR_MS)
        await bot.until(lambda: bot.is_flat, "see the stop hit")
        assert (await bot.simulation.shown()).held() == {}, "nothing is entered before `resume`, signal or not"
        code, found = typed(bot, "resume")
        assert (code, found["command"]["state"]) == (0, "done")
        assert "cleared the halt for RESTORED" in found["command"]["detail"]
        assert typed(bot, "status")[1]["account"]["halt_cause"] is None
        assert verify(bot.db).fine
        assert replay(bot.db).differences == ()

    tell(tmp_path, hours, story)


@pytest.mark.slow
def test_r82_a_resume_of_all_that_one_symbol_refuses_is_told_as_done_in_part(tmp_path: Path) -> None:
    """A hand holds something of its own there: `resume` of all ends the pause, and says what it did not end."""

    async def story(bot: RealBot) -> None:
        bot.spawn()
        await bot.until(bot.is_ready, "get ready")
        params = {"symbol": SYMBOL, "type": "MARKET", "side": "BUY", "quantity": "0.010"}
        await bot.simulation.act(action="order", params=params)
        await bot.until(lambda: quarantined(bot), "see the position of another hand")
        assert typed(bot, "pause")[0] == 0
        code, refused = typed(bot, "resume")
        assert code == 3
        assert refused["error"]["code"] == "PARTLY"
        assert f"refused: {SYMBOL} (FOREIGN_POSITION)" in refused["error"]["message"]
        (listed, _) = typed(bot, "commands", "list")[1]["commands"]
        assert (listed["kind"], listed["state"], listed["guard"]) == ("resume", "refused", "PARTLY")
        found = typed(bot, "status")[1]
        assert found["account"]["paused"] is False, "what could be ended was ended"
        assert quarantined(bot)
        await bot.simulation.act(action="close", symbol=SYMBOL)
        await bot.until(lambda: typed(bot, "resume")[0] == 0, "resume once nothing foreign is open")
        assert not quarantined(bot)

    tell(tmp_path, quiet(BTC, 3), story, config=f"{CONFIG}loops: {{lists_interval_ms: 5000}}\n")
