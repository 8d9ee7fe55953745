"""What would rules have done in the last 90 days: asked on the dashboard, done by `fsm worker`, never by the bot."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from rules.load import parse_rules
from store import queries
from store.database import open_store
from store.inbox import Inbox
from store.rules_edits import job_of
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
FROM_MS, TO_MS = 1_725_148_800_000, 1_730_419_200_000  # 2024-09-01 to 2024-11-01
RULES = (ROOT / "rules.yaml").read_text("utf-8")
IDLE = RULES.replace("adx_trend: 25", "adx_trend: 99")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("worker") / "bot.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


def left(db: Path, kind: str) -> int:
    with open_store(db, mode="post") as store:
        return Inbox(store).post(kind, None, "web", TO_MS)


def worked(db: Path) -> None:
    command = [sys.executable, "-m", "fsm", "worker", "--once", "--db", str(db), "--data", str(shipped_folder())]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300, capture_output=True)


def test_rules_in_force_come_out_as_the_run_itself_and_others_differ(db: Path) -> None:
    same = left(db, job_of(parse_rules(RULES, "x").hash, RULES))
    other = left(db, job_of(parse_rules(IDLE, "x").hash, IDLE))
    wrong = left(db, "job what-if 00 nonsense")
    pause = left(db, "pause")
    worked(db)
    with open_store(db, mode="read") as store:
        inbox, trades = Inbox(store), queries.trades(store, limit=1_000)
        ends = {number: inbox.get(number) for number in (same, other, wrong, pause)}
    assert {number: row.state for number, row in ends.items() if row} == {
        same: "done",
        other: "done",
        wrong: "refused",
        pause: "posted",
    }, "a worker does jobs alone"
    found = json.loads((ends[same] and ends[same].detail) or "")
    assert found["offered"] == found["in_force"]
    assert found["offered"]["trades"] == found["live_trades"] == len(trades)
    exact = sum((row.net_pnl or Decimal(0) for row in trades), Decimal(0))
    assert Decimal(found["offered"]["net_pnl_usdt"]) == exact
    changed = json.loads((ends[other] and ends[other].detail) or "")
    assert changed["in_force"] == found["in_force"]
    assert changed["offered"]["trades"] < found["offered"]["trades"]


def test_a_bot_takes_no_job_and_a_job_that_was_cut_short_is_begun_again(db: Path) -> None:
    number = left(db, job_of(parse_rules(RULES, "x").hash, RULES))
    with open_store(db, mode="post") as store:
        inbox = Inbox(store)
        assert number not in [row.id for row in inbox.take(TO_MS)]
        job = inbox.take_job(TO_MS)
        assert job is not None
        assert job.id == number
        assert number not in [row.id for row in inbox.unfinished()], "a start has no business with it"
        assert inbox.take_job(TO_MS + 1) == job, "the worker that took it has died"
        inbox.finish(number, "done", detail="{}", at_ms=TO_MS)
        assert inbox.take_job(TO_MS + 2) is None
