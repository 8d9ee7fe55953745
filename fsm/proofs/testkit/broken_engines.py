"""Deliberately broken engines: each has one fault that bots have had, and the proofs must catch every one of them.

A prover that cannot fail proves nothing. A variant replaces functions of the core while it is in force; the code that
trades never imports this module.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from exchange.refusals import RefusalReason
from exchange.types import AlgoStatus, OrderRequest, Refused, SymbolSnapshot, Unknown
from fsm.core import (
    by_hand,
    close_forms,
    commands,
    decide,
    filling,
    leaving,
    machine,
    order_requests,
    reducing,
    small_steps,
    stops,
)
from fsm.core.model.decision import Decision, Step, decision
from fsm.core.model.decision_context import DecisionContext, Portfolio
from fsm.core.model.events import Commanded, DeadlinePassed, EntryShownAbsent, IntentEnded, SymbolEvent, SymbolObserved
from fsm.core.model.intents import CancelAlgo, ClosePosition, Intent, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.records import State, SymbolRecord, Trade
from fsm.core.model.transition_table import Trigger
from fsm.core.observation import TradeView, observe
from fsm.core.order_requests import place_entry
from fsm.core.refusals import TEMPORARY
from fsm.core.states import closing, entering, protected
from fsm.proofs.testkit.breaking import BrokenEngine, Replaced, judged
from fsm.proofs.testkit.broken_hands import BROKEN_HANDS


def _stop_after_targets() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        made: Decision | None = real(record, event, *rest)
        if made is None or not any(isinstance(intent, PlaceTarget) for intent in made.intents):
            return made
        stops = tuple(intent for intent in made.intents if isinstance(intent, PlaceStop))
        others = tuple(intent for intent in made.intents if not isinstance(intent, PlaceStop))
        return replace(made, intents=(*others[:-1], *stops, *others[-1:]))

    return judged(change)


def _new_id_while_unknown() -> list[Replaced]:
    real = stops.place_stop_again

    def instead(record: SymbolRecord, at_ms: int, reason: str, context: DecisionContext, *, new_id: bool) -> Decision:
        return real(record, at_ms, reason, context, new_id=True)

    return [(stops, "place_stop_again", instead)]


def _not_found_is_cancelled() -> list[Replaced]:
    """An entry that one look does not show is taken for one that ended without a fill."""

    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        trade = record.trade
        if isinstance(event, SymbolObserved) and record.state is State.ENTERING and trade is not None:
            shown = any(order.client_id == trade.entry.client_id for order in event.snapshot.orders)
            if not shown and trade.first_fill_ms is None and event.snapshot.position is None:
                return decision(Trigger.ABANDON, "ENTRY_NOT_FOUND", replace(record, trade=None))
        made: Decision | None = real(record, event, *rest)
        return made

    return judged(change)


def _state_before_commit() -> list[Replaced]:
    real = machine.SymbolMachines.fire

    def instead(self: machine.SymbolMachines, symbol: str, made: Decision, event: SymbolEvent) -> Step | None:
        self._symbols[symbol].record = made.record
        return real(self, symbol, made, event)

    return [(machine.SymbolMachines, "fire", instead)]


def _deadline_ignored() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        return None if isinstance(event, DeadlinePassed) else real(record, event, *rest)

    return judged(change)


def _deadline_not_armed() -> list[Replaced]:
    real = filling.fill

    def instead(*given: Any) -> Decision:
        made = real(*given)
        trade = made.record.trade
        assert trade is not None
        return replace(made, record=replace(made.record, trade=replace(trade, uncovered_ms=None)))

    return [(entering, "fill", instead), (protected, "fill", instead)]


def _exit_without_evidence() -> list[Replaced]:
    real = leaving.leave

    def instead(
        record: SymbolRecord, event: SymbolObserved, view: TradeView, context: DecisionContext
    ) -> Decision | None:
        assert record.trade is not None
        return real(record, event, replace(view, exit_filled=record.trade.entry.filled), context)

    return [(entering, "leave", instead), (protected, "leave", instead)]


def _sweep_before_flat() -> list[Replaced]:
    real = leaving._begin

    def instead(trigger: Trigger, record: SymbolRecord, reason: str, context: DecisionContext) -> Decision:
        made = real(trigger, record, reason, context)
        stop = made.record.trade.stop if made.record.trade else None
        if stop is None:
            return made
        return replace(made, intents=(CancelAlgo(symbol=record.symbol, client_id=stop.client_id), *made.intents))

    return [(leaving, "_begin", instead)]


def _targets_are_protection() -> list[Replaced]:
    real = observe

    def instead(trade: Trade, snapshot: SymbolSnapshot, context: DecisionContext) -> TradeView:
        view = real(trade, snapshot, context)
        rests = any(algo.status is AlgoStatus.NEW for algo in view.targets.values())
        return replace(view, stop_rests=view.stop_rests or rests)

    return [(decide, "observe", instead)]


def _one_piece_only() -> list[Replaced]:
    return [(closing, "_close_more", lambda *given: None)]


def _refused_close_pending() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        waits = record.trade is not None and record.trade.piece_pending
        if isinstance(event, IntentEnded) and isinstance(event.intent, ClosePosition):
            return None
        if waits and isinstance(event, SymbolObserved):
            event = replace(event, persisted=False)
        made: Decision | None = real(record, event, *rest)
        return made

    return judged(change)


def _close_can_open() -> list[Replaced]:
    real = order_requests.close_piece

    def instead(*given: Any, **named: Any) -> ClosePosition:
        piece: ClosePosition = real(*given, **named)
        request: OrderRequest = replace(piece.request, reduce_only=False)
        return replace(piece, request=request)

    return [(close_forms, "close_piece", instead)]


def _nothing() -> list[Replaced]:
    return []


def _absent_entry_resent() -> list[Replaced]:
    def instead(record: SymbolRecord, event: EntryShownAbsent) -> Decision | None:
        assert record.trade is not None
        again = (place_entry(record.trade),)
        return decision(Trigger.REPROTECT, "ENTRY_AGAIN", record, intents=again)

    return [(decide, "entry_absent", instead)]


def _unknown_entry_is_refused() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        unheard = isinstance(event, IntentEnded) and isinstance(event.outcome, Unknown)
        if unheard and isinstance(event, IntentEnded) and isinstance(event.intent, PlaceEntry):
            event = replace(event, outcome=Refused(-1007, "taken for refused", RefusalReason.OTHER))
        made: Decision | None = real(record, event, *rest)
        return made

    return judged(change)


def _resume_ignores_cause() -> list[Replaced]:
    def instead(record: SymbolRecord, event: Commanded, *rest: Any) -> Decision | None:
        if record.halt is None or record.state is State.FLATTEN:
            return None
        return decision(Trigger.RESUME, event.cause, replace(record, halt=None))

    return [(commands, "_resume", instead)]


def _halt_forgotten_when_flat() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        made: Decision | None = real(record, event, *rest)
        if made is None or made.trigger is not Trigger.FLAT:
            return made
        return replace(made, record=replace(made.record, halt=None, state=State.IDLE))

    return judged(change)


def _halt_does_not_block() -> list[Replaced]:
    real = entering._still_good

    def instead(record: SymbolRecord, trade: Trade, event: Any, portfolio: Portfolio, context: DecisionContext) -> Any:
        free = replace(record, halt=None, paused=False, quarantine=None)
        return real(free, trade, event, replace(portfolio, blocked=""), context)

    return [(entering, "_still_good", instead)]


def _quarantine_drops_protection() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        return (
            None if record.quarantine is not None and isinstance(event, SymbolObserved) else real(record, event, *rest)
        )

    return judged(change)


def _refused_stop_is_placed() -> list[Replaced]:
    real = stops._stop_refused

    def instead(record: SymbolRecord, at_ms: int, refused: Refused, context: DecisionContext) -> Decision | None:
        trade = record.trade
        if refused.reason not in TEMPORARY or trade is None or record.state is not State.ENTERING:
            return real(record, at_ms, refused, context)
        placed = replace(record, trade=replace(trade, uncovered_ms=None, protected_ms=at_ms))
        return decision(Trigger.PROTECT, "STOP_PLACED", placed)

    return [(stops, "_stop_refused", instead)]


def _vanished_stop_accepted() -> list[Replaced]:
    """Protection as a memory: once it was confirmed, nobody looks whether it still rests."""
    real = observe

    def instead(trade: Trade, snapshot: SymbolSnapshot, context: DecisionContext) -> TradeView:
        view = real(trade, snapshot, context)
        return replace(view, stop_rests=view.stop_rests or trade.protected_ms is not None)

    return [(decide, "observe", instead)]


def _old_stop_first() -> list[Replaced]:
    real = stops.exchange_stop

    def instead(trade: Trade, older: tuple[str, ...], context: DecisionContext, *, bridged: bool) -> tuple[Intent, ...]:
        return real(trade, older, context, bridged=True)

    return [(stops, "exchange_stop", instead), (protected, "exchange_stop", instead)]


def _orphan_position_ignored() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        made: Decision | None = real(record, event, *rest)
        return None if made is not None and made.trigger is Trigger.ADOPT else made

    return judged(change)


def _looser_without_a_word() -> list[Replaced]:
    return [(by_hand, "_may_loosen", lambda *given: ())]


def _part_given_up() -> list[Replaced]:
    """The order of a part that one look does not show is forgotten, and the next close takes another id."""

    def instead(record: SymbolRecord, trade: Trade, *rest: Any) -> Decision:
        forgotten = replace(record, trade=replace(trade, part=None, exit_refused=trade.exit_attempt))
        return decision(Trigger.REPROTECT, "REDUCE_NOT_FOUND", forgotten)

    return [(reducing, "_never_arrived", instead)]


def _enters_anyway() -> list[Replaced]:
    return [(entering, "with_means_to_leave", lambda trade, *rest: (trade, ()))]


def _steps_of_full_size() -> list[Replaced]:
    return [(small_steps, "allowed", lambda sized, *rest: sized)]


def _impossible_cell() -> list[Replaced]:
    def change(real: Any, record: SymbolRecord, event: SymbolEvent, *rest: Any) -> Decision | None:
        if record.state is State.IDLE and isinstance(event, SymbolObserved) and event.snapshot.position is not None:
            return replace(decision(Trigger.QUARANTINE, "FILL", record), trigger=Trigger.FILL)
        made: Decision | None = real(record, event, *rest)
        return made

    return judged(change)


VARIANTS: dict[str, BrokenEngine] = {
    variant.name: variant
    for variant in (
        BrokenEngine("stop-after-targets", "targets are sent before the stop", _stop_after_targets),
        BrokenEngine(
            "new-id-while-unknown", "a stop of unknown outcome is sent again under a new id", _new_id_while_unknown
        ),
        BrokenEngine(
            "not-found-is-cancelled", "an entry that a look does not show counts as cancelled", _not_found_is_cancelled
        ),
        BrokenEngine(
            "state-before-commit", "the state in memory changes before the row is written", _state_before_commit
        ),
        BrokenEngine("deadline-ignored", "nothing happens when the protection deadline passes", _deadline_ignored),
        BrokenEngine(
            "deadline-not-armed", "the first fill does not start the protection deadline", _deadline_not_armed
        ),
        BrokenEngine("exit-without-evidence", "one look without a position ends the trade", _exit_without_evidence),
        BrokenEngine("sweep-before-flat", "the stop is cancelled before the position is closed", _sweep_before_flat),
        BrokenEngine("targets-are-protection", "a resting target counts as a stop", _targets_are_protection),
        BrokenEngine("one-piece-only", "an emergency close gives up after its first piece", _one_piece_only),
        BrokenEngine("refused-close-pending", "a refused close is waited for as if it worked", _refused_close_pending),
        BrokenEngine("close-can-open", "closing orders are not reduce-only", _close_can_open),
        BrokenEngine(
            "entry-resent-after-restart", "a restart sends an unresolved entry again", _nothing, resends_entries=True
        ),
        BrokenEngine("absent-entry-resent", "an entry that was shown absent is sent again", _absent_entry_resent),
        BrokenEngine(
            "unknown-entry-is-refused", "an entry of unknown outcome counts as refused", _unknown_entry_is_refused
        ),
        BrokenEngine("resume-ignores-cause", "any resume ends any halt", _resume_ignores_cause),
        BrokenEngine("halt-forgotten-when-flat", "a trade's end clears the halt", _halt_forgotten_when_flat),
        BrokenEngine("halt-does-not-block", "an entry under way ignores a halt", _halt_does_not_block),
        BrokenEngine(
            "quarantine-drops-protection",
            "a quarantined symbol is no longer looked after",
            _quarantine_drops_protection,
        ),
        BrokenEngine("refused-stop-is-placed", "a stop refused for now counts as placed", _refused_stop_is_placed),
        BrokenEngine(
            "vanished-stop-accepted", "a stop that was confirmed once is never checked again", _vanished_stop_accepted
        ),
        BrokenEngine("old-stop-first", "a moved stop is cancelled with nothing resting in between", _old_stop_first),
        BrokenEngine("orphan-position-ignored", "a late entry's position is not adopted", _orphan_position_ignored),
        BrokenEngine("looser-without-a-word", "any stop is moved where a hand wants it", _looser_without_a_word),
        BrokenEngine("part-given-up", "a part that one look does not show to be closed is forgotten", _part_given_up),
        BrokenEngine("enters-anyway", "an entry needs no means to leave again", _enters_anyway),
        BrokenEngine("steps-of-full-size", "small steps are as large as any", _steps_of_full_size),
        *BROKEN_HANDS,
        BrokenEngine("impossible-cell", "a fill is told to a flat symbol", _impossible_cell),
    )
}
"""Every broken engine by its name."""
