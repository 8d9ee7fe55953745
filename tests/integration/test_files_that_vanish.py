"""R79, R23: a bot whose database is removed, replaced or cut off, and a second bot on the same database."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fsm.proofs.crashsweep.real_bot import ANSWER_S_MAX, RealBot
from fsm.proofs.testkit.scripted_market import jump, quiet
from store.migrations.backup import backup
from tests.effort import sampled
from tests.integration.stories import BTC, HOUR_MS, SYMBOL, TOP, tell, to_protected

HOURS = [jump(BTC), *quiet(TOP, 5)]


def said(log: Path) -> str:
    return log.read_text("utf-8", "replace")


async def covered(bot: RealBot) -> None:
    shown = await bot.simulation.shown()
    assert set(shown.held()) == shown.stops() == {SYMBOL}, "the position keeps its stop"


def outside(bot: RealBot, folder: Path) -> None:
    """The log lies where the test does not remove it."""
    bot.log = folder / "bot.log"


def remove_folder(db: Path) -> None:
    shutil.rmtree(db.parent)


def move_backup_over(db: Path) -> None:
    copy = backup(db, db.with_name("backup.sqlite"))
    os.replace(copy, db)


def cut_off(db: Path) -> None:
    os.truncate(db, 0)


def remove_wal(db: Path) -> None:
    Path(f"{db}-wal").unlink()


def remove_lock(db: Path) -> None:
    Path(f"{db}.lock").unlink()


DEEDS = {
    remove_folder: "was removed",
    move_backup_over: "was replaced by another file",
    cut_off: "was cut off",
    remove_wal: "was removed",
    remove_lock: "was removed",
}


@pytest.mark.parametrize("deed", sampled(DEEDS, often=2), ids=lambda deed: deed.__name__)
def test_r79_a_bot_whose_files_are_taken_away_sends_its_last_stops_and_ends(tmp_path: Path, deed: object) -> None:
    """The stop is cancelled by hand in the same moment: the last stops put it back. Nothing is opened afterwards."""
    assert callable(deed)

    async def story(bot: RealBot) -> None:
        outside(bot, tmp_path)
        await to_protected(bot)
        shown = await bot.simulation.shown()
        (stop,) = [algo for algo in shown.algo_orders if algo.type == "STOP_MARKET"]
        await bot.simulation.act(action="vanish", clientAlgoId=stop.client_id)
        deed(bot.db)
        assert bot.ended(ANSWER_S_MAX) == 1
        text = said(bot.log)
        assert DEEDS[deed] in text
        assert "docs/restoring.md" in text
        assert "last_stop" in text
        await covered(bot)
        await bot.simulation.advance(HOUR_MS)
        assert set((await bot.simulation.shown()).held()) <= {SYMBOL}

    tell(tmp_path, HOURS, story)


@pytest.mark.parametrize("kind", sampled(["hard link", "symbolic link", "another folder's link"], often=1))
def test_r23_a_second_bot_is_refused_by_whatever_name_it_is_given_the_database(tmp_path: Path, kind: str) -> None:
    async def story(bot: RealBot) -> None:
        await to_protected(bot)
        folder = tmp_path / "second"
        folder.mkdir()
        if kind == "hard link":
            os.link(bot.db, folder / "bot.sqlite")
        elif kind == "symbolic link":
            (folder / "bot.sqlite").symlink_to(bot.db)
        else:
            folder.rmdir()
            folder.symlink_to(bot.db.parent)
        second = bot.another(folder, log=tmp_path / "second.log")
        try:
            second.spawn()
            assert second.ended(ANSWER_S_MAX) == 3
            assert f"process {bot.pid}" in said(second.log)
            assert bot.is_running
            await covered(bot)
        finally:
            await second.close()

    tell(tmp_path, HOURS, story)
