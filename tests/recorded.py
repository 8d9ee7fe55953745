"""A database as the shipped files make it from the shipped candles of BTCUSDT, for tests that only read one."""

from __future__ import annotations

from pathlib import Path

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from rules.load import load_rules

ROOT = Path(__file__).parents[1]


def recorded(db: Path, *, from_ms: int, to_ms: int) -> Path:
    """Run a backtest into this file, and give it back."""
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
    return db
