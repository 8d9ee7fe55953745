"""Jobs are asked for on the dashboard and done by `fsm worker`, never by the bot: what-ifs, backtests, searches."""

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
from store.jobs import Job
from store.rules_edits import job_of
from store.studies import study_store
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


AT_ORDINARY_PRIORITY = "import os; os.nice = lambda by: 0; from fsm.__main__ import main; main()"
"""At the lowest, as it is, it would hardly get its turn beside other tests."""


def worked(db: Path) -> None:
    command = [sys.executable, "-c", AT_ORDINARY_PRIORITY, "worker", "--once", "--db", str(db)]
    subprocess.run([*command, "--data", str(shipped_folder())], cwd=ROOT, check=True, timeout=300, capture_output=True)


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


def came_of(db: Path, number: int) -> dict[str, object]:
    with open_store(db, mode="read") as store:
        row = Inbox(store).get(number)
    assert row is not None
    found: dict[str, object] = json.loads(row.detail or "") if row.state == "done" else {row.state: row.detail}
    return found


def test_a_backtest_is_kept_beside_the_database_once_it_has_ended(db: Path) -> None:
    asked = Job(name="autumn", symbols=("BTCUSDT",), from_ms=FROM_MS, to_ms=TO_MS)
    first, again = left(db, asked.line()), left(db, asked.line())
    nobody = left(db, Job(name="nobody", symbols=("NOPEUSDT",)).line())
    worked(db)
    assert "kept already" in str(came_of(db, again)["refused"])
    assert "NOPEUSDT" in str(came_of(db, nobody)["refused"])
    runs = db.parent / "runs"
    assert sorted(path.name for path in runs.glob("[!.]*.sqlite")) == ["autumn.sqlite"]
    with open_store(runs / "autumn.sqlite", mode="read") as store:
        trades = queries.trades(store, limit=1_000)
    net = sum((row.net_pnl or Decimal(0) for row in trades), Decimal(0))
    found = came_of(db, first)
    assert (found["kept"], found["trades"]) == ("autumn", len(trades))
    assert abs(Decimal(str(found["net_pnl_usdt"])) - net) < Decimal("0.01")


def test_a_search_is_kept_as_a_study(db: Path) -> None:
    month = {"from_ms": FROM_MS, "to_ms": FROM_MS + 30 * 86_400_000}
    asked = Job(name="adx", symbols=("BTCUSDT",), **month, vary=("adx_trend=24..30:2",), trials=1, luck=0)
    number = left(db, asked.line())
    wrong = left(db, Job(name="other", symbols=("BTCUSDT",), vary=("no_such=1..2",), trials=2).line())
    worked(db)
    assert "no_such" in str(came_of(db, wrong)["refused"])
    found = came_of(db, number)
    with study_store(db.parent / "studies" / "adx.sqlite", reading=True) as study:
        assert found["trials"] == len(study.trials()) > 0
