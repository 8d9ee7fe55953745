"""What must hold in every state that the model check reaches, and the journal that looks at every row for it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from exchange.client_ids import ClientId, Leg
from fsm.core.model.decision import Decision, Step
from fsm.core.model.events import Commanded, SetupEnded, SymbolEvent
from fsm.core.model.intents import ClosePosition, Intent, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.records import LIMIT_CAUSES, AccountRecord, State, SymbolRecord
from fsm.core.model.transition_table import Trigger
from fsm.proofs.modelcheck.venue import parts_of
from fsm.proofs.modelcheck.world import ModelState

CLAIMS: dict[str, str] = {
    "PROTECTED_OR_CLOSING": "when the protection deadline passes with a position of ours and no live stop, an "
    "emergency close is under way",
    "NO_STUCK_STATE": "from every state, with an exchange that answers, the symbol comes to rest: flat with nothing "
    "of ours left, or PROTECTED with a stop that covers all that is ours",
    "STOP_SEEN": "PROTECTED is entered only while a stop really rests and covers the position",
    "STOP_KEPT": "the last stop of an open position is never cancelled by us",
    "STOP_FIRST": "no target is sent before the stop of its trade",
    "FLAT_IS_FLAT": "a trade is left or booked only when nothing of ours is open",
    "ONE_ENTRY": "a trade has one entry order, and it is sent once, also after an unknown outcome and a restart",
    "SAME_ID_WHILE_UNKNOWN": "while the outcome of an order is unknown, nothing takes its place under a new id",
    "NEVER_LOOSER": "a stop moves away from safety only where the operator said so, and why",
    "REDUCE_ONLY": "every order but the entry can only reduce, and a close asks for no more than the entry brought",
    "NO_ENTRY_WHILE_BLOCKED": "no entry is decided while halted, paused, quarantined, off the list of symbols or "
    "over a loss limit",
    "MEANS_TO_LEAVE": "an entry is decided only while its stop, its close and its looks may leave, nothing that "
    "protects waits, and the book takes it both ways, in full at the market or up to a limit",
    "SMALL_STEPS": "a trade in small steps is the smallest that the filters allow, with one target at most",
    "LIST_TOUCHES_NOTHING": "what is decided of an open trade is the same whether the list by rule has its symbol or "
    "not",
    "HANDS_OFF": "of what was handed over nothing is closed, added to, covered anew or taken back",
    "REFUSED_IN_WORDS": "what the operator cannot have now is refused with a guard and in words, and nothing is "
    "written",
    "HALT_BY_ITS_RULE": "a halt ends by the operator or with its own limit's period, never while a limit is exceeded",
    "COMMIT_FIRST": "the state in memory changes after the row is written, never before, and every change has its row",
    "NO_EXCEPTION": "no decision raises, and no cell of the table that is impossible is reached",
    "JSON_ROUND_TRIP": "every record and intent that is written comes back from JSON the same",
}
"""Each claim by name, in words. The first two are about time, the others about single steps."""


LEAVING_ORDERS = 3
SMALL_USDT = Decimal(180)
"""Of BTC at 60,000 in steps of 0.001: the smallest order is 60 USDT, and one step more is room."""


class Violation(Exception):
    """A claim does not hold here."""

    def __init__(self, claim: str, found: str) -> None:
        super().__init__(f"{claim}: {found}")
        self.claim = claim
        self.found = found


def invariant(name: str, holds: bool, found: str) -> None:
    """Raises Violation unless it holds."""
    assert name in CLAIMS
    if not holds:
        raise Violation(name, found)


_encode = msgspec.json.Encoder(order="deterministic").encode
_record = msgspec.json.Decoder(SymbolRecord).decode
_intents = msgspec.json.Decoder(tuple[Intent, ...]).decode


class CheckedJournal:
    """A ledger in memory. ``world`` is where the engine decides; ``rows`` are those of this step of the model,
    ``kinds`` of all steps: from which state, by which trigger, for which reason."""

    def __init__(self) -> None:
        self.world = ModelState()
        self.rows: list[Decision] = []
        self.kinds: set[tuple[State, Trigger, str]] = set()

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        self._check_order(before)
        _check_json(decision)
        _check_halt(before, decision, event, self.world)
        _check_flatness(before, decision, self.world)
        _check_stop(before, decision, event)
        _check_means(decision, event)
        _check_small(decision)
        _check_released(decision)
        return self._written(before, decision, event)

    def _written(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        self.rows.append(decision)
        self.kinds.add((before.state, decision.trigger, decision.reason))
        number = len(self.rows)
        trade = decision.record.trade or before.trade
        return Step(
            transition_id=number,
            at_ms=event.at_ms,
            symbol=before.symbol,
            source=before.state,
            dest=decision.record.state,
            trigger=decision.trigger,
            reason=decision.reason,
            trade_id=trade.id if trade else None,
            intents=tuple((f"{number}.{place}", intent) for place, intent in enumerate(decision.intents)),
        )

    def commit_account(self, at_ms: int, kinds: tuple[str, ...], after: AccountRecord) -> None:
        """The account is the model's own choice; a booked trade changes only its sums, which decide nothing here."""

    def _check_order(self, before: SymbolRecord) -> None:
        written = self.rows[-1].record if self.rows else self.world.record
        invariant("COMMIT_FIRST", before == written, f"a row starts from a {before.state} that no row before it wrote")


