"""The live shell in miniature: which choices a state of the model offers, and what each leads to.

Order and reactions are those of the running daemon (one inbox, one row after another, a row's rest dropped after a
stop that is not confirmed, a look void when something was decided meanwhile, the deadline before everything else);
what is awaited there is a choice here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from typing import Any, NamedTuple

from msgspec.structs import replace

from exchange.sim.core.reasons import refused
from exchange.types import Confirmed, OrderType, Outcome, Refused, SymbolSnapshot, Unknown
from fsm.core.engine import Engine
from fsm.core.model.decision import Decision, Rejected, Step
from fsm.core.model.events import (
    Commanded,
    DeadlinePassed,
    EntryShownAbsent,
    IntentEnded,
    Means,
    SetupEnded,
    SymbolEvent,
    SymbolObserved,
)
from fsm.core.model.intents import (
    CancelAlgo,
    CancelEntry,
    ClosePosition,
    EnsureSetup,
    Intent,
    Look,
    PlaceEntry,
    PlaceStop,
    PlaceTarget,
    SweepOrders,
)
from fsm.core.model.records import ZERO, HaltCause, State, SymbolRecord
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import look_request, observe
from fsm.core.order_requests import place_entry
from fsm.proofs.modelcheck import setup as market
from fsm.proofs.modelcheck.invariants import CheckedJournal, UncheckedJournal, check_sending, invariant
from fsm.proofs.modelcheck.model_engine import ModelEngine
from fsm.proofs.modelcheck.setup import DEADLINE_MS, HOUR_MS, SYMBOL
from fsm.proofs.modelcheck.venue import FULL, parts_of
from fsm.proofs.modelcheck.world import ModelState

PATIENCE_MS = 2_000
"""What two looks so far apart both show is no lag; the time in between is what a patient look takes."""

SEARCHES_MAX = 2
"""A patient look stands for several; after two that show neither entry nor position the entry counts as absent."""


Distortion = Callable[[ModelState, SymbolSnapshot], SymbolSnapshot]
"""What a look shows instead of the truth."""


class Answer(Enum):
    HEARD = "heard"
    UNHEARD = "unheard"
    DIES = "dies"


class Fate(NamedTuple):
    """What becomes of a call: whether it arrives, how much is executed, a refusal's code, and what is heard of it."""

    label: str
    amount: str = FULL
    answer: Answer = Answer.HEARD
    code: int = 0
    arrives: bool = True
    late: bool = False
    means: Means = market.PLENTY


