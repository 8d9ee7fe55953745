"""A real journal for the window's tests: a backtest on shipped candles, and what a running daemon leaves beside it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.core.model.records import AccountRecord
from fsm.live.process import documents
from rules.load import load_rules
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.journal import Journal
from store.rows import AlertRow, DocumentRow, PositionMark, SystemEventRow, TransitionRow
from web.app import create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for httpx2; httpx is what we have
    from starlette.testclient import TestClient

ROOT = Path(__file__).parents[3]
FROM_MS, TO_MS = 1_727_740_800_000, 1_733_011_200_000  # 2024-10-01 to 2024-12-01
SYMBOLS = ("BTCUSDT", "DOGEUSDT")
TOKEN = "a-token-that-nobody-guesses-7Q"
BUCKETS = {
    "sum_ms": 280.5,
    "buckets": [{"le_ms": 50, "count": 0}, {"le_ms": 100, "count": 2}, {"le_ms": None, "count": 1}],
}
WALL_MS = 1_800_000_000_000
"""What the window takes for real time in these tests."""


class Daemon:
    """Writes to a database as a running bot would. Every time follows from what is stored already."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.journal = Journal(store, run_id="test0001")

    def document(self, name: str, body: Any) -> None:
        row = DocumentRow(name=name, at_ms=TO_MS, body_json=msgspec.json.encode(body).decode())
        self.journal.commit(Batch(documents=[row]))

    def again(self, row: TransitionRow, at_ms: int) -> int:
        """Journal a step once more: the symbol is then where it was after it."""
        fresh = replace(row, id=0, at_ms=at_ms, prev_hash="", hash="", run_id="")
        self.journal.commit(Batch(transitions=[fresh]))
        return queries.newest_ids(self.store).transition

    def account(self, record: AccountRecord) -> None:
        facts = msgspec.json.encode({"account": record}).decode()
        row = SystemEventRow(at_ms=TO_MS, kind="ACCOUNT", reason="TEST", facts_json=facts)
        self.journal.commit(Batch(system_events=[row]))

    def alert(self, text: str, at_ms: int = TO_MS) -> None:
        row = AlertRow(
            at_ms=at_ms, kind="kill_switch", severity="error", text=text, dedupe_key=f"{text} {at_ms}", due_ms=at_ms
        )
        self.journal.commit(Batch(alerts=[row]))

    def newest(self, symbol: str, state: str) -> TransitionRow:
        return queries.transitions(self.store, queries.TransitionFilter(symbol=symbol, state=state), limit=1).rows[0]

    def hold(self, symbol: str) -> TransitionRow:
        """Leave the symbol's last trade open and protected, with its mark."""
        row = self.newest(symbol, "PROTECTED")
        self.again(row, TO_MS)
        mark = PositionMark(
            symbol=symbol,
            mark=Decimal("96500.1"),
            upnl=Decimal("12.5"),
            liquidation_price=Decimal("50123.4"),
            isolated_wallet=Decimal("2500"),
            updated_ms=TO_MS,
        )
        self.journal.commit(Batch(marks=[mark]))
        return row


def limits_document() -> dict[str, Any]:
    """In the shape of fsm.live.process.documents.limits."""
    losses = [
        {"name": name, "period": period, "allowed": allowed, "used": "35.5", "left": left}
        for name, period, allowed, left in (
            ("LIMIT_DAY", "2024-12-01", "200", "164.5"),
            ("LIMIT_WEEK", "2024-W48", "500", "464.5"),
            ("LIMIT_MONTH", "2024-12", "1000", "964.5"),
            ("LIMIT_DRAWDOWN", "all", "1500", "1464.5"),
        )
    ]
    rooms = {name: {"allowed": "3", "used": "1"} for name in ("open_positions", "open_risk", "exposure")}
    return {"losses": losses, "action": "BLOCK_ENTRIES", "halt": None, "paused": False, **rooms}


@pytest.fixture(scope="session")
def backtest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished backtest; tests get copies."""
    path = tmp_path_factory.mktemp("web") / "journal.sqlite"
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
    return path


@pytest.fixture
def path(backtest: Path, tmp_path: Path) -> Path:
    """A copy of the backtest's database."""
    for source in backtest.parent.glob("journal.sqlite*"):
        shutil.copy(source, tmp_path / source.name)
    return tmp_path / "journal.sqlite"


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    """A writer on the database, with an open position and every document."""
    with open_store(path, mode="write", at_ms=TO_MS) as store:
        writer = Daemon(store)
        row = writer.hold("BTCUSDT")
        writer.document("machine", documents.machine())
        writer.document("limits", limits_document())
        settings = load_config(ROOT / "config.yaml", None, {}).settings
        writer.document("config", {"config": settings.plain(), "config_hash": "c" * 64})
        trade = queries.trade(store, row.trade_id or "")
        assert trade is not None
        stop = queries.positions(store)[0].stop_client_order_id
        writer.document(
            "health",
            {
                "pid": 1,
                "decided_ms": TO_MS,
                "equity_age_ms": 900,
                "exchange_failures": 0,
                "open": ["BTCUSDT"],
                "protection": {"count": 3, "p50_ms": 80.5, "p99_ms": 120.0, "max_ms": 120.0, "late": 0, **BUCKETS},
                "wall_ms": WALL_MS - 2_000,
                "clock": {"offset_ms": -40, "measured_ms": TO_MS, "measured_age_ms": 9_000, "round_trip_ms": 30},
                "stream": "connected",
                "speed": 600,
                "loop_lag_ms": 1.5,
                "tasks": {"reload": {"failures": 2, "last": "OSError: x", "last_wall_ms": 1, "is_working": True}},
                "output": {"stdout": {"dropped": 7, "errors": 1}, "stderr": {"dropped": 0, "errors": 0}},
                "files_looked_wall_ms": WALL_MS - 3_000,
                "stops": {"BTCUSDT": {"client_id": stop, "verified_wall_ms": WALL_MS - 4_000}},
            },
        )
        writer.alert("a limit stopped entries")
        yield writer


class Clock:
    """Counts seconds when told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


Visit = Callable[..., Any]


@pytest.fixture
def visit(path: Path, clock: Clock) -> Visit:
    """Opens a window on the database and gives a browser in it: ``with visit(token=…) as browser``."""

    @contextmanager
    def opened(
        *,
        token: str | None = TOKEN,
        host: str = "127.0.0.1",
        peer: str = "127.0.0.1",
        bearer: str | None = None,
        db: Path | None = None,
    ) -> Iterator[TestClient]:
        app = create_app(db or path, token=token, wall_ms=lambda: WALL_MS, clock=clock)
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else None
        with TestClient(app, base_url=f"http://{host}", client=(peer, 50_000), headers=headers) as client:
            yield client

    return opened


@pytest.fixture
def browser(visit: Visit, daemon: Daemon) -> Iterator[TestClient]:
    """A caller with the right token, beside a running daemon."""
    with visit(bearer=TOKEN) as client:
        yield client
