"""The bot as a process of its own, before an exchange emulator that is another: started, watched, killed, stopped.

Simulated time moves only when it is told to, so nothing is missed while the bot is dead. Whether the bot has answered
what happened is read from outside: from its database, and from the account behind the emulator's counter.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from decimal import Decimal
from pathlib import Path

import msgspec

from exchange.client_ids import Leg, parse
from exchange.sim.server.launch import Launched
from exchange.sim.server.remote import RemoteSimulation, Shown
from fsm.core.model.records import State, SymbolRecord, Trade, TradeSide
from store import queries
from store.database import Store, open_store
from store.errors import StoreError
from store.outbox import Outbox

POLL_S = 0.02
ANSWER_S_MAX = 180.0
"""How long a bot may take to answer; on a machine that is busy with other things a start alone takes seconds."""

NAKED_S_MAX = 6.0
"""The protection deadline, and a second for looking."""

NAKED_AFTER_START_S_MAX = 10.0
"""From a process's start to its stop, Python's own start included (R40). On a machine on which an undisturbed start
takes longer, all real times stretch: then it is as long as that start."""

_ORDER_PATHS = {"/fapi/v1/order": "newClientOrderId", "/fapi/v1/algoOrder": "clientAlgoId"}


class NoAnswer(Exception):
    """The bot did not come to rest; the message says what was open."""


class Exposure(msgspec.Struct):
    """The longest time that a position was without a stop, in real seconds while a bot was alive."""

    start_s: float = 0.0
    longest_s: float = 0.0
    longest_after_start_s: float = 0.0
    late: int = 0
    _since: dict[str, float] = msgspec.field(default_factory=dict)

    def look(self, shown: Shown, started_s: float) -> None:
        now_s, stops = time.monotonic(), shown.stops()
        naked = {symbol for symbol in shown.held() if symbol not in stops}
        self._since = {symbol: since for symbol, since in self._since.items() if symbol in naked}
        for symbol in naked:
            since_s = self._since.setdefault(symbol, now_s)
            if started_s > since_s:
                lasted_s, limit_s = now_s - started_s, max(NAKED_AFTER_START_S_MAX, self.start_s)
                self.longest_after_start_s = max(self.longest_after_start_s, lasted_s)
            else:
                lasted_s, limit_s = now_s - since_s, max(NAKED_S_MAX, self.start_s)
                self.longest_s = max(self.longest_s, lasted_s)
            if lasted_s > limit_s:
                self.late += 1
                self._since[symbol] = now_s

    def died(self) -> None:
        """What is without a stop now waits for the next process."""
        self._since = dict.fromkeys(self._since, 0.0)


class Ledger(msgspec.Struct):
    """Orders that the emulator accepted, by client id, from its own log of requests."""

    accepted: Counter[str] = msgspec.field(default_factory=Counter)
    _read_to: int = 0

    async def read(self, simulation: RemoteSimulation) -> None:
        for asked in await simulation.requests(self._read_to):
            self._read_to = asked.number
            named = _ORDER_PATHS.get(asked.path)
            if asked.method == "POST" and named is not None and asked.status == 200:
                self.accepted[asked.params.get(named, "")] += 1

    def repeated(self) -> list[str]:
        """Ids that became more than one order, and trades with more than one entry; the self-test's probes apart."""
        found = [
            client_id
            for client_id, count in self.accepted.items()
            if count > 1 and (parts := parse(client_id)) is not None and parts.leg is not Leg.PROBE
        ]
        entries: Counter[tuple[str, int]] = Counter()
        for client_id in self.accepted:
            parts = parse(client_id)
            if parts is not None and parts.leg is Leg.ENTRY:
                entries[parts.symbol_tag, parts.trade_number] += 1
        return found + [f"trade {number} of {tag} has {n} entries" for (tag, number), n in entries.items() if n > 1]


