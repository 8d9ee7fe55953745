"""What the browser looks at: a real backtest's journal, and beside it a writer that does what a running bot does."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.live.process import documents
from rules.load import load_rules
from store import queries
from store.batch import Batch
from store.database import Store
from store.journal import Journal
from store.rows import AlertRow, DocumentRow, PositionMark

ROOT = Path(__file__).parents[3]
FROM_MS, TO_MS = 1_725_148_800_000, 1_733_011_200_000  # 2024-09-01 to 2024-12-01
HELD = "BTCUSDT"
SYMBOLS = (HELD, "DOGEUSDT", "ETHUSDT")


def backtest(path: Path) -> None:
    """Three months of three symbols, with their trades."""
    request = Request(
        config=load_config(ROOT / "config.yaml", None, {}),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(shipped_folder(),),
        symbols=SYMBOLS,
        from_ms=FROM_MS,
        to_ms=TO_MS,
        db=path,
    )
    run_backtest(request)


class Show:
    """What a running daemon does to the database: holds the lock, holds a position, writes, carries out commands."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.journal = Journal(store, run_id="show0001")

    def document(self, name: str, body: Any) -> None:
        row = DocumentRow(name=name, at_ms=TO_MS, body_json=msgspec.json.encode(body).decode())
        self.journal.commit(Batch(documents=[row]))

    def repeat(self, symbol: str, state: str, at_ms: int) -> None:
        """Journal the newest step that led to a state once more."""
        (row,) = queries.transitions(self.store, queries.TransitionFilter(symbol=symbol, state=state), limit=1).rows
        fresh = replace(row, id=0, at_ms=at_ms, prev_hash="", hash="", run_id="")
        self.journal.commit(Batch(transitions=[fresh]))

    def settle_in(self) -> None:
        self.repeat(HELD, "PROTECTED", TO_MS)
        position = queries.positions(self.store)[0]
        assert position.entry is not None
        mark = PositionMark(
            symbol=HELD,
            mark=position.entry * Decimal("1.004"),
            upnl=position.entry * position.size * Decimal("0.004"),
            liquidation_price=position.entry / 2,
            isolated_wallet=Decimal("2400"),
            updated_ms=TO_MS,
        )
        alert = AlertRow(
            at_ms=TO_MS, kind="trade_opened", severity="info", text=f"{HELD}: opened", dedupe_key="1", due_ms=TO_MS
        )
        self.journal.commit(Batch(marks=[mark], alerts=[alert]))
        self.document("machine", documents.machine())
        self.document("limits", {"action": "BLOCK_ENTRIES", "losses": _losses()})
        self.document("config", {"config": load_config(ROOT / "config.yaml", None, {}).settings.plain()})
        self.pulse()

    def pulse(self) -> None:
        """The bot is there, and has just seen the stop."""
        (position,) = queries.positions(self.store)
        now_ms = time.time_ns() // 1_000_000
        verified = {HELD: {"client_id": position.stop_client_order_id, "verified_wall_ms": now_ms - 3_000}}
        self.document(
            "health",
            {"wall_ms": now_ms, "speed": 600, "stream": "connected", "stops": verified},
        )


def _losses() -> list[dict[str, str]]:
    rows = (
        ("LIMIT_DAY", "2024-12-01", 200, 62),
        ("LIMIT_WEEK", "2024-W48", 500, 141),
        ("LIMIT_MONTH", "2024-12", 1_000, 300),
        ("LIMIT_DRAWDOWN", "all", 1550, 640),
    )
    return [
        {"name": name, "period": period, "allowed": str(allowed), "used": str(used), "left": str(allowed - used)}
        for name, period, allowed, used in rows
    ]
