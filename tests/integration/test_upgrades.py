"""An upgrade that is killed leaves the old database or the new one, whole, whichever step it had reached (R52)."""

from __future__ import annotations

import lzma
import os
import shutil
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
from tests.effort import FULL
from tests.integration.dying_upgrade import LIVES, DyingUpgrade

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT.parent / "shared" / "data" / "journals").glob("*.sqlite.xz"))
SHIPPED = sorted((ROOT / "tests" / "data" / "journals").glob("*.sqlite.xz"))


@pytest.mark.parametrize("packed", [*SHIPPED, *KEPT], ids=lambda path: path.name)
def test_r52_killed_before_each_of_its_statements_it_is_the_old_or_the_new_database(
    packed: Path, tmp_path: Path
) -> None:
    original = tmp_path / "original.sqlite"
    original.write_bytes(lzma.decompress(packed.read_bytes()))
    before = check(original).found
    assert before < SCHEMA_VERSION
    versions = set()
    with DyingUpgrade() as dying:
        whole = Path(shutil.copy(original, tmp_path / "whole.sqlite"))
        count = dying.upgrade(whole, dies_before=LIVES)
        assert count is not None
        versions.add(judged(whole, before))
        # most statements are the same INSERT, of which every thirty-first is enough
        deaths = [*range(30), *range(30, count - 5, 31), *range(count - 5, count)]
        assert len(deaths) > 35
        deaths = deaths if FULL else [*deaths[:20:2], *deaths[20:-5:4], *deaths[-5:]]
        for number in deaths:
            path = Path(shutil.copy(original, tmp_path / f"{number}.sqlite"))
            assert dying.upgrade(path, dies_before=number) is None
            versions.add(judged(path, before))
    assert versions == {before, SCHEMA_VERSION}


def judged(path: Path, before: int) -> int:
    """The version in which an upgrade left it; then it is upgraded, and removed."""
    found = check(path).found
    assert found in (before, SCHEMA_VERSION)
    for copy in path.parent.glob(f"{path.name}.schema*.backup"):
        assert check(copy).found == before, "a backup is whole as soon as it has its name"
    upgrade(path, at_ms=8)
    assert check(path).fine
    path.unlink()
    return found


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
