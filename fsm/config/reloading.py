"""What may change while the bot runs: which keys a new config.yaml can alter at once, and which wait for a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from fsm.config.settings import Settings

# Sections that are read afresh for each decision or each round of a loop. All others shape what the daemon builds
# when it starts (machines, candle history, the account's set-up, the listening socket) and hold until a restart.
RELOADABLE = frozenset(
    {"orders", "risk", "limits", "protection", "small_steps", "loops", "alerts", "escalation", "drift", "reload"}
)


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs: its path with dots, both values as plain data, and whether it takes effect at once."""

    path: str
    old: Any
    new: Any
    reloadable: bool


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Every key that differs, in the order of config.yaml."""
    return tuple(_changes(old.plain(), new.plain(), ()))


def reloaded(old: Settings, new: Settings) -> Settings:
    """What is in force after a reload: the reloadable sections of the new file, all others as they were."""
    return msgspec.structs.replace(old, **{section: getattr(new, section) for section in sorted(RELOADABLE)})


def _changes(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _changes(old.get(key), new.get(key), (*path, key))
    elif old != new:
        yield Change(".".join(path), old, new, path[0] in RELOADABLE)
