"""Carries the operator's commands out and says what came of them: for one symbol, or for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from exchange.errors import ExchangeError
from fsm.core.candle_close import moment
from fsm.core.model.decision import Rejected
from fsm.core.model.events import Commanded
from fsm.core.model.records import Flag, HaltCause, State
from fsm.core.resting_strategies import rest, wake
from fsm.live.context.entry_blocks import CANDLES_DIFFER
from fsm.live.context.live_context import LiveContext
from fsm.live.operator.acting import Acting, Ended
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.command_age import age_ms
from fsm.live.operator.news import left_news
from fsm.live.process.supervisor import Background, Supervisor
from fsm.live.trading.symbol_worker import SymbolWorker
from store import rules_edits
from store.batch import Batch
from store.errors import StoreError
from store.hand_wishes import HAND_KINDS, is_by_hand
from store.inbox import Inbox
from store.rows import CommandAck
from store.views import CommandRow

log = structlog.get_logger("fsm.commands")

KINDS = ("pause", "resume", "flatten", "halt", "release", "ack", "full-size")
"""The first word of a command's kind; ``release cancel-stop`` is a release after which the stop does not stay."""
KEPT_KINDS = ("pause", "halt", "ack")
"""They can only stop entries, or say that somebody has read, so they are never too old."""

STRATEGY_KINDS = ("strategy pause", "strategy resume")
"""Followed by the name of the strategy that rests from now on, or does not any more."""

EDIT_KINDS = ("reload confirm", "reload reject", rules_edits.KIND)
"""Followed by the digests of the edits that are meant, so that no other edit is taken; or by an edit of the rules."""
OnEdit = Callable[[str, Sequence[str]], Awaitable[str]]
POLL_S = 0.25
FLAT_WAIT_S = 25.0
"""Whoever asked waits for thirty seconds; what is not flat by then is named, and goes on being closed."""

FLAT_LOOK_S = 0.1
OPERATOR = HaltCause.OPERATOR.value
BEGUN_ANEW = "BEGUN_ANEW"