class UncheckedJournal(CheckedJournal):
    """Rows of what would have been decided elsewhere; nobody acts on them."""

    def commit(self, before: SymbolRecord, decision: Decision, event: SymbolEvent) -> Step:
        return self._written(before, decision, event)


def _check_json(decision: Decision) -> None:
    text = _encode(decision.record)
    invariant(
        "JSON_ROUND_TRIP", _record(text) == decision.record, f"the record after {decision.trigger} {decision.reason}"
    )
    if decision.intents:
        same = _intents(_encode(decision.intents)) == decision.intents
        invariant("JSON_ROUND_TRIP", same, f"the intents of {decision.trigger} {decision.reason}")


def _check_halt(before: SymbolRecord, decision: Decision, event: SymbolEvent, world: ModelState) -> None:
    after = decision.record
    if before.halt is not None and after.halt is None:
        resumed = isinstance(event, Commanded) and event.command == "resume"
        cause = event.cause if isinstance(event, Commanded) else ""
        allowed = resumed and (cause not in LIMIT_CAUSES or cause == before.halt.cause)
        found = f"a halt for {before.halt.cause} was ended by {decision.trigger} {cause or decision.reason}"
        invariant("HALT_BY_ITS_RULE", allowed and not world.exceeded, found)
    if before.state is not State.HALT and after.state is State.HALT:
        invariant("HALT_BY_ITS_RULE", after.halt is not None, "HALT without a cause")
    if decision.trigger in (Trigger.SIGNAL, Trigger.ENTER):
        blocked = after.halt or after.quarantine or after.paused or world.exceeded or world.unlisted
        invariant("NO_ENTRY_WHILE_BLOCKED", not blocked, f"{decision.trigger} {decision.reason}")


def _check_flatness(before: SymbolRecord, decision: Decision, world: ModelState) -> None:
    venue = world.venue
    if decision.trigger is Trigger.PROTECT:
        invariant("STOP_SEEN", venue.is_covered(), f"{venue.ours} of ours is open and no stop covers it")
    left = (
        decision.record.trade is not None and decision.record.trade.swept and not (before.trade and before.trade.swept)
    )
    if (decision.trigger is Trigger.EXIT and left) or decision.trigger is Trigger.FLAT:
        unseen = before.trade is not None and not before.trade.entry.finished
        invariant(
            "FLAT_IS_FLAT",
            venue.ours == 0 or unseen or world.astray > 0,
            f"{decision.trigger} {decision.reason} with {venue.ours} of ours open",
        )


