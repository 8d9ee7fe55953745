"""An upgrade that is killed leaves the old database or the new one, whole, whichever step it had reached (R52)."""

from __future__ import annotations

import lzma
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from fsm.bootstrap import RECORDED_WORDS
from fsm.journal.replay import replay
from store.errors import SchemaMismatch
from store.migrations import upgrade
from store.migrations.schema import SCHEMA_VERSION, check
from store.verify import verify

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT.parent / "shared" / "data" / "journals").glob("*.sqlite.xz"))
SHIPPED = sorted((ROOT / "tests" / "data" / "journals").glob("*.sqlite.xz"))

# One process that forks: a child upgrades, and kills itself before its n-th statement. Each child is told on a line.
# Most statements are the same INSERT, of which every thirty-first is enough.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import apsw
from store.migrations import upgrade

folder, original = Path(sys.argv[1]), Path(sys.argv[2])

def forked(number, path):
    child = os.fork()
    if child == 0:
        seen = 0
        def trace(cursor, sql, bindings):
            nonlocal seen
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            return True
        apsw.connection_hooks.append(lambda connection: setattr(connection, "exec_trace", trace))
        upgrade(path, at_ms=7)
        (folder / "statements").write_text(str(seen))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(path.name, os.waitstatus_to_exitcode(status), flush=True)

forked(-1, Path(shutil.copy(original, folder / "whole.sqlite")))
last = int((folder / "statements").read_text())
for number in [*range(30), *range(30, last - 5, 31), *range(last - 5, last)]:
    forked(number, Path(shutil.copy(original, folder / f"{number}.sqlite")))
"""


@pytest.mark.parametrize("packed", [*SHIPPED, *KEPT], ids=lambda path: path.name)
def test_r52_killed_before_each_of_its_statements_it_is_the_old_or_the_new_database(
    packed: Path, tmp_path: Path
) -> None:
    original = tmp_path / "original.sqlite"
    original.write_bytes(lzma.decompress(packed.read_bytes()))
    before = check(original).found
    assert before < SCHEMA_VERSION
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, original],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    first, *others = (line.split() for line in done.stdout.splitlines())
    assert first == ["whole.sqlite", "0"]
    assert {code for _, code in others} == {str(-signal.SIGKILL)}
    assert len(others) > 35
    seen = set()
    for name, _ in (first, *others):
        path = tmp_path / name
        seen.add(found := check(path).found)
        assert found in (before, SCHEMA_VERSION)
        for copy in tmp_path.glob(f"{name}.schema*.backup"):
            assert check(copy).found == before, "a backup is whole as soon as it has its name"
        upgrade(path, at_ms=8)
        assert check(path).fine
        path.unlink()
    assert seen == {before, SCHEMA_VERSION}


@pytest.mark.parametrize("packed", SHIPPED, ids=lambda path: path.name)
def test_r52_after_a_death_in_the_middle_it_verifies_and_decides_again(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("BEGIN IMMEDIATE")  # as a process leaves it that dies before its commit
    connection.execute("CREATE TABLE seals (name TEXT PRIMARY KEY NOT NULL)")
    connection.close()
    upgrade(path, at_ms=8)
    assert verify(path).problems == ()
    assert replay(path, words=RECORDED_WORDS).different == 0


def test_r52_a_downgrade_is_refused_in_words_and_says_both_ways_back(tmp_path: Path) -> None:
    """This program stands for the older one: a later version has been there."""
    path = tmp_path / "bot.sqlite"
    path.write_bytes(lzma.decompress(SHIPPED[0].read_bytes()))
    upgrade(path, at_ms=7)
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO schema_version VALUES (?, 'later', 9)", (SCHEMA_VERSION + 1,))
    connection.close()
    before = path.read_bytes()
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    with pytest.raises(SchemaMismatch) as refused:
        upgrade(path, at_ms=8)
    assert f"has schema {SCHEMA_VERSION + 1}, this program knows {SCHEMA_VERSION}" in refused.value.message
    assert "install that version, or restore the backup made before the upgrade" in refused.value.hint
    done = subprocess.run(
        [sys.executable, "-m", "fsm", "run", "--no-web", "--db", str(path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BINANCE_ENV": "sim"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert f"has schema {SCHEMA_VERSION + 1}" in done.stderr
    assert path.read_bytes() == before
