"""The engine on a stage: intents are carried out in order on the small exchange, and a test chooses what goes wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from exchange.sim.core.reasons import refused
from exchange.types import Confirmed, OrderRequest, Outcome, SymbolSnapshot, Unknown
from fsm.core.candle_close import CandleVerdict
from fsm.core.engine import Engine
from fsm.core.limits import AccountStep
from fsm.core.model.decision import Step
from fsm.core.model.decision_context import DecisionContext
from fsm.core.model.events import (
    CandleClosed,
    Commanded,
    DeadlinePassed,
    EntryShownAbsent,
    EquityRead,
    IntentEnded,
    SetupEnded,
    SymbolEvent,
    SymbolObserved,
)
from fsm.core.model.intents import EnsureSetup, Intent, Look, PlaceEntry, PlaceStop
from fsm.core.model.records import ZERO, AccountRecord, State, SymbolRecord, Trade
from fsm.core.observation import look_request
from tests.unit.fsm.core.memory_ledger import MemoryLedger
from tests.unit.fsm.core.parts import HOUR_MS, SYMBOL, T0, candle, setting_with
from tests.unit.fsm.core.small_exchange import Exchange

ROUNDS_MAX = 60
"""More rows than this from one event is a loop."""

Fate = Callable[[Intent], str]
"""What becomes of a call: "ok"; "lost" (it never arrived), "late" (an entry that arrives when the test says so) or
"deaf" (it did, the answer did not); or a code."""

View = Callable[[SymbolSnapshot], SymbolSnapshot]
"""What a look shows of the truth."""


class Killed(BaseException):
    """The process dies here; nothing catches it, as nothing catches kill -9."""


def truth(snapshot: SymbolSnapshot) -> SymbolSnapshot:
    return snapshot


class Stage:
    """One symbol, one engine, one exchange. Time only moves when a test says so."""

    def __init__(self, *, context: DecisionContext | None = None, equity: str | None = "10000", **policy: Any) -> None:
        self.context = context or setting_with(**policy)
        self.exchange = Exchange(self.context.filters)
        self.ledger = MemoryLedger(lambda symbol, rules_hash: self.context)
        self.real_ms: int | None = None
        self.fate: Fate = lambda intent: "ok"
        self.view: View = truth
        self.sent: list[Intent] = []
        self.outcomes: list[tuple[Intent, Outcome]] = []
        self.killed_after: int | None = None
        self.late: OrderRequest | None = None
        self._seen: object = None
        self._seen_since_ms = 0
        self._seen_times = 0
        self.engine = self._new_engine([SymbolRecord(symbol=SYMBOL)], AccountRecord())
        if equity is not None:
            self.read_equity(wallet=equity)

    def _new_engine(self, records: list[SymbolRecord], account: AccountRecord) -> Engine:
        return Engine(
            ledger=self.ledger,
            setting_of=lambda symbol, rules_hash: self.context,
            policy=self.context.policy,
            records=records,
            account=account,
        )

    # --- what is true now -------------------------------------------------------------------------
    @property
    def record(self) -> SymbolRecord:
        return self.engine.record(SYMBOL)

    @property
    def state(self) -> State:
        return self.record.state

    @property
    def trade(self) -> Trade:
        assert self.record.trade is not None
        return self.record.trade

    @property
    def now_ms(self) -> int:
        return self.exchange.now_ms

    @property
    def reasons(self) -> list[str]:
        """Every row so far, as "trigger reason"."""
        return [f"{decision.trigger} {decision.reason}" for _, decision, _ in self.ledger.rows]

    @property
    def booked(self) -> list[Trade]:
        return [decision.booked for _, decision, _ in self.ledger.rows if decision.booked is not None]

    def kinds(self) -> list[str]:
        """Names of the intents that were carried out, in order."""
        return [type(intent).__name__ for intent in self.sent]

    # --- what happens -----------------------------------------------------------------------------
    def wait(self, ms: int) -> Stage:
        self.exchange.now_ms += ms
        return self

    def price(self, last: str, mark: str | None = None) -> Stage:
        self.exchange.last, self.exchange.mark = Decimal(last), Decimal(mark or last)
        return self

    def read_equity(self, *, wallet: str = "10000", transfers: str = "0") -> AccountStep:
        account = self.exchange.account(wallet)
        return self.engine.read_equity(EquityRead(at_ms=self.now_ms, account=account, transfers=Decimal(transfers)))

    def close(self, event: CandleClosed, *, equity_age_ms: int = 0) -> CandleVerdict:
        verdict, _, steps = self.engine.close_candle(event, equity_age_ms=equity_age_ms)
        self.carry(steps)
        return verdict

    def signal(self, **facts: Any) -> CandleVerdict:
        """A candle that closes now and wants in; all that follows from it is carried out."""
        facts.setdefault("close", float(self.exchange.last))
        return self.close(candle(at_ms=self.now_ms, **facts))

    def tell(self, event: SymbolEvent, *, equity_age_ms: int = 0) -> list[Step]:
        steps = self.engine.handle(event, equity_age_ms=equity_age_ms)
        self.carry(steps)
        return steps

    def command(self, command: str, cause: str = "OPERATOR") -> list[Step]:
        return self.tell(Commanded(symbol=SYMBOL, at_ms=self.now_ms, command=command, cause=cause))

    def by_hand(self, command: str, **wished: Any) -> list[Step]:
        """A wish about the open trade, with the prices of this moment."""
        wished.setdefault("prices", self.exchange.prices())
        wished.setdefault("command_id", len(self.ledger.rows) + 1)
        return self.tell(Commanded(symbol=SYMBOL, at_ms=self.now_ms, command=command, cause="OPERATOR", **wished))

    def deadline(self) -> list[Step]:
        return self.tell(DeadlinePassed(symbol=SYMBOL, at_ms=self.now_ms))

    def absent(self) -> list[Step]:
        client_id = self.trade.entry.client_id
        return self.tell(EntryShownAbsent(symbol=SYMBOL, at_ms=self.now_ms, client_id=client_id))

    def ended(self, intent: Intent, outcome: Outcome) -> list[Step]:
        """An answer arrives, whenever it may."""
        event = IntentEnded(
            symbol=SYMBOL,
            at_ms=self.now_ms,
            intent=intent,
            outcome=outcome,
            prices=self.exchange.prices(),
            real_ms=self.real_ms,
        )
        return self.tell(event)

    def look(self, *, persisted: bool = False) -> list[Step]:
        return self.tell(self.observe(persisted=persisted))

    def observe(self, *, persisted: bool = False) -> SymbolObserved:
        snapshot = self.view(self.exchange.look(look_request(self.record, self.context)))
        return SymbolObserved(
            symbol=SYMBOL, at_ms=self.now_ms, snapshot=snapshot, persisted=persisted, real_ms=self.real_ms
        )

    def patient_look(self, pause_ms: int = 1_000) -> list[Step]:
        """Look as the live shell does: what three looks over two seconds show alike is no lag."""
        self.wait(pause_ms)
        event = self.observe()
        seen = (self.state, *_appearance(event.snapshot))
        if seen != self._seen:
            self._seen, self._seen_since_ms, self._seen_times = seen, self.now_ms, 0
        self._seen_times += 1
        lasting = self._seen_times >= 3 and self.now_ms - self._seen_since_ms >= 2_000
        return self.tell(replace(event, persisted=lasting))

    def settle(self, looks: int = 40) -> Stage:
        """Patient looks until nothing changes any more."""
        quiet = 0
        for _ in range(looks):
            quiet = 0 if self.patient_look() else quiet + 1
            if quiet > 5:
                break
        return self

    def restart(self) -> Stage:
        """The process dies: what it had not sent is gone, what it remembered is what the journal says."""
        self.killed_after = None
        account = self.ledger.account_rows[-1][1] if self.ledger.account_rows else AccountRecord()
        last = self.ledger.rows[-1][1].record if self.ledger.rows else SymbolRecord(symbol=SYMBOL)
        self.engine = self._new_engine([last], account)
        return self

    # --- carrying out -----------------------------------------------------------------------------
    def carry(self, steps: Iterable[Step]) -> None:
        """Every intent of these rows and of those that follow from them; a stop not confirmed drops its row's rest.

        As in the shell, rows that wait go before a look.
        """
        rows = deque(step.intents for step in steps)
        rounds, look_wanted = 0, False
        while rows or look_wanted:
            rounds += 1
            assert rounds < ROUNDS_MAX, f"a loop: {self.reasons[-6:]}"
            if not rows:
                look_wanted = False
                rows.extend(step.intents for step in self.engine.handle(self.observe()))
                continue
            broken = False
            for _, intent in rows.popleft():
                self._maybe_die()
                if isinstance(intent, Look):
                    look_wanted = True
                elif not broken:
                    outcome = self.do(intent)
                    broken = isinstance(intent, PlaceStop) and not isinstance(outcome, Confirmed)
                    rows.extend(step.intents for step in self.engine.handle(self._event(intent, outcome)))

    def _maybe_die(self) -> None:
        if self.killed_after is None:
            return
        self.killed_after -= 1
        if self.killed_after < 0:
            self.killed_after = None
            raise Killed

    def do(self, intent: Intent) -> Outcome:
        """Carry out one intent, with the fate it has."""
        fate = self.fate(intent)
        self.sent.append(intent)
        outcome: Outcome = Unknown(fate)
        if fate in ("ok", "deaf"):
            done = self.exchange.do(intent)
            outcome = done if fate == "ok" else outcome
        elif fate == "late":
            assert isinstance(intent, PlaceEntry)
            self.late = intent.request
        elif fate != "lost":
            outcome = refused(int(fate), "refused by the test")
        self.outcomes.append((intent, outcome))
        return outcome

    def _event(self, intent: Intent, outcome: Outcome) -> SymbolEvent:
        prices = self.exchange.prices()
        if isinstance(intent, EnsureSetup):
            held = self.exchange.position
            return SetupEnded(symbol=SYMBOL, at_ms=self.now_ms, outcome=outcome, prices=prices, open_quantity=held)
        return IntentEnded(
            symbol=SYMBOL, at_ms=self.now_ms, intent=intent, outcome=outcome, prices=prices, real_ms=self.real_ms
        )

    def arrive(self) -> None:
        """The entry that was on its way reaches the exchange after all."""
        if self.late is not None:
            self.exchange.place_order(self.late)
            self.late = None

    # --- where tests begin ------------------------------------------------------------------------
    def protected(self, **facts: Any) -> Stage:
        """Signal, entry, stop, targets: an open and protected position, one look after its fill."""
        self.signal(**facts)
        assert self.state is State.PROTECTED, self.reasons
        return self

    def next_hour(self) -> Stage:
        return self.wait(HOUR_MS - (self.now_ms - T0) % HOUR_MS)


def _appearance(snapshot: SymbolSnapshot) -> tuple[object, ...]:
    orders = tuple((o.client_id, o.status, o.executed_quantity) for o in snapshot.orders)
    algos = tuple((a.client_id, a.status, a.executed_quantity) for a in snapshot.algo_orders)
    return orders, algos, snapshot.position.quantity if snapshot.position else ZERO, len(snapshot.fills)


def without(*client_ids: str) -> View:
    """A look that does not show these orders."""

    def view(snapshot: SymbolSnapshot) -> SymbolSnapshot:
        orders = tuple(order for order in snapshot.orders if order.client_id not in client_ids)
        algos = tuple(algo for algo in snapshot.algo_orders if algo.client_id not in client_ids)
        return replace(snapshot, orders=orders, algo_orders=algos)

    return view


def with_position(quantity: str) -> View:
    """A look whose position lags, or lies."""

    def view(snapshot: SymbolSnapshot) -> SymbolSnapshot:
        if snapshot.position is None:
            return snapshot
        return replace(snapshot, position=replace(snapshot.position, quantity=Decimal(quantity)))

    return view