def _check_stop(before: SymbolRecord, decision: Decision, event: SymbolEvent) -> None:
    """A move that is refused leads back to where the stop rests."""
    old, new = before.trade, decision.record.trade
    if old is None or new is None or old.id != new.id or old.stop is None or new.stop is None:
        return
    allowed = [old.stop.trigger_price] + ([] if old.stop_before is None else [old.stop_before.trigger_price])
    loosest = min(allowed, key=lambda price: new.side.sign * price)
    asked = isinstance(event, Commanded) and event.looser and bool(event.why)
    is_kept = asked or new.side.sign * (new.stop.trigger_price - loosest) >= 0
    invariant("NEVER_LOOSER", is_kept, f"{decision.trigger} {decision.reason}: {loosest} to {new.stop.trigger_price}")


def _check_means(decision: Decision, event: SymbolEvent) -> None:
    """By the means themselves, not by the guards."""
    trade = decision.record.trade
    if decision.trigger is not Trigger.ENTER or not isinstance(event, SetupEnded) or trade is None:
        return
    means = event.means
    assert means is not None
    room, side = means.room, trade.side
    spare = room.orders is None or room.orders >= LEAVING_ORDERS
    spare = spare and (room.looks is None or room.looks > 1) and room.waiting == 0
    invariant("MEANS_TO_LEAVE", spare, f"{decision.reason} with {room}")
    out = sum(level.quantity for level in means.book.against(side.exit_side))
    into = sum(level.quantity for level in means.book.against(side.entry_side))
    taken = out >= trade.quantity and (trade.entry.price is not None or into >= trade.quantity)
    invariant("MEANS_TO_LEAVE", taken, f"{trade.quantity} where {into} is offered and {out} taken back")


def _check_small(decision: Decision) -> None:
    trade, portfolio = decision.record.trade, decision.facts.get("portfolio", {})
    if decision.trigger is not Trigger.SIGNAL or trade is None or Decimal(portfolio.get("held_back", 0)) != 1:
        return
    worth = trade.quantity * trade.entry_price_planned
    is_small = worth <= SMALL_USDT and len(trade.targets) <= 1
    invariant("SMALL_STEPS", is_small, f"{worth} USDT with {len(trade.targets)} targets")


def _check_released(decision: Decision) -> None:
    if decision.record.released is None:
        return
    orders = [
        each for each in decision.intents if isinstance(each, PlaceEntry | ClosePosition | PlaceStop | PlaceTarget)
    ]
    taken = orders or decision.record.trade is not None
    invariant("HANDS_OFF", not taken, f"{decision.trigger} {decision.reason} {orders}")


def check_sending(world: ModelState, intent: Intent) -> None:
    """Before an order leaves: is it one that may?"""
    match intent:
        case PlaceEntry(request=request):
            number = parts_of(request.client_id).trade_number
            invariant("ONE_ENTRY", number > world.entry_sent, f"{request.client_id} leaves a second time")
        case ClosePosition(request=request):
            invariant("REDUCE_ONLY", request.reduce_only, f"{request.client_id} could open a position")
            brought = world.record.trade.entry.quantity if world.record.trade else request.quantity
            invariant(
                "REDUCE_ONLY", request.quantity <= brought, f"{request.quantity} is more than the entry's {brought}"
            )
            _check_same_id(world, parts_of(request.client_id))
        case PlaceStop(request=algo) | PlaceTarget(request=algo):
            reduces = algo.close_position or algo.reduce_only
            invariant("REDUCE_ONLY", reduces, f"{algo.client_id} could open a position")
            parts = parts_of(algo.client_id)
            _check_same_id(world, parts)
            trade = world.record.trade
            if isinstance(intent, PlaceTarget) and trade is not None and not trade.adopted:
                first = world.stop_sent >= parts.trade_number
                invariant("STOP_FIRST", first, f"{algo.client_id} leaves before any stop of its trade")


def _check_same_id(world: ModelState, parts: ClientId) -> None:
    for other in world.unsure:
        known = parts_of(other)
        if known.trade_number != parts.trade_number or known.leg is not parts.leg:
            continue
        newer = (parts.index, parts.attempt) > (known.index, known.attempt)
        same_order = parts.leg is Leg.CLOSE or parts.index == known.index
        found = f"{other} may have been executed, and {parts.leg}{parts.index}.{parts.attempt} leaves"
        invariant("SAME_ID_WHILE_UNKNOWN", not (newer and same_order), found)
