"""Says in words what a journal row did and why, from the row and the machine's own vocabulary."""

from __future__ import annotations

from typing import Any

import msgspec

from store.rows import TransitionRow
from web.documents import MachineDocument


class GuardView(msgspec.Struct, frozen=True):
    """One guard of a transition or decision: what was found, and what was needed."""

    name: str
    passed: bool
    value: str = ""
    limit: str = ""


def guards_of(guards_json: str) -> list[GuardView]:
    """The guards of a row; none where they are not of the known shape."""
    try:
        return msgspec.json.decode(guards_json, type=list[GuardView], strict=False)
    except msgspec.DecodeError:
        return []


def explanation(row: TransitionRow, machine: MachineDocument | None) -> str:
    """One sentence or two: the step, what its trigger means, its reason, and the guard that decided if one failed."""
    moved = f"{row.source} → {row.dest}" if row.source != row.dest else f"stays {row.dest}"
    meaning = machine.triggers.get(row.trigger, "") if machine else ""
    parts = [f"{row.symbol} {moved} on {row.trigger}"]
    if meaning:
        parts.append(f": {meaning}")
    if row.reason:
        parts.append(f". Reason: {row.reason}")
    failed = next((guard for guard in guards_of(row.guards_json) if not guard.passed), None)
    if failed is not None:
        found = f", found {failed.value}" if failed.value else ""
        needed = f", needed {failed.limit}" if failed.limit else ""
        parts.append(f". Refused by {failed.name}{found}{needed}")
    return "".join(parts) + "."


def plain(text: str) -> Any:
    """Stored JSON as plain data."""
    return msgspec.json.decode(text)
