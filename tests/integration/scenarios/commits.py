"""Commits that fail as they really do: the database is locked by somebody else, or the disk takes no more bytes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import apsw
from msgspec import json

from exchange.sim.port_faults import Call
from fsm.core.model.records import SymbolRecord
from fsm.proofs.testkit.in_process_bot import InProcessBot
from store import queries
from store.database import open_store


class Trouble(StrEnum):
    LOCKED = "SQLITE_BUSY"
    FULL = "disk full"


@dataclass
class Failing:
    """Counts the transactions that begin, and makes some of them fail."""

    path: Path
    kind: Trouble
    first: int
    times: int
    begun: int = 0
    failed: int = 0
    _locker: apsw.Connection | None = field(default=None)
    _limits: tuple[int, int] | None = field(default=None)

    def __call__(self, cursor: Any, sql: str, bindings: Any) -> bool:
        if sql.startswith("BEGIN"):
            self.release()
            self.begun += 1
            if self.first <= self.begun < self.first + self.times:
                self.failed += 1
                self.strike()
        return True

    def strike(self) -> None:
        if self.kind is Trouble.LOCKED:
            self._locker = apsw.Connection(str(self.path))
            self._locker.execute("BEGIN IMMEDIATE")
            return
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        written = Path(f"{self.path}-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (written, self._limits[1]))

    def release(self) -> None:
        if self._locker is not None:
            self._locker.close()
            self._locker = None
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
            self._limits = None


@contextmanager
def failing_commits(r: InProcessBot, kind: Trouble, *, first: int, times: int) -> Iterator[Failing]:
    """From the ``first`` transaction on, so many of the daemon's fail. A lock is not waited for."""
    assert r.store is not None
    connection = r.store.connection
    connection.set_busy_timeout(0)
    failing = connection.exec_trace = Failing(r.db, kind, first, times)
    try:
        yield failing
    finally:
        failing.release()
        if r.store is not None:
            connection.exec_trace = None


class Durable:
    """A witness that at each order reads the database from outside: its intent must be there, or the plan it is of."""

    def __init__(self, r: InProcessBot) -> None:
        self._r = r
        self.sent = 0
        self.undurable: list[Call] = []

    def __call__(self, call: Call) -> None:
        if call.method not in ("place_order", "place_algo") or not call.client_id or "-0-" in call.client_id:
            return
        self.sent += 1
        with open_store(self._r.db, mode="read") as store:
            found = store.connection.execute("SELECT 1 FROM intents WHERE client_id = ?", (call.client_id,)).fetchall()
            plan = queries.symbol(store, call.symbol)
        if found:
            return
        trade = None if plan is None else json.decode(plan.record_json, type=SymbolRecord).trade
        if trade is None or not call.client_id.endswith(f"-{trade.number}-S1.1"):
            self.undurable.append(call)