class Commands:
    """Reads the inbox. What a daemon took and did not finish before it ended is carried out again; that is harmless."""

    def __init__(
        self,
        live: LiveContext,
        workers: Mapping[str, SymbolWorker],
        alerts: Alerts,
        supervisor: Supervisor,
        *,
        alive_ms: int | None = None,
    ) -> None:
        """``alive_ms``: the last sign of life of the bot before this one, on the exchange's clock."""
        self._supervisor = supervisor
        self._live = live
        self._workers = workers
        self._alerts = alerts
        self._acting = Acting(live, workers)
        self._inbox = Inbox(live.journal.store)
        self._left = {command.id: command.taken_ms for command in self._inbox.unfinished()}
        self._left |= {command.id: alive_ms for command in self._inbox.waiting()}
        self._waiting: set[asyncio.Task[None]] = set()
        self._closing: dict[int, frozenset[str]] = {}
        self._meant = {
            symbol: worker.record.trade.id if worker.record.trade is not None else None
            for symbol, worker in workers.items()
        }
        self.on_edit: OnEdit | None = None
        self.on_ack: Callable[[], str] = lambda: "nothing waits to be acknowledged: there is no second way to you"

    async def run(self) -> None:
        """Take commands as they come."""
        try:
            self._welcome([*self._inbox.unfinished(), *self._inbox.take(self._live.clock.wall_ms())])
            while True:
                for command in self._inbox.take(self._live.clock.wall_ms()):
                    self.carry_out(command)
                await self._live.clock.sleep(POLL_S)
        finally:
            for task in self._waiting:
                task.cancel()

    def _welcome(self, commands: Sequence[CommandRow]) -> None:
        """What was left while no bot ran. Pause and halt are kept for ever; what acts is refused when it is old, or
        when the trade that it was meant for is over (R82)."""
        for command in commands:
            log.info(
                "command_waited",
                reason="START",
                command=rules_edits.named(command.kind),
                symbol=command.symbol,
                id=command.id,
            )
        if commands:
            at_ms = self._live.clock.now_ms()
            told = ", ".join(f"{_named(command)} ({command.id})" for command in commands)
            self._live.journal.note(at_ms, "COMMANDS_WAITED", "START", commands=told)
            news = self._alerts.row(at_ms, "command", left_news(told), key="commands that waited")
            self._live.journal.alert(*([news] if news else []))
        for command in commands:
            reason = self._outdated(command)
            if reason is None:
                self.carry_out(command)
            else:
                self._finish(command, *reason)

    def _outdated(self, command: CommandRow) -> tuple[str, str] | None:
        if command.kind.partition(" ")[0] in KEPT_KINDS or command.kind.startswith("strategy pause "):
            return None
        most_ms = self._live.active.settings.loops.command_age_ms_max
        left_ms = 0  # as old as it is known to be: what comes while a bot runs is young, whatever its stamp
        if command.id in self._left:
            left_ms = age_ms(command, self._live.clock, self._left[command.id])
        if left_ms > most_ms:
            told = f"it was left {left_ms // 60_000} minutes ago, while no bot ran; send it again if you still mean it"
            return "TOO_OLD", told
        if command.symbol is None or command.kind.startswith("resume") or command.symbol not in self._workers:
            return None
        trade, meant = self._workers[command.symbol].record.trade, self._meant.get(command.symbol)
        if meant is not None and (trade is None or trade.id != meant):
            return "TRADE_OVER", f"the trade {meant} that it was meant for is over; send it again if you still mean it"
        return None

    def carry_out(self, command: CommandRow) -> None:
        """Do it now; the answer is written when it has happened, which for a close takes a while. A `resume` waits for
        the closing of what it is about."""
        if command.kind == "resume" and self._closes(command):
            self._beside(partial(self._resume_after, command), "resume")
            return
        if command.kind.startswith(EDIT_KINDS):
            self._beside(partial(self._decide_edit, command), "edit")
            return
        if is_by_hand(command.kind):
            self._beside(partial(self._act, command), "by hand")
            return
        try:
            if command.kind.startswith(STRATEGY_KINDS):
                self._finish(command, None, self._of_strategy(command.kind))
                return
            symbols = self._chosen(command)
            guard, detail = self._do(command.kind, command.symbol, symbols)
        except Rejected as refused:
            self._finish(command, refused.guard, str(refused))
            return
        except StoreError:
            raise
        except Exception as error:
            self._supervisor.caught("commands", error, command.symbol)
            self._finish(command, "EXCEPTION", f"{type(error).__name__}: {error}")
            return
        if command.kind == "flatten":
            self._closing[command.id] = frozenset(symbols)
            self._beside(partial(self._confirm_flat, command, symbols), "flatten")
        else:
            self._finish(command, guard, detail)

    def _closes(self, command: CommandRow) -> set[str]:
        """What is being closed by a `flatten` that this command is about too."""
        every = (symbols for symbols in self._closing.values() if command.symbol is None or command.symbol in symbols)
        return set().union(*every)

    async def _resume_after(self, command: CommandRow) -> None:
        """Whoever sent it did not know yet whether the closing would get through; where it has not, he is asked."""
        waited = set[str]()
        while closes := self._closes(command):
            waited |= closes
            await self._live.clock.sleep(FLAT_LOOK_S)
        left = [symbol for symbol in sorted(waited) if symbol in self._workers and not self._is_flat(symbol)]
        if not left:
            self.carry_out(command)
            return
        told = f"{', '.join(map(self._open_in, left))} goes on being closed; send it again if you still mean it"
        self._finish(command, "NOT_FLAT_YET", told)

    def _beside(self, work: Background, name: str) -> None:
        task = self._supervisor.begin(work, name)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _decide_edit(self, command: CommandRow) -> None:
        """Take or refuse the edits that wait; new rules may have candles to read first."""
        _, verb, *digests = command.kind.split()

        async def decide() -> Ended:
            if self.on_edit is None:
                raise Rejected("NOTHING_WAITS", "this bot watches no files")
            return None, await self.on_edit(verb, digests)

        await self._answered(command, decide(), "reload")

    async def _act(self, command: CommandRow) -> None:
        await self._answered(command, self._acting.carry_out(command), "by hand")

    async def _answered(self, command: CommandRow, work: Coroutine[Any, Any, Ended], name: str) -> None:
        """Do it, and write what came of it. A fault of ours is told as one."""
        try:
            self._finish(command, *await work)
        except Rejected as refused:
            self._finish(command, refused.guard, str(refused))
        except StoreError:
            raise
        except Exception as error:
            self._supervisor.caught(name, error, command.symbol)
            self._finish(command, "EXCEPTION", f"{type(error).__name__}: {error}")

    def _of_strategy(self, kind: str) -> str:
        """Let one strategy rest, or wake it; either way its test of drift begins anew with the next `resume`."""
        _, verb, name = kind.split(" ", 2)
        live, at_ms = self._live, self._live.clock.now_ms()
        known = sorted({*live.active.rules.definition.strategies, *live.engine.account.resting})
        if name not in known:
            raise Rejected("STRATEGY", f"there is no strategy {name}; there are {', '.join(known)}")
        if verb == "pause":
            rests = rest(live.engine, at_ms, name, OPERATOR)
            return f"{name} enters nothing until `resume --strategy {name}`" + ("" if rests else "; it rested already")
        woken = wake(live.engine, at_ms, name)
        live.journal.note(at_ms, "DRIFT", BEGUN_ANEW, strategy=name)
        return f"{name} may enter{' again' if woken else ': it did not rest'}; its test of drift begins anew"

    def _chosen(self, command: CommandRow) -> list[str]:
        if command.kind.partition(" ")[0] not in KINDS:
            raise Rejected(
                "COMMAND", f"there is no command {command.kind!r}; there are {', '.join((*KINDS, *HAND_KINDS))}"
            )
        if command.symbol is None and command.kind.startswith("release"):
            raise Rejected("SYMBOL", "release takes one symbol: `release SYMBOL`")
        if command.symbol is None:
            return list(self._workers)
        if command.symbol not in self._workers:
            raise Rejected("SYMBOL", f"{command.symbol} is not traded here; there are {', '.join(self._workers)}")
        return [command.symbol]

    def _do(self, kind: str, symbol: str | None, symbols: list[str]) -> tuple[str | None, str]:
        """The guard that refused a part of it, and how things stand."""
        if kind == "ack":
            return None, self.on_ack()
        if kind == "full-size":
            return None, self._end_small_steps()
        if symbol is not None:
            self._tell(kind, symbol)
            return None, self._state_of(symbols)
        cleared = self._account_wide(kind)
        refused = self._tell_all("resume" if kind == "resume" else kind, symbols)
        return "PARTLY" if refused else None, f"{cleared}{self._state_of(symbols)}{refused}"

    def _end_small_steps(self) -> str:
        engine = self._live.engine
        if engine.account.steps is None:
            raise Rejected("NO_SMALL_STEPS", "trades are of their full size already")
        engine.end_small_steps(self._live.clock.now_ms())
        return "the next trades are of their full size"

    def _account_wide(self, kind: str) -> str:
        """What holds for the account as a whole, persisted before any symbol is told (R50)."""
        engine, at_ms = self._live.engine, self._live.clock.now_ms()
        account = engine.account
        if kind == "resume":
            self._refuse_while_stale()
            was = f"cleared the halt for {account.halt.cause}; " if account.halt else ""
            engine.set_account(at_ms, "RESUME", paused=False, halt=None)
            return was
        if kind == "pause":
            engine.set_account(at_ms, "PAUSE", paused=True, halt=account.halt)
        else:
            halt = account.halt or Flag(OPERATOR, at_ms)
            engine.set_account(at_ms, kind.upper(), paused=account.paused, halt=halt)
        return ""

    def _refuse_while_stale(self) -> None:
        halt, age_ms = self._live.engine.account.halt, self._live.freshness.age_ms()
        if halt is None or halt.cause != HaltCause.EQUITY_STALE:
            return
        if age_ms > self._live.engine.policy.limits.equity_age_ms_max:
            raise Rejected(halt.cause, f"the account stays halted: equity was last read {age_ms // 1000} s ago")

    def _tell_all(self, kind: str, symbols: list[str]) -> str:
        refused = []
        for symbol in symbols:
            try:
                self._tell(kind, symbol)
            except Rejected as error:
                refused.append(f"{symbol} ({error.guard})")
        return f"; refused: {', '.join(refused)}" if refused else ""

    def _tell(self, kind: str, symbol: str) -> None:
        at_ms = self._live.clock.now_ms()
        command, _, how = kind.partition(" ")
        self._workers[symbol].handle(
            Commanded(symbol=symbol, at_ms=at_ms, command=command, cause=OPERATOR, cancel_stop=how == "cancel-stop")
        )
        if command == "resume" and self._live.blocks.clear(symbol, CANDLES_DIFFER):
            self._live.journal.note(at_ms, CANDLES_DIFFER, "ACCEPTED", symbol=symbol)

    def _state_of(self, symbols: Iterable[str]) -> str:
        return ", ".join(f"{symbol} {self._described(symbol)}" for symbol in symbols)

    def _described(self, symbol: str) -> str:
        record = self._workers[symbol].record
        marks = [record.state.value]
        marks += ["paused"] if record.paused else []
        marks += [f"halted by {record.halt.cause}"] if record.halt else []
        marks += [f"quarantined: {record.quarantine.cause}"] if record.quarantine else []
        marks += ["released to you"] if record.released else []
        rests = record.cooldown_until_ms > self._live.clock.now_ms()
        marks += [f"rests until {moment(record.cooldown_until_ms)} UTC"] if rests else []
        return f"{marks[0]} {', '.join(marks[1:])}".rstrip()

    async def _confirm_flat(self, command: CommandRow, symbols: list[str]) -> None:
        """Done means flat, not asked for."""
        try:
            await self._until_flat(command, symbols)
        finally:
            self._closing.pop(command.id, None)

    async def _until_flat(self, command: CommandRow, symbols: list[str]) -> None:
        clock = self._live.clock
        until_s = clock.monotonic() + FLAT_WAIT_S
        while not all(self._is_flat(symbol) for symbol in symbols):
            if clock.monotonic() >= until_s:
                left = [symbol for symbol in symbols if not self._is_flat(symbol)]
                self._finish(command, "NOT_FLAT_YET", f"still open: {', '.join(map(self._open_in, left))}")
                return
            await clock.sleep(FLAT_LOOK_S)
        self._finish(command, *await self._what_is_left(symbols))

    def _open_in(self, symbol: str) -> str:
        trade = self._workers[symbol].record.trade
        held = f"{trade.side} {trade.open_quantity:f}" if trade is not None else "an entry whose end nobody saw"
        return f"{symbol} {held} ({self._described(symbol)})"

    async def _what_is_left(self, symbols: list[str]) -> tuple[str | None, str]:
        """The guard and the words of the answer: done is what the exchange itself shows flat."""
        flat = f"flat: {self._state_of(symbols)}"
        try:
            positions = [position for position in await self._live.exchange.positions() if position.quantity]
        except ExchangeError as error:
            return None, f"{flat}; what else the account holds could not be read: {error}"
        left = [f"{each.symbol} {each.quantity:f}" for each in positions if each.symbol in symbols]
        others = [f"{each.symbol} {each.quantity:f}" for each in positions if each.symbol not in self._workers]
        beside = f"; not ours, and left alone: {', '.join(others)}" if others else ""
        if left:
            return (
                "LEFT_OPEN",
                f"left open, and not by a trade of ours: {', '.join(left)}; close it at the exchange{beside}",
            )
        return None, flat + beside

    def _is_flat(self, symbol: str) -> bool:
        return self._workers[symbol].record.state in (State.IDLE, State.HALT)

    def _finish(self, command: CommandRow, guard: str | None, detail: str) -> None:
        """The inbox runs on this machine's clock, which whoever posts has too; the message on the exchange's."""
        at_ms = self._live.clock.now_ms()
        result = "done" if guard is None else "refused"
        ack = CommandAck(
            command_id=command.id,
            result="done" if guard is None else "refused",
            guard=guard,
            detail=detail,
            at_ms=self._live.clock.wall_ms(),
        )
        text = f"{_named(command)}: {result}. {detail[:1].upper()}{detail[1:]}."
        told = self._alerts.row(
            at_ms,
            "command",
            text,
            key=f"command {command.id}",
            symbol=command.symbol,
            asked=command.source == "telegram",
        )
        self._live.journal.journal.commit(Batch(acks=[ack], alerts=[told] if told else []))
        log.info(
            "command",
            reason=guard or "DONE",
            command=rules_edits.named(command.kind),
            symbol=command.symbol,
            detail=detail,
        )


def _named(command: CommandRow) -> str:
    """An edit of files is about no symbol."""
    if command.kind.startswith(EDIT_KINDS):
        return " ".join(command.kind.split()[:2])
    return command.kind if command.kind.startswith(STRATEGY_KINDS) else f"{command.kind} {command.symbol or 'all'}"
