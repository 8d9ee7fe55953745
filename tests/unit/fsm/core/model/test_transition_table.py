"""The table is complete, agrees with the machine that runs it, and every picture of it shows all of it."""

from __future__ import annotations

import itertools
import re

import pytest
from transitions import Machine

from fsm.core.machine import SymbolMachines
from fsm.core.model.records import State
from fsm.core.model.transition_table import MEANING, TABLE, Cell, Trigger, destinations, mermaid

CELLS = list(itertools.product(State, Trigger))

# The whole table again, in the words of design.md §3 and semantics.md: what each trigger may do, state by state.
IDLE, SIGNALLED, ENTERING, PROTECTED = State.IDLE, State.SIGNALLED, State.ENTERING, State.PROTECTED
EXITING, FLATTEN, HALT = State.EXITING, State.FLATTEN, State.HALT
HOME = {IDLE, HALT}
MOVES: dict[Trigger, dict[State, set[State]]] = {
    Trigger.SIGNAL: {IDLE: {SIGNALLED}},
    Trigger.DROP: {SIGNALLED: {IDLE}},
    Trigger.ENTER: {SIGNALLED: {ENTERING}},
    Trigger.FILL: {state: {state} for state in (ENTERING, PROTECTED, EXITING, FLATTEN)},
    Trigger.PROTECT: {ENTERING: {PROTECTED}},
    Trigger.ABANDON: {ENTERING: HOME},
    Trigger.REPROTECT: {state: {state} for state in (ENTERING, PROTECTED, EXITING, FLATTEN)},
    Trigger.RESTOP: {PROTECTED: {PROTECTED}},
    Trigger.REDUCE: {state: {state} for state in (ENTERING, PROTECTED, EXITING, FLATTEN)},
    Trigger.EXIT: {ENTERING: {EXITING}, PROTECTED: {EXITING}},
    Trigger.FLAT: {EXITING: HOME, FLATTEN: HOME},
    Trigger.FLATTEN: {state: {FLATTEN} for state in (SIGNALLED, ENTERING, PROTECTED, EXITING)},
    Trigger.HALT: {state: {HALT if state in (IDLE, SIGNALLED, HALT) else state} for state in State},
    Trigger.RESUME: {state: {IDLE if state is HALT else state} for state in State if state is not FLATTEN},
    Trigger.ADOPT: {IDLE: {ENTERING}, HALT: {ENTERING}},
    Trigger.PAUSE: {state: {state} for state in State},
    Trigger.QUARANTINE: {state: {state} for state in State},
    Trigger.SWEEP: {state: {state} for state in State},
    Trigger.RELEASE: {state: {state} for state in (IDLE, HALT)}
    | dict.fromkeys((ENTERING, PROTECTED, EXITING, FLATTEN), HOME),
    Trigger.RESTORE: {state: {state} for state in State},
}
BY_HAND_OVER = {Trigger.RELEASE}
"""Whoever takes the position over takes it out of the machine."""


def cell_id(cell: tuple[State, Trigger]) -> str:
    return f"{cell[0]}-{cell[1]}"


def transitions_of(machine: Machine, state: State, trigger: Trigger) -> set[State]:
    """Where the built `transitions` machine may go."""
    event = machine.events.get(trigger.value)
    if event is None:
        return set()
    found = event.transitions.get(state.value, [])
    return {state if transition.dest is None else State(transition.dest) for transition in found}


@pytest.fixture(scope="module")
def machine() -> Machine:
    return SymbolMachines(lambda before, decision, event: pytest.fail("nothing is committed here"))._machine


class TestEveryCell:
    def test_every_state_declares_every_trigger_and_nothing_else(self) -> None:
        assert set(TABLE) == set(State)
        assert all(set(row) == set(Trigger) for row in TABLE.values())

    @pytest.mark.parametrize("cell", CELLS, ids=cell_id)
    def test_the_cell_leads_where_design_and_semantics_say(self, cell: tuple[State, Trigger]) -> None:
        state, trigger = cell
        assert set(destinations(state, trigger)) == MOVES[trigger].get(state, set())

    @pytest.mark.parametrize("cell", CELLS, ids=cell_id)
    def test_the_machine_that_runs_agrees_with_the_table(self, machine: Machine, cell: tuple[State, Trigger]) -> None:
        assert transitions_of(machine, *cell) == set(destinations(*cell))

    @pytest.mark.parametrize("cell", CELLS, ids=cell_id)
    def test_a_cell_that_leads_nowhere_says_how_it_declines(self, cell: tuple[State, Trigger]) -> None:
        state, trigger = cell
        declined = TABLE[state][trigger] in (Cell.IGNORE, Cell.REJECT, Cell.IMPOSSIBLE)
        assert declined == (destinations(state, trigger) == ())


def reachable(start: State) -> set[State]:
    reached, frontier = {start}, [start]
    while frontier:
        state = frontier.pop()
        further = {dest for trigger in Trigger for dest in destinations(state, trigger)} - reached
        reached |= further
        frontier += further
    return reached


class TestTheRoad:
    @pytest.mark.parametrize("state", State)
    def test_every_state_can_be_reached_and_leads_home_again(self, state: State) -> None:
        assert state in reachable(State.IDLE)
        assert State.IDLE in reachable(state)

    def test_an_open_position_can_only_be_left_through_its_closing_states(self) -> None:
        triggers = set(Trigger) - BY_HAND_OVER
        next_states = {dest for trigger in triggers for dest in destinations(State.PROTECTED, trigger)}
        assert next_states == {State.PROTECTED, State.EXITING, State.FLATTEN}

    def test_an_emergency_close_ends_only_when_the_exchange_says_flat(self) -> None:
        leaving = {trigger for trigger in Trigger if set(destinations(State.FLATTEN, trigger)) - {State.FLATTEN}}
        assert leaving == {Trigger.FLAT} | BY_HAND_OVER

    def test_only_a_signal_while_idle_leads_to_an_entry(self) -> None:
        before_signalled = {s for s, t in CELLS if State.SIGNALLED in destinations(s, t) and s is not State.SIGNALLED}
        assert before_signalled == {State.IDLE}
        assert {s for s in State if destinations(s, Trigger.ENTER)} == {State.SIGNALLED}


class TestThePicture:
    def test_the_diagram_shows_every_edge_and_no_other(self) -> None:
        drawn = set()
        for line in mermaid().splitlines():
            found = re.fullmatch(r"    (\w+) --> (\w+): (.+)", line)
            if found:
                drawn |= {(found[1], name, found[2]) for name in found[3].split(", ")}
        wanted = {(s.value, t.value, d.value) for s, t in CELLS for d in destinations(s, t)}
        assert drawn == wanted

    def test_the_diagram_begins_at_idle(self) -> None:
        assert mermaid().startswith("stateDiagram-v2\n    [*] --> IDLE\n")

    def test_every_trigger_says_what_it_means(self) -> None:
        assert set(MEANING) == set(Trigger)
        assert all(text[0].islower() and not text.endswith(".") for text in MEANING.values())
