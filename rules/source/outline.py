"""Finds the expressions of a rules file: where each stands, what it must yield, and which names it may use there.

It looks at data that may be wrong in other places, and passes over what is not shaped as it should be: the schema has
complained about that already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rules.source.short_forms import regimes_in

KeyPath = tuple[str | int, ...]

SIDES = ("long", "short")

PLAN_NAMES = ("entry", "stop", "risk")
OPEN_NAMES = (*PLAN_NAMES, "candles_held")


class Want(StrEnum):
    """What an expression must yield."""

    CONDITION = "condition"
    PRICE = "price"
    MEASURE = "measure"
    ANYTHING = "anything"


@dataclass(frozen=True, slots=True)
class Slot:
    """One expression of the file. ``local_names`` are those that have a meaning there without being declared."""

    path: KeyPath
    text: str
    want: Want
    local_names: tuple[str, ...] = ()
    in_choice: bool = False


def slots(data: Any) -> Iterator[Slot]:
    """Every expression, in the order of the sections."""
    for name, text in mapping(at(data, "define")).items():
        yield from _slot(("define", name), text, Want.ANYTHING)
    for name, choice in mapping(at(data, "choices")).items():
        for option, text in mapping(at(choice, "options")).items():
            yield from _slot(("choices", name, "options", option), text, Want.ANYTHING, in_choice=True)
    for regime in regimes_in(data):
        base: KeyPath = ("regimes", regime)
        for part in ("enter", "stay"):
            yield from _conditions((*base, part), at(data, *base, part))
        for index, ramp in enumerate(sequence(at(data, *base, "confidence"))):
            yield from _slot((*base, "confidence", index, "value"), at(ramp, "value"), Want.MEASURE)
    for name, strategy in mapping(at(data, "strategies")).items():
        for side in SIDES:
            yield from _side(("strategies", name, side), at(strategy, side))


def condition_lists(data: Any) -> Iterator[KeyPath]:
    """Where the lists of conditions stand."""
    for regime in regimes_in(data):
        yield from (("regimes", regime, part) for part in ("enter", "stay"))
    for name in mapping(at(data, "strategies")):
        for side in SIDES:
            yield from (("strategies", name, side, part) for part in ("setup", "accept", "exit_when"))


def conditions_at(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """The conditions of a list with their places; those under ``any`` one by one."""
    for index, entry in enumerate(sequence(at(data, *path))):
        if "any" in mapping(entry):
            for inner, alternative in enumerate(sequence(entry["any"])):
                yield (*path, index, "any", inner), mapping(alternative)
        else:
            yield (*path, index), mapping(entry)


def at(data: Any, *path: str | int) -> Any:
    """The part of the data at a path, or None where there is none."""
    for step in path:
        if isinstance(data, dict) and isinstance(step, str):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def dotted(path: KeyPath) -> str:
    """A path as one would say it: ``strategies.revert.long.setup[0]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def mapping(data: Any) -> dict[str, Any]:
    """The data if it is a mapping, else an empty one."""
    return data if isinstance(data, dict) else {}


def sequence(data: Any) -> list[Any]:
    """The data if it is a list, else an empty one."""
    return data if isinstance(data, list) else []


def _side(path: KeyPath, side: Any) -> Iterator[Slot]:
    yield from _conditions((*path, "setup"), at(side, "setup"))
    yield from _slot((*path, "stop"), at(side, "stop"), Want.PRICE, ("entry",))
    for index, target in enumerate(sequence(at(side, "targets"))):
        yield from _slot((*path, "targets", index, "price"), at(target, "price"), Want.PRICE, PLAN_NAMES)
    yield from _conditions((*path, "accept"), at(side, "accept"), PLAN_NAMES)
    yield from _slot((*path, "trail"), at(side, "trail"), Want.PRICE, OPEN_NAMES)
    yield from _conditions((*path, "exit_when"), at(side, "exit_when"), OPEN_NAMES)


def _conditions(path: KeyPath, written: Any, local_names: tuple[str, ...] = ()) -> Iterator[Slot]:
    for place, condition in conditions_at({"list": written}, ("list",)):
        yield from _slot((*path, *place[1:], "when"), condition.get("when"), Want.CONDITION, local_names)


def _slot(
    path: KeyPath, text: Any, want: Want, local_names: tuple[str, ...] = (), *, in_choice: bool = False
) -> Iterator[Slot]:
    if isinstance(text, str):
        yield Slot(path, text, want, local_names, in_choice)
