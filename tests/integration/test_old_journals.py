"""Databases that earlier versions wrote open, verify and decide again with 0 differences, for ever (R52)."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from fsm.bootstrap import RECORDED_WORDS
from fsm.journal.replay import replay
from store.migrations import upgrade
from store.verify import verify

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT.parent / "shared" / "data" / "journals").glob("*.sqlite.xz"))
SHIPPED = sorted((ROOT / "tests" / "data" / "journals").glob("*.sqlite.xz"))


@pytest.mark.parametrize("packed", [*SHIPPED, *KEPT], ids=lambda path: path.name)
def test_r52_a_database_of_an_earlier_version_verifies_and_replays(packed: Path, tmp_path: Path) -> None:
    path = tmp_path / packed.name.removesuffix(".xz")
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    upgrade(path, at_ms=0)
    assert verify(path).problems == ()
    report = replay(path, words=RECORDED_WORDS)
    assert report.different == 0, report.differences[:3]
    assert report.identical > 200


def test_r52_at_least_one_such_database_is_always_there() -> None:
    assert SHIPPED
