"""The machine's table: what every trigger does in every state. Diagram, documentation and tests are drawn from it.

Theory of operation
-------------------
Each symbol has one machine. IDLE means flat and free to trade. A signal that passes every guard leads
to SIGNALLED, where margin type and leverage are made right; then the entry order is sent (ENTERING). The
first fill puts a stop on the exchange at once; when that stop has been read back and the entry can fill
no further, the position is PROTECTED. A stop, a target, a rule or the operator ends the trade (EXITING),
and when the exchange says flat and nothing of ours rests there, the trade is booked and the symbol is
IDLE again. Two guard states stand beside this road: FLATTEN, in which an emergency close repeats until
the exchange says flat, and HALT, flat with no entries until whoever the cause names allows them.

Nothing happens on an edge alone: what a state requires (a resting stop, a flat position) is a level that
every look at the exchange checks again.

Each cell is one of:

* a destination: the transition is journalled and its intents are carried out;
* ``STAY``: journalled, the state does not change (the trade or a flag does);
* ``IGNORE``: harmless and meaningless here; nothing is written;
* ``REJECT``: the caller asked for something the state forbids; it is told so, nothing is written;
* ``IMPOSSIBLE``: the engine itself would be wrong; the symbol is fail-stopped with its stop left resting.

``FLAT_HOME`` is the one choice: HALT when the symbol is halted, else IDLE.
"""

# ruff: noqa: E501 (the table is read by its columns)

from __future__ import annotations

from enum import StrEnum

from fsm.core.model.records import State


class Trigger(StrEnum):
    """What can happen to a symbol."""

    SIGNAL = "signal"
    DROP = "drop"
    ENTER = "enter"
    FILL = "fill"
    PROTECT = "protect"
    ABANDON = "abandon"
    REPROTECT = "reprotect"
    RESTOP = "restop"
    REDUCE = "reduce"
    EXIT = "exit"
    FLAT = "flat"
    FLATTEN = "flatten"
    HALT = "halt"
    RESUME = "resume"
    ADOPT = "adopt"
    PAUSE = "pause"
    QUARANTINE = "quarantine"
    SWEEP = "sweep"
    RELEASE = "release"
    RESTORE = "restore"


class Cell(StrEnum):
    """What a trigger does where it leads to no other state."""

    STAY = "stay"
    IGNORE = "ignore"
    REJECT = "reject"
    IMPOSSIBLE = "impossible"
    FLAT_HOME = "flat_home"


MEANING: dict[Trigger, str] = {
    Trigger.SIGNAL: "a strategy wants in and every guard allows it",
    Trigger.DROP: "the signal is too old, the price moved away, a limit now refuses, or the account setup failed",
    Trigger.ENTER: "the entry order is sent",
    Trigger.FILL: "the entry filled, wholly or partly; the first fill places the stop",
    Trigger.PROTECT: "the stop was read back and covers the position, and the entry order is finished",
    Trigger.ABANDON: "the entry ended without any fill",
    Trigger.REPROTECT: "protection is missing, tried again or read back; an unfinished close is tried again",
    Trigger.RESTOP: "the stop moves in the trade's favour, or the operator moves it or a target",
    Trigger.REDUCE: "part of the position was closed, or is to be closed by hand",
    Trigger.EXIT: "a stop or target was hit, or a rule or the operator ends the trade",
    Trigger.FLAT: "position zero and no order of ours left: the trade is booked",
    Trigger.FLATTEN: "emergency close until the exchange says flat",
    Trigger.HALT: "no entries until whoever the cause names allows them",
    Trigger.RESUME: "the cause is cleared",
    Trigger.ADOPT: "a position of ours that the journal did not know is taken over",
    Trigger.PAUSE: "the operator wants no entries",
    Trigger.QUARANTINE: "something here is not understood: no entries, protection goes on",
    Trigger.SWEEP: "orders of ours that cover nothing are cancelled",
    Trigger.RELEASE: "the position is handed over to the user",
    Trigger.RESTORE: "the journal is older than the exchange: new ids begin, and what is newer there is kept",
}

_S, _T, _C = State, Trigger, Cell
_STAY, _NO, _REJ, _IMP = _C.STAY, _C.IGNORE, _C.REJECT, _C.IMPOSSIBLE

