"""A pruned journal: what is left verifies, replays and goes on; what is gone is said; what was open has stayed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from fsm.journal.replay import replay
from store.batch import Batch
from store.copies import keep_copies, restore, verified_backup
from store.cuts import pruned
from store.database import open_store
from store.errors import DatabaseDamaged, StoreError
from store.journal import Journal
from store.lock import ProcessLock
from store.pruning import KEEP_DAYS_MIN, PRUNABLE, newest_ms, prune, room_after
from store.verify import verify
from tests.recorded import recorded

ROOT = Path(__file__).parents[3]
FROM_MS, TO_MS = 1_717_200_000_000, 1_727_740_800_000  # 2024-06-01 to 2024-10-01
DAY_MS = 86_400_000
KEPT = ("trades", "fills", "orders", "equity_snapshots", "candles", "rule_versions", "config_versions", "positions")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of four months, for reading only."""
    return recorded(tmp_path_factory.mktemp("whole") / "bot.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "bot.sqlite"))


def rows(path: Path, table: str) -> list[Any]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.close()
    return found


def execute(path: Path, *statements: str) -> None:
    """Behind the program's back, with the triggers as before afterwards."""
    connection = apsw.Connection(str(path))
    connection.pragma("foreign_keys", 0)
    triggers = list(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()


def cut(path: Path, days: int) -> dict[str, int]:
    with open_store(path, mode="read") as store:
        before_ms = newest_ms(store.connection) - days * DAY_MS
    with ProcessLock(path):
        return prune(path, before_ms=before_ms, run_id="prune-1", archive="whole.sqlite").rows


def test_what_is_left_verifies_and_replays_and_every_figure_stays(whole: Path, path: Path) -> None:
    removed = cut(path, 60)
    assert all(removed[table] for table in PRUNABLE if rows(whole, table)), removed
    report = verify(path)
    assert report.fine, report.problems
    for table, count in removed.items():
        assert len(rows(path, table)) == len(rows(whole, table)) - count
        assert report.gone.cuts[table].last_id == count
    for table in KEPT:
        assert rows(path, table) == rows(whole, table), table
    again, before = replay(path), replay(whole)
    assert again.different == 0
    assert again.identical == before.identical - removed["transitions"] - removed["decisions"]
    assert path.stat().st_size < whole.stat().st_size


def test_the_cut_names_the_row_that_the_archive_has(whole: Path, path: Path) -> None:
    cut(path, 60)
    gone = verify(path).gone
    for table, at in gone.cuts.items():
        assert (at.hash,) in [(row[-1],) if table != "transitions" else (row[-2],) for row in rows(whole, table)]
        assert verify(whole, head=at.hash).fine


def test_the_journal_goes_on_and_can_be_pruned_again(path: Path, story: Any) -> None:
    first = cut(path, 55)
    with open_store(path, mode="write") as store:
        Journal(store, "run-2").commit(Batch(transitions=story.round_trip("ETHUSDT", 1, TO_MS)[:1]))
    assert verify(path).fine
    assert verify(path, tail_only=True).fine
    second = cut(path, 41)
    report = verify(path)
    assert report.fine, report.problems
    assert report.gone.cuts["transitions"].last_id == first["transitions"] + second["transitions"]
    assert replay(whole_of(path)).different == 0


def whole_of(path: Path) -> Path:
    """The same without the invented trade, which no rules ever decided."""
    execute(path, "DELETE FROM transitions WHERE symbol = 'ETHUSDT'")
    return path


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE transitions SET reason = 'OTHER' WHERE id = (SELECT min(id) FROM transitions)", "transitions"),
        ("DELETE FROM transitions WHERE id = (SELECT min(id) FROM transitions)", "transitions"),
        ("DELETE FROM decisions WHERE id = (SELECT min(id) FROM decisions)", "decisions"),
        ("UPDATE trades SET net_pnl = '1000000' WHERE number = 1", "trades"),
        ("DELETE FROM trades WHERE number = 1", "trades"),
        ("UPDATE orders SET side = 'NONE' WHERE created_ms = (SELECT min(created_ms) FROM orders)", "orders"),
        ("UPDATE symbols SET trades_opened = 0", "symbols"),
        ("UPDATE system_events SET facts_json = '{}' WHERE kind = 'PRUNED'", "system_events"),
        ("DELETE FROM system_events WHERE kind = 'PRUNED'", "system_events"),
    ],
)
def test_what_is_changed_afterwards_is_found(path: Path, statement: str, table: str) -> None:
    cut(path, 60)
    execute(path, statement)
    assert table in {found.table for found in verify(path).problems}