class RealBot:
    """Any number of processes one after the other, on one database."""

    def __init__(
        self,
        exchange: Launched,
        folder: Path,
        *,
        config: Path,
        rules: Path,
        options: Sequence[str] = ("--no-web",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.simulation = RemoteSimulation(exchange.rest)
        self.db = folder / "bot.sqlite"
        self.log = folder / "bot.log"
        self.exposure = Exposure()
        self.ledger = Ledger()
        self.starts = 0
        self.started_s = 0.0
        self._command = [sys.executable, "-m", "fsm", "--config", str(config), "--rules", str(rules)]
        self._command += ["--db", str(self.db), "run", *options]
        self._environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("BINANCE_", "TG_", "SIM_"))},
            "BINANCE_ENV": "sim",
            "SIM_REST_URL": exchange.rest,
            "SIM_WS_URL": exchange.ws,
            "BINANCE_API_KEY": exchange.api_key,
            "BINANCE_API_SECRET": exchange.api_secret,
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._store: Store | None = None
        self._version = -1

    def another(self, folder: Path, *, log: Path, program: Sequence[str] = ()) -> RealBot:
        """A bot with the same files and account, and a database of its own in ``folder``; ``program`` runs it."""
        found = copy(self)
        found.simulation = RemoteSimulation(self._environment["SIM_REST_URL"])
        found.db, found.log = folder / self.db.name, log
        found.exposure, found.ledger = Exposure(), Ledger()
        found._command = [str(found.db) if part == str(self.db) else part for part in self._command]
        if program:
            found._command[1:3] = program
        found._process, found._store, found._version = None, None, -1
        return found

    # --- processes ----------------------------------------------------------------------------
    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self, stdout: int | None = None, stderr: int | None = None) -> None:
        """A new process, which knows nothing of the ones before but what they wrote. Its words go to the log, or to
        these files."""
        self.starts += 1
        self.started_s = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                env=self._environment,
                stdout=log if stdout is None else stdout,
                stderr=log if stderr is None else stderr,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.exposure.died()

    def ended(self, within_s: float) -> int:
        """The exit code of a process that was told to end. Raises NoAnswer when it goes on."""
        assert self._process is not None
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"the bot did not end within {within_s:.0f} s") from None

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def forget(self) -> None:
        """Another file has taken the database's place: it is opened again when it is read next."""
        if self._store is not None:
            self._store.close()
        self._store, self._version = None, -1

    async def close(self) -> None:
        """End whatever runs; the database stays."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.forget()
        await self.simulation.aclose()

    # --- what it has done ---------------------------------------------------------------------
    @property
    def store(self) -> Store:
        """The journal, for reading."""
        if self._store is None:
            self._store = open_store(self.db, mode="read")
        return self._store

    async def until(self, holds: Callable[[], bool], what: str, *, meanwhile: Callable[[], None] | None = None) -> None:
        """Poll until something is so. Raises NoAnswer after ANSWER_S_MAX, or at once when the process has ended."""
        until_s = time.monotonic() + ANSWER_S_MAX
        while not holds():
            assert self._process is not None
            if self._process.poll() is not None:
                raise NoAnswer(f"the bot ended with {self._process.returncode} while it should have: {what}")
            if time.monotonic() > until_s:
                raise NoAnswer(f"in {ANSWER_S_MAX:.0f} s the bot did not: {what}")
            if meanwhile is not None:
                meanwhile()
            await asyncio.sleep(POLL_S)

    def is_ready(self) -> bool:
        """It takes decisions: the process that runs now has left its first document about itself."""
        try:
            found = queries.document(self.store, "health")
        except StoreError:  # it is not there yet, or half made
            return False
        return found is not None and msgspec.json.decode(found.body_json).get("pid") == self.pid

    def records(self) -> dict[str, SymbolRecord]:
        rows = queries.symbols(self.store)
        return {row.symbol: msgspec.json.decode(row.record_json, type=SymbolRecord) for row in rows}

    def has_written(self) -> bool:
        """Something new is in the journal since the last time that this was asked: cheap, unlike reading it."""
        version = self.store.data_version()
        changed, self._version = version != self._version, version
        return changed

    def has_decided(self, candle_ms: int, symbols: int) -> bool:
        """Every symbol has its decision on the candle that opened then."""
        found = queries.latest_decisions(self.store)
        return sum(row.last_ms >= candle_ms for row in found) >= symbols

    def agrees(self, shown: Shown) -> bool:
        """The journal remembers what the account has, and nothing is under way."""
        if Outbox(self.store).pending():
            return False
        held, stops = shown.held(), shown.stops()
        for symbol, record in self.records().items():
            quantity = held.pop(symbol, Decimal(0))
            trade = record.trade
            if record.state in (State.IDLE, State.HALT):
                if quantity or symbol in stops:
                    return False
            elif record.state is not State.PROTECTED or symbol not in stops or quantity != _signed(trade):
                return False
        return not held

    @property
    def is_flat(self) -> bool:
        """Nothing is open or under way as far as the journal knows."""
        return all(record.trade is None for record in self.records().values())

    async def look(self) -> Shown:
        """The account from behind the counter, with the time that a position is without a stop."""
        shown = await self.simulation.shown()
        self.exposure.look(shown, self.started_s)
        return shown


def _signed(trade: Trade | None) -> Decimal:
    if trade is None:
        return Decimal(0)
    return trade.open_quantity if trade.side is TradeSide.LONG else -trade.open_quantity
