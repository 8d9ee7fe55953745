"""A run writes down which edition of the machine decides it, and is decided again by that one."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

from fsm.core.model.decision_context import EDITION
from fsm.journal.replay import _World, replay
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
FROM_MS, TO_MS = 1_725_148_800_000, 1_725_753_600_000  # a week


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("own") / "out.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


def test_a_run_writes_down_which_machine_decides_it(own: Path) -> None:
    connection = apsw.Connection(str(own), flags=apsw.SQLITE_OPEN_READONLY)
    ((facts,),) = connection.execute("SELECT facts_json FROM system_events WHERE kind = 'START'")
    connection.close()
    assert msgspec.json.decode(facts)["edition"] == EDITION


def test_a_run_that_does_not_say_so_was_decided_by_the_first() -> None:
    assert msgspec.json.decode(b'{"filters": {}, "brackets": {}}', type=_World).edition == 1


def test_what_this_version_wrote_is_decided_alike(own: Path) -> None:
    """Those of older versions: test_old_journals.py."""
    report = replay(own)
    assert report.different == 0
    assert report.identical > 0
