"""The bot under torture: one process after the other on one database, with everything that runs beside the daemon."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import structlog
from msgspec.structs import replace

from fsm.config import Config, read_environment, read_settings
from fsm.core.model.records import AccountRecord, SymbolRecord
from fsm.live.context.held import symbols_in_trade
from fsm.live.preflight.meeting import StartRefused
from fsm.live.process.assembly import assemble
from fsm.live.process.daemon import Daemon
from fsm.live.process.outside import messaging_of
from fsm.live.process.timekeeping import first_measured
from fsm.live.trading.protection_timer import ProtectionTimes
from fsm.live.trading.recovery import stored_records
from fsm.proofs.torture.checkers import InvariantChecker, same_records
from fsm.proofs.torture.failing_messenger import FailingMessenger
from fsm.proofs.torture.front import Front
from fsm.proofs.torture.machine import Machine
from fsm.proofs.torture.task_faults import TaskFaults
from fsm.proofs.torture.tortured_port import KillSwitch
from rules.load import Ruleset, parse_rules
from rules.source.yaml_source import SourceError, parse_source
from store.database import Store, open_store
from store.errors import StoreError
from store.lock import ProcessLock

DATABASE_ID = "70714e55"
ENVIRONMENT = {"BINANCE_ENV": "sim"}
RESTART_S = 2.0
BUSY_MS = 1
SYNCHRONOUS_OFF = 0
"""Torture asks what a killed process leaves, which SQLite keeps at any setting; power cuts are not part of it."""


Files = tuple[str, str]
"""The text of config.yaml and the hash of the rules."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a process remembered when it ended, and the files that it had accepted."""

    records: dict[str, SymbolRecord]
    account: AccountRecord
    files: Files


class BotProcess:
    """``files`` holds config.yaml and rules.yaml, which are read at each start and watched while it runs."""

    def __init__(
        self, folder: Path, front: Front, machine: Machine, checker: InvariantChecker, kill: KillSwitch
    ) -> None:
        self.db = folder / "torture.sqlite"
        self.config_path = folder / "config.yaml"
        self.rules_path = folder / "rules.yaml"
        self.times = ProtectionTimes()
        self.daemon: Daemon | None = None
        self.store: Store | None = None
        self.starts = 0
        self.messenger: FailingMessenger | None = None
        self.task_faults = TaskFaults()
        self.trouble = ""
        self._front = front
        self._machine = machine
        self._checker = checker
        self._kill = kill
        self._lock = ProcessLock(self.db)
        self._task: asyncio.Task[None] | None = None
        self._left: Left | None = None

    @property
    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def has_started(self) -> bool:
        return self.daemon is not None and self.daemon.started.is_set()

    def start(self) -> None:
        """A new process. A config or rules file that is wrong at this moment is what keeps it from starting."""
        self._lock.acquire()
        try:
            config = _config(self.config_path.read_text(encoding="utf-8"))
            rules = _rules(self.rules_path.read_text(encoding="utf-8"))
        except SourceError:
            self._lock.release()
            raise
        self.starts += 1
        at_ms = self._machine.true_ms()
        self.store = open_store(self.db, mode="write", at_ms=at_ms, busy_ms=BUSY_MS)
        self.store.connection.pragma("synchronous", SYNCHRONOUS_OFF)
        self.store.bind(environment="sim", account=None, at_ms=at_ms, database_id=DATABASE_ID)
        self._task = asyncio.create_task(self._live(config, rules, self.store))

    async def _live(self, config: Config, rules: Ruleset, store: Store) -> None:
        messenger, mouth = FailingMessenger(self.trouble, self._machine.true_ms), self._front.mouth()
        self.messenger = messenger
        clock = self._machine.process(mouth.exchange.server_time_ms)
        await first_measured(clock)
        daemon = await assemble(
            config=config,
            rules=rules,
            store=store,
            run_id=f"run{self.starts}",
            exchange=mouth.exchange,
            clock=clock,
            on_step=self._checker.stepped,
            listen=mouth.listen,
            config_path=self.config_path,
            rules_path=self.rules_path,
            times=self.times,
        )
        self.task_faults.lay(daemon.supervisor)
        self._compare(daemon)
        self.daemon = daemon
        self._checker.follow(daemon.live)
        daemon.beside += messaging_of(messenger, daemon, store, self.db)
        await daemon.run()

    def _compare(self, daemon: Daemon) -> None:
        """What the last process remembered when it ended is what this one begins with."""
        if self._left is None:
            return
        left, account = self._left, daemon.live.engine.account
        difference = same_records(left.records, self.records(daemon))
        self._checker.check("SURVIVES_RESTART", not difference, difference)
        if account.steps != left.account.steps and left.files != self._files():
            account = replace(account, steps=left.account.steps)  # files that allow more begin small steps anew
        self._checker.check("SURVIVES_RESTART", account == left.account, "the account's record differs")

    def _files(self) -> Files:
        rules = _rules(self.rules_path.read_text(encoding="utf-8"))
        return self.config_path.read_text(encoding="utf-8"), rules.hash

    def records(self, daemon: Daemon) -> dict[str, SymbolRecord]:
        """Of every symbol; one that is disabled and flat is no concern of this process, but is not forgotten."""
        known = {record.symbol: record for record in daemon.live.engine.machines.records()}
        return {**stored_records(daemon.live.journal.store), **known}

    def nudge(self, symbol: str) -> None:
        worker = self.daemon.workers.get(symbol) if self.daemon is not None else None
        if worker is not None and self.is_alive:
            worker.request_check()

    def failure(self) -> BaseException | None:
        """What ended the process, if it ended by itself."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        error = self._task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return error

    def may_be_refused(self, error: BaseException | None) -> bool:
        """While the account is in hedge mode a start with nothing open is refused; whoever runs it tries it again."""
        refused = isinstance(error, StartRefused) and "hedge mode" in str(error)
        return refused and self.store is not None and not symbols_in_trade(self.store)

    async def kill(self) -> None:
        """As kill -9: every task is dropped where it stands, nothing is written any more, the lock is free."""
        if self.daemon is not None:
            live = self.daemon.live
            files = (live.active.accepted.text, live.active.accepted.rules.hash)
            self._left = Left(self.records(self.daemon), live.engine.account, files)
        if isinstance(self.failure(), StoreError):
            self._left = None  # it ended because its memory was ahead of the disk
        if self.store is not None:
            self.store.close()
            self.store = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.exception()
            self._task = None
        self._checker.follow(None)  # what was just leaving as it was killed still follows from what it knew
        self.daemon = None
        self._kill.clear()
        self._lock.release()

    async def stop(self, wait_s: float) -> None:
        """As SIGTERM; whoever does not end in time is killed."""
        if self.daemon is not None and self._task is not None:
            self.daemon.stop()
            await asyncio.wait({self._task}, timeout=wait_s)
        await self.kill()


@lru_cache(maxsize=32)
def _config(text: str) -> Config:
    """Parsed once, as the rules are."""
    settings = read_settings(parse_source(text, "config.yaml"))
    return Config(settings=settings, environment=read_environment(None, ENVIRONMENT), text=text)


@lru_cache(maxsize=32)
def _rules(text: str) -> Ruleset:
    """Parsed once; the same few texts come again and again."""
    return parse_rules(text, "rules.yaml")


def quiet_logs() -> None:
    """A run logs years in minutes; what matters is in its database."""
    logging.getLogger("exchange").setLevel(logging.CRITICAL)
    structlog.configure(processors=[_dropped], wrapper_class=structlog.make_filtering_bound_logger("critical"))


def _dropped(logger: object, name: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    raise structlog.DropEvent