class Shell:
    """Takes one world a step further. ``resend_entries`` is what a careless recovery would do."""

    def __init__(self, entry_type: OrderType, *, resend_entries: bool = False) -> None:
        self.journal = CheckedJournal()
        self.engine = ModelEngine(self.journal, entry_type)
        self._other_rows = UncheckedJournal()
        self._other = ModelEngine(self._other_rows, entry_type)
        self.context = market.model_context(entry_type)
        self._resend_entries = resend_entries
        self.world = ModelState()

    def enter(self, world: ModelState) -> ModelState:
        """A copy of this world to act in, with the engine in its state."""
        self.world = self.journal.world = after = world.copy()
        self.journal.rows = []
        self.engine.go_to(after.record, exceeded=after.exceeded)
        return after

    @property
    def moves(self) -> list[Decision]:
        """The rows that the latest step wrote."""
        return self.journal.rows

    # --- the engine -------------------------------------------------------------------------------
    def tell(self, event: SymbolEvent) -> None:
        """The engine judges an event; what follows waits in the inbox."""
        found, first = self._were_it_listed(lambda engine: engine.handle(event)), len(self.moves)
        with suppress(Rejected):
            self._submit(self.engine.handle(event))
        self._after_engine()
        self._check_list(found, first)

    def close_candle(self, *, rsi: float, atr: float = market.ATR, small: bool = False) -> None:
        """The next candle closes; ``small``: something is new, so the trade is a small step."""
        world = self.world
        if small:
            self.engine.begin_small_steps(world.now_ms, "UPGRADE")
        world.now_ms += HOUR_MS - (world.now_ms - market.START_MS) % HOUR_MS
        event = market.candle(world.now_ms, rsi=rsi, atr=atr)
        found, first = self._were_it_listed(lambda engine: engine.close_candle(event)), len(self.moves)
        _, _, steps = self.engine.close_candle(event)
        self._submit(steps)
        self._after_engine()
        self._check_list(found, first)

    def command(self, command: str, cause: HaltCause, *, exceeded: bool | None = None) -> None:
        """A wish arrives; with ``exceeded`` the account's loss limit is exceeded, or over, from now on."""
        world = self.world
        if exceeded is not None:
            world.exceeded = exceeded
            self.engine.go_to(world.record, exceeded=exceeded)
        self.tell(Commanded(symbol=SYMBOL, at_ms=world.now_ms, command=command, cause=cause.value))

    def by_hand(self, command: str, **wished: Any) -> None:
        """The operator changes something of the open trade."""
        now_ms = self.world.now_ms
        prices, number = market.prices(now_ms), self.world.record.trades_opened
        wish = Commanded(symbol=SYMBOL, at_ms=now_ms, command=command, cause=HaltCause.OPERATOR.value, prices=prices)
        self.tell(replace(wish, command_id=number, **wished))

    def release(self, *, cancel_stop: bool) -> None:
        """The operator takes over what is open."""
        world, before = self.world, len(self.moves)
        wish = Commanded(symbol=SYMBOL, at_ms=world.now_ms, command="release", cause=HaltCause.OPERATOR.value)
        self.tell(replace(wish, cancel_stop=cancel_stop))
        if len(self.moves) > before:
            world.venue.hand_over(bare=cancel_stop)
            world.owed_ms = world.search = None

    def ask_for(self, wishes: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """What cannot be done now: each is refused in words, and nothing comes of it."""
        prices = market.prices(self.world.now_ms)
        for command, wished in wishes:
            wish = Commanded(symbol=SYMBOL, at_ms=self.world.now_ms, command=command, cause="OPERATOR", prices=prices)
            told = ""
            try:
                self.engine.handle(replace(wish, command_id=self.world.record.trades_opened, **wished))
            except Rejected as refusal:
                told = refusal.guard and str(refusal)
            invariant("REFUSED_IN_WORDS", bool(told) and not self.moves, f"{command} in {self.world.record.state}")
        self._after_engine()

    def relist(self) -> None:
        """The list of the day: the symbol leaves it, or enters it again."""
        self.world.unlisted = not self.world.unlisted

    def _were_it_listed(self, act: Callable[[Engine], object]) -> list[object] | None:
        """What would be decided of an open trade if its symbol were on the list; None where there is nothing to ask."""
        world, trade = self.world, self.world.record.trade
        if not world.unlisted or trade is None or trade.first_fill_ms is None:
            return None
        self._other_rows.rows = []
        self._other.go_to(world.record, exceeded=world.exceeded)
        with suppress(Rejected):
            act(self._other)
        return _decided(self._other_rows.rows)

    def _check_list(self, found: list[object] | None, first: int) -> None:
        """Whether the same was decided."""
        moves = self.moves[first:]
        told = ", ".join(f"{made.trigger} {made.reason}" for made in moves) or "nothing"
        same = found is None or found == _decided(moves)
        invariant("LIST_TOUCHES_NOTHING", same, f"{told} is decided because the symbol left the list")

    def _after_engine(self) -> None:
        found = "; ".join(f"{failure.event}: {failure.error}" for failure in self.engine.failures)
        invariant("NO_EXCEPTION", not found, found)
        record = self.engine.record(SYMBOL)
        written = self.moves[-1].record if self.moves else self.world.record
        invariant("COMMIT_FIRST", record == written, f"{record.state} is in memory, {written.state} in the journal")
        self.world.record = record
        if self.world.venue.released and record.released is None:
            self.world.venue.let_go()
        if record.trade is not None and record.trade.number == self.world.astray:
            self.world.astray = 0

    def _submit(self, steps: Iterable[Step]) -> None:
        world = self.world
        for step in steps:
            if step.trigger is Trigger.ADOPT or (step.trigger is Trigger.FILL and step.reason == "FIRST_FILL"):
                world.owed_ms = world.now_ms
            row = tuple(intent for _, intent in step.intents)
            if row:
                world.rows = (*world.rows, row)

    def settle(self) -> None:
        """Bring the inbox to its next choice: what a broken row drops and looks that would be void go by themselves."""
        world = self.world
        while world.rows:
            row = world.rows[0]
            if not row:
                world.rows, world.broken = world.rows[1:], False
            elif len(world.rows) > 1 if isinstance(row[0], Look) else world.broken:
                world.rows = (row[1:], *world.rows[1:])
            else:
                break
        world.forget_the_past()

    # --- intents ----------------------------------------------------------------------------------
    def carry(self, fate: Fate) -> None:
        """Carry out the next intent, with this fate."""
        world = self.world
        intent, rest = world.rows[0][0], world.rows[0][1:]
        world.rows = (rest, *world.rows[1:])
        check_sending(world, intent)
        outcome = self._do(intent, fate)
        self._note_sent(intent, outcome)
        if fate.answer is Answer.DIES:
            self.restart()
            return
        if isinstance(intent, EnsureSetup):
            price = market.prices(world.now_ms)
            held = world.venue.position
            event = SetupEnded(symbol=SYMBOL, at_ms=world.now_ms, outcome=outcome, prices=price, open_quantity=held)
            self.tell(replace(event, means=fate.means))
            return
        wanted = isinstance(intent, ClosePosition) and isinstance(outcome, Refused)
        prices = market.prices(world.now_ms) if wanted else None
        self.tell(IntentEnded(symbol=SYMBOL, at_ms=world.now_ms, intent=intent, outcome=outcome, prices=prices))
        if isinstance(intent, PlaceStop):
            world.broken = not isinstance(outcome, Confirmed)
        if isinstance(intent, PlaceEntry):
            self._entry_sent(outcome)

    def _do(self, intent: Intent, fate: Fate) -> Outcome:
        """What the exchange makes of it, and what is heard of that."""
        if fate.code:
            return refused(fate.code, "refused by choice")
        if fate.late:
            assert isinstance(intent, PlaceEntry)
            self.world.late = intent.request
        answer = self._execute(intent, fate.amount) if fate.arrives else None
        return answer if fate.answer is Answer.HEARD and answer is not None else Unknown("not heard")

    def _execute(self, intent: Intent, amount: str) -> Outcome:
        venue, now_ms = self.world.venue, self.world.now_ms
        match intent:
            case PlaceEntry(request=order) | ClosePosition(request=order):
                return venue.place_order(order, now_ms, amount)
            case PlaceStop(request=algo) | PlaceTarget(request=algo):
                return venue.place_algo(algo, now_ms)
            case CancelEntry(client_id=cid) | CancelAlgo(client_id=cid):
                return self._cancel(cid)
            case SweepOrders(client_ids=cids):
                for cid in cids:
                    self._cancel(cid)
        return Confirmed()

    def _cancel(self, client_id: str) -> Outcome:
        venue = self.world.venue
        covered = venue.is_covered()
        outcome = venue.cancel(client_id, self.world.now_ms)
        excused = venue.bridge_was_ended() or self.world.astray
        lost = covered and not venue.is_covered() and not excused
        invariant("STOP_KEPT", not lost, f"{client_id} was cancelled with {venue.ours} of ours open")
        return outcome

    def _note_sent(self, intent: Intent, outcome: Outcome) -> None:
        world = self.world
        if isinstance(intent, PlaceEntry):
            world.entry_sent = parts_of(intent.request.client_id).trade_number
        elif isinstance(intent, PlaceStop | PlaceTarget | ClosePosition):
            cid = intent.request.client_id
            world.unsure = world.unsure | {cid} if isinstance(outcome, Unknown) else world.unsure - {cid}
            if isinstance(intent, PlaceStop):
                world.stop_sent = parts_of(cid).trade_number

    def _entry_sent(self, outcome: Outcome) -> None:
        """An answer that shows fills has said all; otherwise look what became of the entry."""
        world = self.world
        if isinstance(outcome, Unknown):
            world.search = 0
        trade = world.record.trade
        if world.record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None:
            world.rows = ((Look(symbol=SYMBOL), *world.rows[0]), *world.rows[1:])

    # --- looking ----------------------------------------------------------------------------------
    def look(self, distort: Distortion | None = None, *, patient: bool = False) -> None:
        """One look, as it is or distorted. What a patient one shows as the one before did is no lag."""
        world = self.world
        if world.rows:
            world.rows = (world.rows[0][1:], *world.rows[1:])
        world.now_ms += PATIENCE_MS if patient else 0
        request = look_request(world.record, self.context)
        snapshot = world.venue.look(request, world.now_ms)
        if distort is not None:
            snapshot = distort(world, snapshot)
        shown = frozenset(o.client_id for o in snapshot.orders) | {a.client_id for a in snapshot.algo_orders}
        seen = _appearance(world.record, snapshot, tuple(cid for cid in request.tracked if cid not in shown))
        persisted = patient and seen == world.seen
        world.seen, world.unsure = seen, world.unsure - shown
        self.tell(SymbolObserved(symbol=SYMBOL, at_ms=world.now_ms, snapshot=snapshot, persisted=persisted))
        self._judge_search(snapshot, patient=patient)
        self._watch(snapshot)

    def _judge_search(self, snapshot: SymbolSnapshot, *, patient: bool) -> None:
        world, trade = self.world, self.world.record.trade
        if world.search is None:
            return
        if trade is None or trade.first_fill_ms is not None or world.record.state is not State.ENTERING:
            world.search = None
            return
        cid = trade.entry.client_id
        if any(order.client_id == cid for order in snapshot.orders):
            world.search = None
            return
        world.search = min(world.search + patient, SEARCHES_MAX)
        if snapshot.position is None and world.search >= SEARCHES_MAX:
            world.search = None
            self.tell(EntryShownAbsent(symbol=SYMBOL, at_ms=world.now_ms, client_id=cid))

    def _watch(self, snapshot: SymbolSnapshot) -> None:
        """Since when a stop is owed, judged after the engine did."""
        world, record = self.world, self.world.record
        trade = record.trade
        if trade is None or trade.first_fill_ms is None or record.state not in (State.ENTERING, State.PROTECTED):
            world.owed_ms = None
            return
        view = observe(trade, snapshot, self.context)
        if view.stop_rests or view.bridged:
            world.owed_ms = None
        elif view.position > 0 and world.owed_ms is None:
            world.owed_ms = world.now_ms

    # --- time and death ---------------------------------------------------------------------------
    def pass_deadline(self) -> None:
        """The protection deadline interrupts whatever is being waited for."""
        world = self.world
        assert world.owed_ms is not None
        world.now_ms = max(world.now_ms, world.owed_ms + DEADLINE_MS)
        world.rows, world.broken, world.owed_ms = (), False, None
        self.tell(DeadlinePassed(symbol=SYMBOL, at_ms=world.now_ms))
        naked = world.venue.ours > 0 and not world.venue.is_covered()
        waits = naked and world.record.state not in (State.FLATTEN, State.EXITING)
        invariant("PROTECTED_OR_CLOSING", not waits, f"{world.record.state}, {world.venue.ours} of ours open, no stop")

    def restart(self) -> None:
        """The process dies and starts again: nothing is sent from the outbox, an entry in doubt is looked for."""
        world = self.world
        world.rows, world.broken, world.search, world.seen, world.owed_ms = (), False, None, None, None
        record, trade = world.record, world.record.trade
        self.engine.go_to(record, exceeded=world.exceeded)
        if record.state is State.SIGNALLED:
            nothing = replace(market.prices(world.now_ms), mark_price=ZERO, last_price=ZERO)
            unknown = Unknown("the bot was started again")
            self.tell(SetupEnded(symbol=SYMBOL, at_ms=world.now_ms, outcome=unknown, prices=nothing))
        elif record.state is State.ENTERING and trade is not None and trade.first_fill_ms is None:
            world.search = 0
            if self._resend_entries:
                world.rows = ((place_entry(trade),),)


def _decided(rows: Iterable[Decision]) -> list[object]:
    return [(made.trigger, made.reason, made.record, made.intents) for made in rows]


def _appearance(record: SymbolRecord, snapshot: SymbolSnapshot, missing: tuple[str, ...]) -> tuple[object, ...]:
    """Everything that a look shows but prices and times."""
    orders = frozenset((o.client_id, o.status, o.executed_quantity) for o in snapshot.orders)
    algos = frozenset((a.client_id, a.status, a.executed_quantity) for a in snapshot.algo_orders)
    quantity = snapshot.position.quantity if snapshot.position else ZERO
    return record.state, missing, orders, algos, quantity, len(snapshot.fills)
