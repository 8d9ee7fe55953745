"""The choke point: guards first, then the commit, and only then another state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from fsm.core.machine import GuardRefused, Impossible, SymbolMachines
from fsm.core.model.decision import Decision, Guard, Step, at_most, decision
from fsm.core.model.events import Commanded, SymbolEvent
from fsm.core.model.records import Flag, State, SymbolRecord
from fsm.core.model.transition_table import TABLE, Cell, Trigger

EVENT = Commanded(symbol="A", at_ms=1, command="pause", cause="OPERATOR")
IMPOSSIBLE = [(s, t) for s in State for t in Trigger if TABLE[s][t] in (Cell.IMPOSSIBLE, Cell.REJECT)]
IGNORED = [(s, t) for s in State for t in Trigger if TABLE[s][t] is Cell.IGNORE]


class Journal:
    """Rows in memory; ``before_write`` sees each one first and may raise."""

    def __init__(self, before_write: Callable[[], None] = lambda: None) -> None:
        self.rows: list[tuple[SymbolRecord, Decision]] = []
        self.before_write = before_write

    def commit(self, before: SymbolRecord, made: Decision, event: SymbolEvent) -> Step:
        self.before_write()
        self.rows.append((before, made))
        return Step(
            transition_id=len(self.rows),
            at_ms=event.at_ms,
            symbol=before.symbol,
            source=before.state,
            dest=made.record.state,
            trigger=made.trigger,
            reason=made.reason,
            trade_id=None,
            intents=(),
        )


def machines(journal: Journal, *records: SymbolRecord) -> SymbolMachines:
    made = SymbolMachines(journal.commit)
    for record in records:
        made.add(record)
    return made


def in_state(state: State, symbol: str = "A") -> SymbolRecord:
    return SymbolRecord(symbol=symbol, state=state, halt=Flag("OPERATOR", 1) if state is State.HALT else None)


class TestACommit:
    def test_comes_before_the_state_changes(self) -> None:
        journal = Journal()
        made = machines(journal, in_state(State.IDLE))
        seen: list[State] = []
        journal.before_write = lambda: seen.append(made.record("A").state)
        halted = in_state(State.IDLE).halted("OPERATOR", 1)
        step = made.fire("A", decision(Trigger.HALT, "OPERATOR", halted), EVENT)
        assert seen == [State.IDLE]
        assert step is not None
        assert (step.source, step.dest, made.record("A").state) == (State.IDLE, State.HALT, State.HALT)

    def test_that_raises_leaves_everything_as_it_was(self) -> None:
        """R19: no transition without a durable row."""

        def fail() -> None:
            raise OSError("disk full")

        made = machines(Journal(fail), in_state(State.IDLE))
        before = made.record("A")
        with pytest.raises(OSError, match="disk full"):
            made.fire("A", decision(Trigger.HALT, "OPERATOR", before.halted("OPERATOR", 1)), EVENT)
        assert made.record("A") is before

    def test_that_raised_can_be_tried_again(self) -> None:
        journal = Journal()
        made = machines(journal, in_state(State.IDLE))
        halting = decision(Trigger.HALT, "OPERATOR", made.record("A").halted("OPERATOR", 1))

        def fail_once() -> None:
            journal.before_write = lambda: None
            raise OSError("disk full")

        journal.before_write = fail_once
        with pytest.raises(OSError, match="disk full"):
            made.fire("A", halting, EVENT)
        assert made.fire("A", halting, EVENT) is not None
        assert made.record("A").state is State.HALT

    def test_of_one_symbol_moves_no_other(self) -> None:
        made = machines(Journal(), in_state(State.IDLE), in_state(State.IDLE, "B"))
        made.fire("A", decision(Trigger.HALT, "OPERATOR", made.record("A").halted("OPERATOR", 1)), EVENT)
        assert [record.state for record in made.records()] == [State.HALT, State.IDLE]


class TestGuards:
    def test_one_that_fails_writes_nothing_and_changes_nothing(self) -> None:
        journal = Journal()
        made = machines(journal, in_state(State.IDLE))
        before = made.record("A")
        guards = (Guard("FIRST", True), at_most("SECOND", 3, 2), at_most("THIRD", 9, 2))
        with pytest.raises(GuardRefused, match="SECOND: 3 is not <= 2") as caught:
            made.fire("A", decision(Trigger.HALT, "x", before.halted("OPERATOR", 1), guards=guards), EVENT)
        assert caught.value.guard.name == "SECOND"
        assert journal.rows == []
        assert made.record("A") is before

    def test_that_hold_are_part_of_the_row(self) -> None:
        journal = Journal()
        made = machines(journal, in_state(State.IDLE))
        guards = (at_most("FIRST", 1, 2),)
        made.fire("A", decision(Trigger.HALT, "x", made.record("A").halted("OPERATOR", 1), guards=guards), EVENT)
        assert journal.rows[0][1].guards == (Guard("FIRST", True, "1", "<= 2"),)


class TestCellsThatLeadNowhere:
    @pytest.mark.parametrize(("state", "trigger"), IMPOSSIBLE)
    def test_an_impossible_or_rejected_one_raises_and_writes_nothing(self, state: State, trigger: Trigger) -> None:
        journal = Journal()
        made = machines(journal, in_state(state))
        with pytest.raises(Impossible, match=f"A: {trigger}"):
            made.fire("A", Decision(trigger=trigger, reason="x", record=made.record("A")), EVENT)
        assert journal.rows == []

    @pytest.mark.parametrize(("state", "trigger"), IGNORED)
    def test_an_ignored_one_does_nothing_at_all(self, state: State, trigger: Trigger) -> None:
        journal = Journal()
        made = machines(journal, in_state(state))
        before = made.record("A")
        changed = replace(before, paused=True)
        assert made.fire("A", Decision(trigger=trigger, reason="x", record=changed), EVENT) is None
        assert journal.rows == []
        assert made.record("A") is before

    def test_a_move_that_claims_another_destination_than_the_table_is_refused_before_it_is_written(self) -> None:
        journal = Journal()
        made = machines(journal, in_state(State.IDLE))
        wrong = Decision(trigger=Trigger.PAUSE, reason="x", record=in_state(State.PROTECTED))
        with pytest.raises(Impossible, match="nor lead to PROTECTED"):
            made.fire("A", wrong, EVENT)
        assert journal.rows == []


class TestTheWayHome:
    @pytest.mark.parametrize(("halt", "home"), [(None, State.IDLE), (Flag("OPERATOR", 1), State.HALT)])
    @pytest.mark.parametrize(
        ("state", "trigger"),
        [(State.FLATTEN, Trigger.FLAT), (State.EXITING, Trigger.FLAT), (State.ENTERING, Trigger.ABANDON)],
    )
    def test_leads_to_halt_exactly_when_the_symbol_is_halted(
        self, state: State, trigger: Trigger, halt: Flag | None, home: State
    ) -> None:
        made = machines(Journal(), replace(in_state(state), halt=halt))
        step = made.fire("A", decision(trigger, "x", made.record("A")), EVENT)
        assert step is not None
        assert step.dest is made.record("A").state is home
