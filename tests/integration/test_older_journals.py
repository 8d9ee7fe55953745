"""Journals of older versions are decided again as they were decided then, for ever."""

from __future__ import annotations

import lzma
from pathlib import Path

import apsw
import msgspec
import pytest

from exchange.sim.symbols import shipped_folder
from fsm.config import load_config
from fsm.core.scene import EDITION
from fsm.lab.backtest import Request, run_backtest
from fsm.lab.replay import _World, replay
from rules.load import load_rules

ROOT = Path(__file__).parents[2]
JOURNALS = Path("shared") / "data" / "journals"
FROM_MS, TO_MS = 1_725_148_800_000, 1_725_753_600_000  # a week


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("own") / "out.sqlite"
    run_backtest(
        Request(
            config=load_config(ROOT / "config.yaml", None, {}),
            rules=load_rules(ROOT / "rules.yaml"),
            data=(shipped_folder(),),
            symbols=("BTCUSDT",),
            from_ms=FROM_MS,
            to_ms=TO_MS,
            db=db,
        )
    )
    return db


def released() -> list[Path]:
    """Databases that released versions wrote, where they lie beside the project."""
    return [path for parent in ROOT.parents for path in sorted((parent / JOURNALS).glob("*.sqlite.xz"))]


def test_a_run_writes_down_which_machine_decides_it(own: Path) -> None:
    connection = apsw.Connection(str(own), flags=apsw.SQLITE_OPEN_READONLY)
    ((facts,),) = connection.execute("SELECT facts_json FROM system_events WHERE kind = 'START'")
    connection.close()
    assert msgspec.json.decode(facts)["edition"] == EDITION


def test_a_run_that_does_not_say_so_was_decided_by_the_first() -> None:
    assert msgspec.json.decode(b'{"filters": {}, "brackets": {}}', type=_World).edition == 1


def test_what_this_and_older_versions_wrote_is_decided_alike(own: Path, tmp_path: Path) -> None:
    paths = [own]
    for packed in released():
        paths.append(tmp_path / packed.stem)
        paths[-1].write_bytes(lzma.decompress(packed.read_bytes()))
    for path in paths:
        report = replay(path)
        assert report.decisions > 0
        assert report.different == 0, (path.name, report.differences)