TABLE: dict[State, dict[Trigger, State | Cell]] = {
    _S.IDLE: {
        _T.SIGNAL: _S.SIGNALLED, _T.DROP: _NO, _T.ENTER: _IMP, _T.FILL: _IMP, _T.PROTECT: _IMP, _T.ABANDON: _NO,
        _T.REPROTECT: _IMP, _T.RESTOP: _IMP, _T.REDUCE: _IMP, _T.EXIT: _REJ, _T.FLAT: _NO, _T.FLATTEN: _REJ,
        _T.HALT: _S.HALT, _T.RESUME: _STAY, _T.ADOPT: _S.ENTERING, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _STAY,
        _T.RESTORE: _STAY,
    },
    _S.SIGNALLED: {
        _T.SIGNAL: _NO, _T.DROP: _S.IDLE, _T.ENTER: _S.ENTERING, _T.FILL: _IMP, _T.PROTECT: _IMP, _T.ABANDON: _IMP,
        _T.REPROTECT: _IMP, _T.RESTOP: _IMP, _T.REDUCE: _IMP, _T.EXIT: _REJ, _T.FLAT: _IMP, _T.FLATTEN: _S.FLATTEN,
        _T.HALT: _S.HALT, _T.RESUME: _STAY, _T.ADOPT: _IMP, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _REJ,
        _T.RESTORE: _STAY,
    },
    _S.ENTERING: {
        _T.SIGNAL: _NO, _T.DROP: _IMP, _T.ENTER: _IMP, _T.FILL: _STAY, _T.PROTECT: _S.PROTECTED, _T.ABANDON: _C.FLAT_HOME,
        _T.REPROTECT: _STAY, _T.RESTOP: _IMP, _T.REDUCE: _STAY, _T.EXIT: _S.EXITING, _T.FLAT: _IMP, _T.FLATTEN: _S.FLATTEN,
        _T.HALT: _STAY, _T.RESUME: _STAY, _T.ADOPT: _IMP, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _C.FLAT_HOME,
        _T.RESTORE: _STAY,
    },
    _S.PROTECTED: {
        _T.SIGNAL: _NO, _T.DROP: _IMP, _T.ENTER: _IMP, _T.FILL: _STAY, _T.PROTECT: _NO, _T.ABANDON: _IMP,
        _T.REPROTECT: _STAY, _T.RESTOP: _STAY, _T.REDUCE: _STAY, _T.EXIT: _S.EXITING, _T.FLAT: _IMP, _T.FLATTEN: _S.FLATTEN,
        _T.HALT: _STAY, _T.RESUME: _STAY, _T.ADOPT: _IMP, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _C.FLAT_HOME,
        _T.RESTORE: _STAY,
    },
    _S.EXITING: {
        _T.SIGNAL: _NO, _T.DROP: _IMP, _T.ENTER: _IMP, _T.FILL: _STAY, _T.PROTECT: _IMP, _T.ABANDON: _IMP,
        _T.REPROTECT: _STAY, _T.RESTOP: _IMP, _T.REDUCE: _STAY, _T.EXIT: _NO, _T.FLAT: _C.FLAT_HOME, _T.FLATTEN: _S.FLATTEN,
        _T.HALT: _STAY, _T.RESUME: _STAY, _T.ADOPT: _IMP, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _C.FLAT_HOME,
        _T.RESTORE: _STAY,
    },
    _S.FLATTEN: {
        _T.SIGNAL: _NO, _T.DROP: _IMP, _T.ENTER: _IMP, _T.FILL: _STAY, _T.PROTECT: _IMP, _T.ABANDON: _IMP,
        _T.REPROTECT: _STAY, _T.RESTOP: _IMP, _T.REDUCE: _STAY, _T.EXIT: _NO, _T.FLAT: _C.FLAT_HOME, _T.FLATTEN: _NO,
        _T.HALT: _STAY, _T.RESUME: _REJ, _T.ADOPT: _IMP, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _C.FLAT_HOME,
        _T.RESTORE: _STAY,
    },
    _S.HALT: {
        _T.SIGNAL: _NO, _T.DROP: _NO, _T.ENTER: _IMP, _T.FILL: _IMP, _T.PROTECT: _IMP, _T.ABANDON: _NO,
        _T.REPROTECT: _IMP, _T.RESTOP: _IMP, _T.REDUCE: _IMP, _T.EXIT: _REJ, _T.FLAT: _NO, _T.FLATTEN: _REJ,
        _T.HALT: _STAY, _T.RESUME: _S.IDLE, _T.ADOPT: _S.ENTERING, _T.PAUSE: _STAY, _T.QUARANTINE: _STAY, _T.SWEEP: _STAY,
        _T.RELEASE: _STAY,
        _T.RESTORE: _STAY,
    },
}  # fmt: skip


def destinations(state: State, trigger: Trigger) -> tuple[State, ...]:
    """States this cell can lead to; empty where it is ignored, rejected or impossible."""
    cell = TABLE[state][trigger]
    if isinstance(cell, State):
        return (cell,)
    if cell is Cell.STAY:
        return (state,)
    if cell is Cell.FLAT_HOME:
        return (State.IDLE, State.HALT)
    return ()


def mermaid() -> str:
    """The machine as a Mermaid state diagram, drawn from the table."""
    lines = ["stateDiagram-v2", "    [*] --> IDLE"]
    for state, row in TABLE.items():
        by_dest: dict[State, list[str]] = {}
        for trigger in row:
            for dest in destinations(state, trigger):
                by_dest.setdefault(dest, []).append(trigger.value)
        for dest, triggers in by_dest.items():
            lines.append(f"    {state} --> {dest}: {', '.join(triggers)}")
    return "\n".join(lines) + "\n"
