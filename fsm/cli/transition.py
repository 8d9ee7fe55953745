"""Prints one transition with everything behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from fsm.cli import output
from fsm.cli.times import shown

if TYPE_CHECKING:
    from store.rows import TransitionRow
    from store.views import IntentRow

_JSON = "_json"


def transition_document(row: TransitionRow, intents: Sequence[IntentRow]) -> dict[str, Any]:
    """A row as plain data: JSON columns as what they hold, under their names without ``_json``."""
    document: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(row).items():
        if name.endswith(_JSON):
            document[name.removesuffix(_JSON)] = msgspec.json.decode(value)
        else:
            document[name] = value
    document["intents"] = [_intent(intent) for intent in intents]
    return document


def print_transition(row: TransitionRow, intents: Sequence[IntentRow]) -> None:
    found = transition_document(row, intents)
    output.line(f"transition {row.id}: {row.symbol} {row.source} → {row.dest} by {row.trigger}")
    output.line(f"{row.reason}, {shown(row.at_ms)} UTC" + (f", trade {row.trade_id}" if row.trade_id else ""))
    if found["guards"]:
        output.heading("Guards")
        guards = ((guard["passed"], guard["name"], guard["value"], guard["limit"]) for guard in found["guards"])
        output.table(output.GUARD_COLUMNS, output.guard_rows(guards))
    if intents:
        output.heading("Intents")
        rows = [(i.id, i.kind, i.client_id, i.status, i.attempts, shown(i.done_ms)) for i in intents]
        output.table(("id", "kind", "client id", "status", "attempts", "done UTC"), rows, right=("attempts",))
    for title, part in (
        ("Facts", found["facts"]),
        (f"Event {found['event'].get('type', '')}".rstrip(), found["event"]),
        ("Record afterwards", found["effect"]["record"]),
        ("Trade as it ended", found["effect"].get("trade") or {}),
    ):
        if part:
            output.heading(title)
            output.pairs(_flat(part))
    output.heading("Hashes")
    output.pairs((name, found[name]) for name in ("rules_hash", "config_hash", "run_id", "prev_hash", "hash"))


def _intent(intent: IntentRow) -> dict[str, Any]:
    plain = msgspec.structs.asdict(intent)
    payload, outcome = plain.pop("payload_json"), plain.pop("outcome_json")
    return {
        **plain,
        "payload": msgspec.json.decode(payload),
        "outcome": None if outcome is None else msgspec.json.decode(outcome),
    }


def _flat(data: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value that is there, with its path; times also in words."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _flat(value, f"{path}[{index}]")
    elif data is not None:
        in_words = path.endswith("_ms") and isinstance(data, int) and data > _MS_MIN
        yield path, f"{data} ({shown(data)})" if in_words else data


_MS_MIN = 10**11  # anything below is a duration, not a time