def test_a_trade_of_before_the_cut_cannot_be_rewritten_with_its_own_hash(path: Path) -> None:
    """Whoever can recompute the row's hash still meets the sum that the chained row names."""
    from store.models import Trade
    from store.tables import TABLES

    cut(path, 60)
    table = TABLES[Trade]
    values = list(rows(path, "trades")[0][: len(table.hashed)])
    values[table.hashed.index("net_pnl")] = "1000000"
    digest = table.canonical.digest(values)
    execute(path, f"UPDATE trades SET net_pnl = '1000000', row_hash = '{digest}' WHERE number = 1")
    assert "trades" in {found.table for found in verify(path).problems}


def test_a_trade_that_is_open_keeps_all_of_its_life(path: Path, story: Any) -> None:
    with open_store(path, mode="write") as store:
        journal = Journal(store, "run-2")
        for row in story.round_trip("ETHUSDT", 1, TO_MS)[:4]:
            journal.commit(Batch(transitions=[row]))
        at_ms = TO_MS + 200 * DAY_MS
        journal.commit(Batch(system_events=[story.event(at_ms)], errors=[story.error(at_ms)]))
    cut(path, KEEP_DAYS_MIN)
    left = rows(path, "transitions")
    assert [row[4] for row in left] == ["signal", "enter", "fill", "protect"]
    assert verify(path).fine
    assert len(rows(path, "regimes")) == 1, "which regime a symbol is in is asked of its newest row"


def test_what_limits_look_back_on_is_never_removed(path: Path) -> None:
    with pytest.raises(StoreError, match="fewer than 40 days"):
        cut(path, 30)


def test_a_size_is_estimated_within_a_few_percent(path: Path) -> None:
    with open_store(path, mode="read") as store:
        room = room_after(store.connection, newest_ms(store.connection) - 50 * DAY_MS)
    cut(path, 50)
    assert abs(room.bytes / path.stat().st_size - 1) < 0.15


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from store.copies import keep_copies, restore
from store.lock import ProcessLock

folder, whole, copy = map(Path, sys.argv[1:])

def restored(path, left):
    def step(event, args):
        nonlocal left
        if event in ("os.rename", "os.link", "os.remove") or (event == "kill" and args):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    with ProcessLock(path):
        restore(path, copy, at_ms=1_750_000_000_000)
        keep_copies(path, path.parent / "copies", keep=1, at_ms=1_750_000_000_000)
        keep_copies(path, path.parent / "copies", keep=1, at_ms=1_750_000_001_000)

for number in range(100):
    path = folder / str(number) / "bot.sqlite"
    path.parent.mkdir()
    shutil.copy(whole, path)
    child = os.fork()
    if child == 0:
        restored(path, number)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
    if os.waitstatus_to_exitcode(status) == 0:
        break
"""


@pytest.mark.slow
def test_a_death_at_any_step_of_restoring_leaves_one_whole_database(whole: Path, tmp_path: Path) -> None:
    """kill -9 before each change of a name: the database is the old one or the copy, and no copy is lost."""
    older = Path(shutil.copy(whole, tmp_path / "older.sqlite"))
    cut(older, 60)
    known = {len(rows(whole, "transitions")), len(rows(older, "transitions"))}
    ended = subprocess.run(  # one process that forks, so that each death costs no start
        [sys.executable, "-c", KILLED, tmp_path, whole, older],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    *deaths, last = [int(code) for code in ended.stdout.split()]
    assert set(deaths) == {-signal.SIGKILL}
    assert last == 0
    assert len(deaths) > 5
    for number in range(len(deaths) + 1):
        folder = tmp_path / str(number)
        path = folder / "bot.sqlite"
        assert len(rows(path, "transitions")) in known
        assert verify(path).fine
        for copy in (folder / "copies").glob("bot-*Z.sqlite"):
            assert verify(copy).fine
        if number == len(deaths):
            break
        with ProcessLock(path):  # and again, without a death
            restore(path, older, at_ms=1_760_000_000_000)
        assert len(rows(path, "transitions")) == len(rows(older, "transitions"))


PRUNING = """
import sys
from pathlib import Path
from store.lock import ProcessLock
from store.pruning import prune
with ProcessLock(Path(sys.argv[1])):
    print("begins", flush=True)
    prune(Path(sys.argv[1]), before_ms=int(sys.argv[2]), run_id="prune-1")
