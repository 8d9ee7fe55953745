"""A database as the shipped files make it from the shipped candles of BTCUSDT, for tests that only read one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from rules.load import load_rules

ROOT = Path(__file__).parents[1]


def recorded(db: Path, *, from_ms: int, to_ms: int) -> Path:
    """The database of a backtest over this span, in this file, which is given back."""
    db.write_bytes(_recorded(from_ms, to_ms))
    return db


@cache
def _recorded(from_ms: int, to_ms: int) -> bytes:
    """Several modules want the same one: it is made once."""
    with TemporaryDirectory() as folder:
        db = Path(folder) / "recorded.sqlite"
        run_backtest(
            Request(
                config=load_config(ROOT / "config.yaml", None, {}),
                rules=load_rules(ROOT / "rules.yaml"),
                data=(shipped_folder(),),
                symbols=("BTCUSDT",),
                from_ms=from_ms,
                to_ms=to_ms,
                db=db,
            )
        )
        assert [path.name for path in Path(folder).iterdir()] == [db.name], "it is whole in one file"
        return db.read_bytes()
