"""Holds every symbol's record and the account's, turns events into committed steps, and lets no failure spread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
from msgspec.structs import replace

from fsm.core import small_steps, stop_route
from fsm.core.by_hand import holds_back
from fsm.core.candle_close import CandleVerdict, decide_candle
from fsm.core.decide import decide
from fsm.core.decision_facts import with_portfolio, with_what_it_knew
from fsm.core.leaving import begin_flatten
from fsm.core.limits import AccountStep, holding_limit, is_over, read_equity, resumed, trade_booked
from fsm.core.machine import SymbolMachines
from fsm.core.model.decision import Decision, Rejected, Step, decision
from fsm.core.model.decision_context import (
    NO_PORTFOLIO,
    Commitment,
    DecisionContext,
    Portfolio,
    commitment,
    foreign_commitment,
)
from fsm.core.model.events import (
    CandleClosed,
    Commanded,
    EquityRead,
    JournalFoundOld,
    SymbolEvent,
    SymbolObserved,
    reads_portfolio,
)
from fsm.core.model.policy import LimitAction, Policy
from fsm.core.model.records import ZERO, AccountRecord, Flag, HaltCause, State, SymbolRecord
from fsm.core.model.transition_table import Trigger
from fsm.core.order_requests import planned_stop
from fsm.core.shared_risk import Correlation, as_one, by_symbol, capped_risks

LOOKS_PER_SNAPSHOT = 6
"""A snapshot is judged again while moves ask nothing of the exchange; more rounds than this is a fault of ours."""

FAILURES_KEPT = 100


class EngineJournal(Protocol):
    """The durable side of the engine: each call is committed when it returns, or raises and nothing happened."""

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step: ...

    def commit_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None: ...


class Failure(msgspec.Struct, frozen=True):
    """An exception inside a decision: the symbol is quarantined and its protection stays."""

    symbol: str
    event: str
    error: str


class Precomputed(msgspec.Struct, frozen=True):
    """What was read of one candle, and what it was read from: it stands for as long as nothing of that has changed."""

    event: CandleClosed
    record: SymbolRecord
    portfolio: Portfolio
    context: DecisionContext
    verdict: CandleVerdict

    def stands(self, event: CandleClosed, record: SymbolRecord, portfolio: Portfolio, context: DecisionContext) -> bool:
        same = self.event is event and self.record is record and self.context == context
        return same and self.portfolio == portfolio


class Engine:
    """One instance decides for all symbols. Not thread-safe and never awaits: its caller has one inbox a symbol."""

    def __init__(
        self,
        *,
        ledger: EngineJournal,
        setting_of: Callable[[str, str | None], DecisionContext],
        policy: Policy,
        records: Iterable[SymbolRecord],
        account: AccountRecord,
        fatal: tuple[type[Exception], ...] = (),
        blocked_for: Callable[[str], str] = lambda symbol: "",
        correlation: Correlation = as_one,
    ) -> None:
        """``setting_of(symbol, rules_hash)`` gives the settings in force, or those under an older rules hash.
        ``correlation`` is that of two symbols' prices by the candles that have closed.
        ``blocked_for(symbol)`` says why nothing may be entered there now, beside what is remembered; empty: it may.
        ``fatal`` are errors of the ledger: they mean that nothing can be written, so they are never swallowed.
        """
        self._ledger = ledger
        self._setting_of = setting_of
        self._blocked_for = blocked_for
        self.correlation = correlation
        self.policy = policy
        self.account = account
        self.equity: EquityRead | None = None
        self.failures: deque[Failure] = deque(maxlen=FAILURES_KEPT)
        self._fatal = fatal
        self._active: dict[str, Commitment] = {}
        self._names: list[str] | None = None
        self._foreign: dict[str, Commitment] = {}
        self.machines = SymbolMachines(ledger.commit)
        for record in records:
            self.add(record)

    def add(self, record: SymbolRecord) -> None:
        self.machines.add(record)
        self._track(record)

    def record(self, symbol: str) -> SymbolRecord:
        return self.machines.record(symbol)

    def active(self) -> list[str]:
        """Symbols with a trade under way, in symbol order."""
        if self._names is None:
            self._names = sorted(self._active)
        return list(self._names)

    def context(self, symbol: str) -> DecisionContext:
        """The settings this symbol is decided with: a trade keeps the rules that it was opened under."""
        record = self.record(symbol)
        found = self._setting_of(symbol, record.trade.rules_hash if record.trade else None)
        return found.of(record.epoch)

    def portfolio(self, symbol: str = "", *, equity_age_ms: int = 0) -> Portfolio:
        """Money and risk now, counting what is in flight; as ``symbol`` sees it, which may be blocked by itself."""
        account = self.equity.account if self.equity else None
        equity = account.equity if account else ZERO
        available = account.available_balance if account else ZERO
        committed = [*self._active.values(), *self._foreign.values()]
        in_flight = sum((held.margin_in_flight for held in committed), ZERO)
        return Portfolio(
            equity=equity,
            available=available - in_flight,
            equity_age_ms=equity_age_ms,
            open_positions=len(self._active.keys() | self._foreign.keys()),
            open_risk=sum((held.risk for held in committed), ZERO),
            exposure=sum((held.notional for held in committed), ZERO),
            blocked=self._blocked(symbol),
            trial=stop_route.is_trial(self.account),
            entering=sum(self.record(name).state is State.ENTERING for name in self._active if name != symbol),
            resting=tuple(self.account.resting),
            held_back=ZERO if self.account.steps is None else self.account.steps.held_back,
            **capped_risks(self.held(), self.correlation, self.policy, symbol),
        )

    def held(self) -> dict[str, Commitment]:
        """What each symbol ties up, whoever holds it."""
        return by_symbol(self._active, self._foreign)

    def _blocked(self, symbol: str) -> str:
        if self.account.halt is not None:
            return self.account.halt.cause
        if self.account.paused:
            return "PAUSED"
        if self.account.route is not None:
            doubted = stop_route.blocked(self.account, self._awaits_stop(symbol))
            if doubted:
                return doubted
        if self._blocked_for(symbol):
            return self._blocked_for(symbol)
        if self.equity is None:
            return "EQUITY_UNKNOWN"
        return "EQUITY_UNEXPLAINED" if self.equity.is_doubtful else ""

    def precompute(self, event: CandleClosed, *, equity_age_ms: int = 0) -> Precomputed | None:
        """Read a candle and decide nothing, so that other work may go on between many symbols of one close.

        None when it cannot be read: ``close_candle`` meets the same fault, and knows what to do about it.
        """
        record, context = self.record(event.symbol), self.context(event.symbol)
        portfolio = self.portfolio(event.symbol, equity_age_ms=equity_age_ms)
        try:
            return Precomputed(event, record, portfolio, context, decide_candle(record, event, portfolio, context))
        except Exception:
            return None

    def close_candle(
        self, event: CandleClosed, *, equity_age_ms: int = 0, precomputed: Precomputed | None = None
    ) -> tuple[CandleVerdict, Portfolio, list[Step]]:
        """Decide at a candle's close; the reading says why, also when nothing happens.

        What was ``considered`` is taken if it still stands, else the candle is read again.
        """
        record, context = self.record(event.symbol), self.context(event.symbol)
        portfolio = self.portfolio(event.symbol, equity_age_ms=equity_age_ms)
        try:
            if precomputed is not None and precomputed.stands(event, record, portfolio, context):
                verdict = precomputed.verdict
            else:
                verdict = decide_candle(record, event, portfolio, context)
            made = verdict.decision
            steps = [] if made is None else self._fire(event.symbol, with_portfolio(made, portfolio), event)
        except self._fatal:
            raise
        except Exception as error:
            steps = self._quarantine(event, error)
            verdict = CandleVerdict(outcome="BLOCKED", reason="EXCEPTION")
        return verdict, portfolio, steps

    def handle(self, event: SymbolEvent, *, equity_age_ms: int = 0) -> list[Step]:
        """Everything but candles. Raises Rejected for a command that the state or a guard forbids."""
        portfolio = self._portfolio_for(event, equity_age_ms)
        steps: list[Step] = []
        rounds = LOOKS_PER_SNAPSHOT if isinstance(event, SymbolObserved | JournalFoundOld) else 1
        try:
            for _ in range(rounds):
                made = decide(self.record(event.symbol), event, portfolio, self.context(event.symbol))
                if made is None:
                    break
                steps += self._fire(event.symbol, with_what_it_knew(made, event, portfolio), event)
                if made.intents:
                    break
            else:
                if rounds > 1:
                    raise RuntimeError(f"one look led to more than {rounds} rows")
        except Rejected:
            raise
        except self._fatal:
            raise
        except Exception as error:
            steps += self._quarantine(event, error)
        return steps

    def _portfolio_for(self, event: SymbolEvent, equity_age_ms: int) -> Portfolio:
        """What else is open, for what is judged by it, and what of the account holds a command back."""
        found = self.portfolio(event.symbol, equity_age_ms=equity_age_ms) if reads_portfolio(event) else NO_PORTFOLIO
        if not isinstance(event, Commanded):
            return found
        brackets = self.context(event.symbol).brackets
        return replace(found, blocked=holds_back(event, self.account, self.equity, brackets, self.policy))

    def _fire(self, symbol: str, made: Decision, event: SymbolEvent) -> list[Step]:
        if (
            stop_route.failed(self.record(symbol), made) and self.context(symbol).edition >= 2
        ):  # first: no death forgets it
            after, kind = stop_route.doubted(self.account, self.record(symbol), made.reason, event.at_ms)
            self.change_account(event.at_ms, (kind,), after)
        step = self.machines.fire(symbol, made, event)
        if step is None:
            return []
        self._track(self.record(symbol))
        if stop_route.confirmed(self.account, made):
            self.change_account(event.at_ms, ("ROUTE_CONFIRMED",), replace(self.account, route=None))
        if made.booked is not None:
            equity = self.equity.settled if self.equity else None
            booked = trade_booked(self.account, made.booked, equity)
            booked, kinds = small_steps.counted(booked, made.booked)
            self.change_account(event.at_ms, (*kinds, "TRADE_BOOKED"), booked)
        return [step]

    def _track(self, record: SymbolRecord) -> None:
        found = (
            (self._active, commitment(record, self.policy)),
            (self._foreign, foreign_commitment(record, self.policy)),
        )
        self._names = None
        for kept, held in found:
            if held is None:
                kept.pop(record.symbol, None)
            else:
                kept[record.symbol] = held

    def _quarantine(self, event: SymbolEvent, error: Exception) -> list[Step]:
        """Our own fault: no more entries for this symbol, its stop stays, the others go on (R53).

        Where no stop is known to rest, what is open is closed, and covered as well: should the fault last, no look will
        ever tell how much is open.
        """
        self.failures.append(Failure(event.symbol, type(event).__name__, f"{type(error).__name__}: {error}"))
        record = self.record(event.symbol)
        flagged = record.quarantined(f"EXCEPTION {type(error).__name__}", event.at_ms)
        if record.is_exposed:
            try:
                return self._fire(event.symbol, self._close_and_cover(flagged), event)
            except self._fatal:
                raise
            except Exception as second:
                self.failures.append(Failure(event.symbol, "begin_flatten", f"{type(second).__name__}: {second}"))
        if flagged is record:
            return []
        return self._fire(event.symbol, decision(Trigger.QUARANTINE, "EXCEPTION", flagged), event)

    def _close_and_cover(self, record: SymbolRecord) -> Decision:
        """The stop comes last before the look: where the close has succeeded it is refused, which harms nobody."""
        context = self.context(record.symbol)
        made = begin_flatten(record, "EXCEPTION", context)
        assert record.trade is not None
        return replace(made, intents=(*made.intents[:-1], planned_stop(record.trade, context), made.intents[-1]))

    def read_equity(self, event: EquityRead) -> AccountStep:
        """Judge the account. The caller carries the step out: symbols are halted, flattened or resumed by commands.

        A limit that is exceeded or over stays in the step until every symbol follows it, also across a crash.
        """
        self.equity = event
        step = read_equity(self.account, event, self.policy)
        self.change_account(event.at_ms, step.changes, step.record)
        return replace(
            step,
            breached=step.breached or self._behind(),
            ended=self._ended(step, event.at_ms),
            undone=step.undone or self._undone(),
        )

    def _behind(self) -> HaltCause | None:
        """The breach that some symbol does not follow yet."""
        breach = self.account.breach
        if breach is None:
            return None
        closes = self.policy.limits.action is LimitAction.FLATTEN
        late = any(
            record.halt is None or (closes and record.state in (State.ENTERING, State.PROTECTED))
            for record in self.machines.records()
        )
        return HaltCause(breach.cause) if late else None

    def _undone(self) -> HaltCause | None:
        """A limit that was taken back while a symbol is still halted for it."""
        undone = self.account.undone
        if undone is None:
            return None
        halts = (record.halt for record in self.machines.records() if record.state is not State.FLATTEN)
        late = any(h is not None and h.cause == undone.cause and h.since_ms <= undone.since_ms for h in halts)
        return HaltCause(undone.cause) if late else None

    def _ended(self, step: AccountStep, at_ms: int) -> tuple[HaltCause, ...]:
        """Limits whose period is over while a symbol is still halted for them."""
        ended = set(step.ended)
        if self.policy.limits.auto_resume:
            rejects = State.FLATTEN  # it resumes when its emergency close is done
            halts = (record.halt for record in self.machines.records() if record.state is not rejects)
            ended |= {HaltCause(halt.cause) for halt in halts if halt is not None and is_over(halt, at_ms)}
        if not ended:
            return ()
        return tuple(cause for cause in HaltCause if cause in ended)

    def begin_epoch(self, at_ms: int, epoch: str) -> None:
        """The journal is older than the exchange: nothing is entered until the operator says so, not even at the end of
        a limit's period, and client ids of before are not made again (R78)."""
        halt = Flag(HaltCause.RESTORED.value, at_ms)
        self.change_account(at_ms, (HaltCause.RESTORED.value,), replace(self.account, halt=halt, epoch=epoch))

    def set_account(self, at_ms: int, kind: str, *, paused: bool, halt: Flag | None) -> None:
        """The operator's account-wide wishes: no entries anywhere while paused or halted.

        Raises Rejected where a halt would be cleared while a loss limit is exceeded (a drawdown only needs equity
        to be known: the next one is measured from here).
        """
        after = replace(self.account, paused=paused, halt=halt)
        if self.account.halt is not None and halt is None:
            after = stop_route.resumed(self._resumed(after), at_ms)
        self.change_account(at_ms, (kind,), after)

    def begin_small_steps(self, at_ms: int, cause: str) -> None:
        """Something is new: the next trades are the smallest that can be traded, and then grow."""
        self.change_account(at_ms, (small_steps.BEGUN,), small_steps.begun(self.account, cause, at_ms, self.policy))

    def end_small_steps(self, at_ms: int) -> None:
        """The operator's word alone shortens them."""
        self.change_account(at_ms, (small_steps.ENDED,), replace(self.account, steps=None))

    def prove_route(self, at_ms: int, proof: str) -> None:
        """A test while flat has shown so much of the way to place stops."""
        if (doubt := self.account.route) is not None:
            self.change_account(at_ms, ("ROUTE_TESTED",), replace(self.account, route=replace(doubt, proof=proof)))

    def _awaits_stop(self, symbol: str) -> bool:
        """Another symbol has a trade whose stop nobody has confirmed yet."""
        others = (self.record(name).trade for name in self._active if name != symbol)
        return any(trade is not None and trade.protected_ms is None for trade in others)

    def _resumed(self, after: AccountRecord) -> AccountRecord:
        if self.equity is None:
            if after.breach is None:
                return after
            raise Rejected("EQUITY_UNKNOWN", "the account was not read yet: try again in a moment")
        equity = self.equity.settled
        after = resumed(after, equity)
        held = holding_limit(after, equity, self.policy)
        if held:
            raise Rejected(held, f"the account stays halted: the loss limit {held} is still exceeded")
        return after

    def change_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None:
        if kinds and after != self.account:
            self._ledger.commit_account(at_ms, kinds, after)
        self.account = after