"""


def test_a_death_while_pruning_leaves_it_whole_or_pruned(whole: Path, tmp_path: Path) -> None:
    """kill -9 after ever more of its writes have reached the files; the first one is left to its end, which shows how
    long that takes here."""
    lasted_s, seen = pruning(Path(shutil.copy(whole, tmp_path / "whole.sqlite")), None), set()
    for number in range(12):
        path = Path(shutil.copy(whole, tmp_path / f"{number}.sqlite"))
        pruning(path, lasted_s * number * number / 100)
        report = verify(path)
        assert report.fine, report.problems
        seen.add(bool(report.gone.cuts))
        with ProcessLock(path):
            prune(path, before_ms=TO_MS - 60 * DAY_MS, run_id="prune-2")
        assert verify(path).fine
        with open_store(path, mode="read") as store:
            assert pruned(store.connection).cuts
    assert bool(verify(tmp_path / "whole.sqlite").gone.cuts)
    assert False in seen


def pruning(path: Path, kill_after_s: float | None) -> float:
    """Prune in a process of its own, which may be killed meanwhile; the seconds that it took."""
    process = subprocess.Popen(
        [sys.executable, "-c", PRUNING, path, str(TO_MS - 60 * DAY_MS)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    began_s = time.monotonic()
    try:
        process.wait(kill_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()
    process.stdout.close()
    return time.monotonic() - began_s


class TestCopies:
    def test_a_copy_of_a_damaged_database_is_no_copy(self, path: Path, tmp_path: Path) -> None:
        execute(path, "UPDATE transitions SET reason = 'OTHER' WHERE id = 5")
        with pytest.raises(DatabaseDamaged, match="transitions 5"):
            verified_backup(path, tmp_path / "copy.sqlite")
        assert not (tmp_path / "copy.sqlite").exists()

    def test_the_oldest_make_room_and_nothing_else_does(self, path: Path, tmp_path: Path) -> None:
        folder = tmp_path / "copies"
        folder.mkdir()
        (folder / "other-20200101T000000Z.sqlite").write_text("another bot's")
        made = [keep_copies(path, folder, keep=2, at_ms=TO_MS + number * 1_000) for number in range(4)]
        assert [kept.removed for kept in made[:2]] == [(), ()]
        assert made[3].removed == (made[1].copy,)
        assert sorted(file.name for file in folder.iterdir()) == sorted(
            ["other-20200101T000000Z.sqlite", made[2].copy.name, made[3].copy.name]
        )

    def test_a_damaged_database_removes_no_good_copy(self, path: Path, tmp_path: Path) -> None:
        folder = tmp_path / "copies"
        folder.mkdir()
        good = keep_copies(path, folder, keep=1, at_ms=TO_MS).copy
        execute(path, "UPDATE transitions SET reason = 'OTHER' WHERE id = 5")
        with pytest.raises(DatabaseDamaged):
            keep_copies(path, folder, keep=1, at_ms=TO_MS + 1_000)
        assert good.exists()
        assert verify(good).fine

    def test_restoring_sets_aside_what_is_there_with_what_waits_beside_it(
        self, whole: Path, path: Path, story: Any
    ) -> None:
        died = path.with_name("died.sqlite")
        with open_store(path, mode="write") as store:
            Journal(store, "run-2").commit(Batch(errors=[story.error(TO_MS)]))
            for ending in ("", "-wal"):  # as a bot leaves them that was killed
                shutil.copy(f"{path}{ending}", f"{died}{ending}")
        path = died
        with ProcessLock(path):
            done = restore(path, whole, at_ms=TO_MS)
        (aside,) = done.aside
        beside = {file for file in path.parent.glob("died*") if not file.name.endswith(".lock")}
        assert beside == {path, aside}, "nothing of another database waits beside it"
        assert len(rows(aside, "errors")) == len(rows(whole, "errors")) + 1
        assert rows(path, "errors") == rows(whole, "errors")

    def test_a_copy_that_does_not_verify_changes_nothing(self, whole: Path, path: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copy(whole, tmp_path / "copy.sqlite"))
        execute(copy, "UPDATE fills SET price = '1' WHERE id = 1")
        with ProcessLock(path), pytest.raises(DatabaseDamaged, match="nothing was changed"):
            restore(path, copy, at_ms=TO_MS)
        assert verify(path).fine
        assert not list(path.parent.glob("*.aside-*"))
