"""What the daemon leaves for the window: the documents that this room reads, by name and shape.

The daemon writes each with ``store.rows.DocumentRow(name, at_ms, body_json)``. Everything has a default, so that a
reader can be newer or older than the writer; a document that is missing or not as described counts as not there, and
what depends on it is shown as unknown.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from store import queries
from store.database import Store

MACHINE, LIMITS, HEALTH, CONFIG = "machine", "limits", "health", "config"


class MachineDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The table the engine runs on. ``cells``: state → trigger → state, or stay, ignore, reject, impossible, flat_home.

    ``triggers`` says in words what each trigger means; ``mermaid`` is the diagram.
    """

    states: tuple[str, ...] = ()
    triggers: dict[str, str] = {}
    cells: dict[str, dict[str, str]] = {}
    mermaid: str = ""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One loss limit: what may be lost and what is, in USDT. ``cause`` is LIMIT_DAY, _WEEK, _MONTH or _DRAWDOWN."""

    cause: str
    period: str
    allowed: Decimal
    used: Decimal
    exceeded: bool

    @property
    def remaining(self) -> Decimal:
        return max(self.allowed - self.used, Decimal(0))


class LimitsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Loss limits as they stand, and what the kill switch does: BLOCK_ENTRIES or FLATTEN (R34)."""

    action: str | None = None
    auto_resume: bool | None = None
    budgets: tuple[Budget, ...] = ()


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The look that last read a position's stop back from the exchange; ``wall_ms`` is real time."""

    client_order_id: str | None = None
    wall_ms: int


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's pulse. ``wall_ms`` and ``started_wall_ms`` are real time, ``clock_ms`` the exchange's clock.

    ``protection`` is by symbol. ``stream`` says how the user data stream is: connected, down or off.
    """

    wall_ms: int | None = None
    started_wall_ms: int | None = None
    clock_ms: int | None = None
    speed: float | None = None
    stream: str | None = None
    loop_lag_ms: float | None = None
    protection: dict[str, Verified] = {}


Document = TypeVar("Document", bound=msgspec.Struct)


def _read(store: Store, name: str, shape: type[Document]) -> Document | None:
    row = queries.document(store, name)
    if row is None:
        return None
    try:
        return msgspec.json.decode(row.body_json, type=shape, strict=False)
    except msgspec.DecodeError:  # ValidationError is one of these
        return None


def machine(store: Store) -> MachineDocument | None:
    found = _read(store, MACHINE, MachineDocument)
    return found if found is not None and found.cells else None


def limits(store: Store) -> LimitsDocument:
    return _read(store, LIMITS, LimitsDocument) or LimitsDocument()


def health(store: Store) -> HealthDocument:
    return _read(store, HEALTH, HealthDocument) or HealthDocument()


def config(store: Store) -> dict[str, Any] | None:
    """The settings in force as plain data, without secrets; None when the daemon has left none."""
    row = queries.document(store, CONFIG)
    if row is None:
        return None
    try:
        return msgspec.json.decode(row.body_json, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
