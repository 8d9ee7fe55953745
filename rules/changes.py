"""Says in words what an edit of rules changes: thresholds, conditions by their ids, strategies, switches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from rules.definition import Definition

ABSENT = "(not there)"
_SINGULAR = {
    "thresholds": "threshold",
    "features": "feature",
    "strategies": "strategy",
    "regimes": "regimes",
    "choices": "choice",
    "symbols": "symbol",
    "sessions": "session",
    "define": "definition",
    "router": "router",
    "timeframes": "timeframe",
}
_NOT_MEANT = ("written", "ranges", "version")
"""Parts that no decision depends on."""


class ChangeKind(StrEnum):
    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One place of the rules that is not the same; ``told`` is the sentence of it."""

    kind: ChangeKind
    path: str
    old: str | None
    new: str | None
    told: str


def changes(old: Definition, new: Definition) -> list[Change]:
    """Every place in which the rules mean something else."""
    return [_change(path, one, other) for path, one, other in unequal(_plain(old), _plain(new))]


def _plain(definition: Definition) -> dict[str, Any]:
    whole = msgspec.to_builtins(definition)
    order = [*(name for name in _SINGULAR if name in whole), *(name for name in whole if name not in _SINGULAR)]
    found = _by_id({name: whole[name] for name in order if name not in _NOT_MEANT})
    assert isinstance(found, dict)
    return found


def _by_id(value: Any) -> Any:
    """Lists of conditions as mappings by their ids, so that one that is put in front changes no other; numbers as one
    writes them."""
    if isinstance(value, Mapping):
        return {name: _by_id(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str) and value and all(map(_is_condition, value)):
        return dict(map(_named, value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_by_id(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_condition(value: Any) -> bool:
    return isinstance(value, Mapping) and ({"id", "when"} <= set(value) or bool(value.get("any")))


def _named(condition: Mapping[str, Any]) -> tuple[str, Any]:
    group = condition.get("any")
    if group:
        return "any of " + ", ".join(each["id"] for each in group), {each["id"]: each["when"] for each in group}
    return condition["id"], condition["when"]


def _change(path: str, old: str, new: str) -> Change:
    place = _words(path)
    if old == ABSENT:
        return Change(kind=ChangeKind.ADDED, path=path, old=None, new=new, told=f"{place} is new: {new}")
    if new == ABSENT:
        return Change(kind=ChangeKind.REMOVED, path=path, old=old, new=None, told=f"{place} is gone; it was {old}")
    return Change(kind=ChangeKind.CHANGED, path=path, old=old, new=new, told=f"{place}: {old} → {new}")


def _words(path: str) -> str:
    first, *others = path.split(".")
    noun = _SINGULAR.get(first, first)
    return " ".join((noun, ", ".join(_flat(others)))) if others else noun


def _flat(parts: Sequence[str]) -> Iterator[str]:
    """``regimes.regimes.TREND`` is spoken of as ``regimes TREND``."""
    yield from (part for number, part in enumerate(parts) if not (number == 0 and part in ("regimes", "routes")))


def unequal(a: Any, b: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Where two plain structures differ: path, value in the first, value in the second."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            below = f"{path}.{key}" if path else str(key)
            yield from unequal(a.get(key, ABSENT), b.get(key, ABSENT), below)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from unequal(one, other, f"{path}[{number}]")
    elif a != b:
        yield path, _shown(a), _shown(b)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
