"""The one supervisor: starts everything that goes on beside the workers, and again after each failure (R72).

A fault of ours stays where it happened: written down, told, counted, and tried again after a pause that grows (R53).
What cannot be written down is logged; only what acts on what it writes ends a process over a lost journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import msgspec
import structlog

from fsm.journal.writer import JournalWriter
from fsm.live.context.clock import Clock
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.news import fault_news
from store.errors import StoreError

log = structlog.get_logger("fsm.fence")

AGAIN_S = (1.0, 5.0, 15.0, 60.0, 300.0)
"""Pauses before a task that failed is started again; the last one repeats."""

WELL_S = 600.0
"""A task that ran for so long begins with the first pause again."""

TELL_EVERY_S = 900.0

Background = Callable[[], Awaitable[None]]


class Tended(msgspec.Struct):
    """One task, for readers: how often it failed since the start, why last, and whether it is at work."""

    failures: int = 0
    last: str = ""
    last_wall_ms: int | None = None
    is_working: bool = False


class Supervisor:
    """Knows of every task and every failure; the operator hears of each kind of it once in a quarter of an hour."""

    def __init__(self, journal: JournalWriter, alerts: Alerts, clock: Clock) -> None:
        self._journal = journal
        self._alerts = alerts
        self._clock = clock
        self._told_s: dict[str, float] = {}
        self._group: asyncio.TaskGroup | None = None
        self.tended: dict[str, Tended] = {}

    def open(self, group: asyncio.TaskGroup) -> None:
        """What is begun from now on lives as long as this group."""
        self._group = group

    def begin(self, work: Background, name: str = "", *, needs_journal: bool = False) -> asyncio.Task[None]:
        """Run a piece of work beside everything else until it returns; one that fails is begun again. Where it
        ``needs_journal``, what it remembers may be ahead of one that cannot be written, which ends the process."""
        assert self._group is not None, "the daemon opens it"
        name = name or name_of(work)
        tended = self.tended.setdefault(name, Tended())
        fatal = (StoreError,) if needs_journal else ()
        return self._group.create_task(self._keep(work, tended, name, fatal), name=name)

    def begin_worker(self, work: Callable[[], Coroutine[Any, Any, None]], symbol: str) -> None:
        """One that nothing begins again: it ends where the journal cannot be written, and the process with it."""
        assert self._group is not None, "the daemon opens it"
        self._group.create_task(work(), name=f"lane {symbol}")

    async def _keep(self, work: Background, tended: Tended, name: str, fatal: tuple[type[Exception], ...]) -> None:
        in_row = 0
        while True:
            began_s = self._clock.monotonic()
            tended.is_working = True
            try:
                await work()
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if isinstance(error, fatal):
                    raise
                if _is_ending():
                    self.caught(name, error)
                    return
                in_row = 0 if self._clock.monotonic() - began_s >= WELL_S else in_row
                pause_s = AGAIN_S[min(in_row, len(AGAIN_S) - 1)]
                tended.failures += 1
                tended.last, tended.last_wall_ms = _described(error), self._clock.wall_ms()
                self._failed(name, error, None, again_s=pause_s)
            finally:
                tended.is_working = False
            await self._clock.sleep(pause_s)
            in_row += 1

    def caught(self, component: str, error: Exception, symbol: str | None = None) -> None:
        """Write down a failure inside of a handler, which goes on."""
        self._failed(component, error, symbol, again_s=None)

    def _failed(self, component: str, error: Exception, symbol: str | None, *, again_s: float | None) -> None:
        log.error("handler_failed", symbol=symbol, reason=type(error).__name__, component=component, exc_info=error)
        now_s, at_ms = self._clock.monotonic(), self._clock.now_ms()
        key = f"{component} {symbol} {type(error).__name__}"
        if now_s - self._told_s.get(key, float("-inf")) < TELL_EVERY_S:
            return
        text = fault_news(component, _described(error), symbol, again_s)
        try:
            self._journal.error(at_ms, component, _described(error), symbol=symbol)
            row = self._alerts.row(at_ms, "quarantine", text, key=f"{key} {at_ms}", symbol=symbol)
            self._journal.alert(*([row] if row else []))
            self._told_s[key] = now_s
        except StoreError as second:
            log.error("commit_failed", reason="JOURNAL", component=component, error=str(second))
        except Exception as second:
            self._told_s[key] = now_s
            log.error("alert_failed", reason=type(second).__name__, exc_info=second)


def _is_ending() -> bool:
    """The task was cancelled, and failed on its way out: nothing begins again."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


KNOWN_AS = {
    "accountmonitor": "accountdesk",
    "dashboard": "window",
    "incomeaudit": "bookkeeper",
    "looplag": "pulse",
    "streamlistener": "listening",
    "symbolcatalog": "symboldesk",
}
"""Class → the name under which journals, metrics and documents know its task, which outlives what code is called."""


def name_of(work: Background) -> str:
    """What a task is called where it is counted: ``Reload.run`` is the reload."""
    function = work.func if isinstance(work, partial) else work
    name = str(getattr(function, "__qualname__", type(function).__name__))
    name = name.rpartition("<locals>.")[2].removesuffix(".run").strip("_").lower().replace("._", ".")
    owner, dot, method = name.partition(".")
    return f"{KNOWN_AS.get(owner, owner)}{dot}{method}"
