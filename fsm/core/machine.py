"""The one choke point: a `transitions` machine that checks the guards, commits, and only then changes the state."""

from __future__ import annotations

from collections.abc import Callable

from transitions import EventData, Machine

from fsm.core.model.decision import Decision, Guard, Step, failed
from fsm.core.model.events import SymbolEvent
from fsm.core.model.records import State, SymbolRecord
from fsm.core.model.transition_table import TABLE, Cell, destinations

Commit = Callable[[SymbolRecord, Decision, SymbolEvent], Step]
"""Writes the transition down durably and numbers its intents; when it raises, nothing has happened."""


class Impossible(Exception):
    """The engine asked for a cell that must never be reached: the symbol is stopped, its stop left resting."""


class GuardRefused(Exception):
    """A guard did not hold, so nothing was committed and nothing changed."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(f"{guard.name}: {guard.value} is not {guard.limit}")
        self.guard = guard


class _Symbol:
    """What `transitions` moves: it must be compared by identity and take attributes, so it is a plain class."""

    def __init__(self, record: SymbolRecord) -> None:
        self.record = record
        self.state = record.state.value
        self.step: Step | None = None


class SymbolMachines:
    """The machines of all symbols on one shared `transitions.Machine` (no queue, no automatic transitions, no callbacks
    after the state has changed: a failure there would lie)."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._symbols: dict[str, _Symbol] = {}
        self._machine = Machine(
            model=None,
            states=[state.value for state in State],
            initial=State.IDLE.value,
            transitions=self._transitions(),
            auto_transitions=False,
            queued=False,
            send_event=True,
        )

    def _transitions(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for source, cells in TABLE.items():
            for trigger, cell in cells.items():
                shared = {"trigger": trigger.value, "source": source.value, "before": [self._write]}
                if isinstance(cell, State):
                    rows.append({**shared, "dest": cell.value, "conditions": [self._allowed]})
                elif cell is Cell.STAY:
                    rows.append({**shared, "dest": None, "conditions": [self._allowed]})
                elif cell is Cell.FLAT_HOME:
                    for dest, halted in ((State.HALT, True), (State.IDLE, False)):
                        chosen = self._is_halted if halted else self._is_not_halted
                        rows.append({**shared, "dest": dest.value, "conditions": [self._allowed, chosen]})
        return rows

    def add(self, record: SymbolRecord) -> None:
        """Take a symbol in, in the state that its record says."""
        symbol = _Symbol(record)
        self._symbols[record.symbol] = symbol
        self._machine.add_model(symbol, initial=record.state.value)

    def record(self, symbol: str) -> SymbolRecord:
        return self._symbols[symbol].record

    def records(self) -> list[SymbolRecord]:
        """All records, in symbol order."""
        return [self._symbols[name].record for name in sorted(self._symbols)]

    def fire(self, symbol: str, decision: Decision, event: SymbolEvent) -> Step | None:
        """Pull the trigger. None where the table ignores it; raises GuardRefused, Impossible, or what commit raised."""
        model = self._symbols[symbol]
        cell = TABLE[model.record.state][decision.trigger]
        if cell is Cell.IGNORE:
            return None
        if decision.record.state not in destinations(model.record.state, decision.trigger):
            raise Impossible(
                f"{symbol}: {decision.trigger} ({decision.reason}) cannot happen in {model.record.state}, nor lead to "
                f"{decision.record.state}; this is a mistake in the engine, report it with the journal"
            )
        if not self._machine.events[decision.trigger.value].trigger(model, decision=decision, cause=event):
            raise GuardRefused(failed(decision.guards) or Guard("FLAT_HOME", False))
        model.record = decision.record
        return model.step

    def _allowed(self, event: EventData) -> bool:
        return failed(event.kwargs["decision"].guards) is None

    def _is_halted(self, event: EventData) -> bool:
        return event.kwargs["decision"].record.halt is not None

    def _is_not_halted(self, event: EventData) -> bool:
        return not self._is_halted(event)

    def _write(self, event: EventData) -> None:
        model = self._symbols[event.kwargs["decision"].record.symbol]
        model.step = self._commit(model.record, event.kwargs["decision"], event.kwargs["cause"])
