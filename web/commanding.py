"""Takes the operator's wishes: checks what the stored state already forbids, and leaves the rest for the daemon."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

import msgspec

from store import queries
from store.database import Store
from web import documents
from web.endpoint import Name
from web.errors import ApiError, not_found, unprocessable

Kind = Literal["pause", "resume", "flatten", "halt"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BODY_MAX = 4_096
"""Bytes of a request's body: a command is a symbol, a login is a token."""


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a command; without a symbol it is meant for all of them."""

    symbol: Name | None = None


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a login."""

    token: str


def parsed(body: bytes, shape: Any) -> Any:
    """A request's body as ``shape``; an empty one is an empty object. Raises ApiError with 422."""
    try:
        found = msgspec.json.decode(body or b"{}", type=shape)
        json.loads(body or b"{}", object_pairs_hook=_each_once)  # else the last of two would count, unseen
        return found
    except (msgspec.DecodeError, ValueError) as error:
        fields = ", ".join(shape.__struct_fields__)
        # What was sent may be a token: it is not repeated.
        raise unprocessable(f"the body is not as expected: {error}", f"send a JSON object with: {fields}") from error


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")


def check(store: Store, kind: Kind, symbol: str | None) -> None:
    """Raises ApiError with 404 for a symbol that is not traded, 409 where the machine would refuse for certain.

    Everything else is the machine's own to judge when it takes the command.
    """
    if symbol is not None:
        _check_known(store, symbol)
    if kind != "resume":
        return
    row = queries.symbol(store, symbol) if symbol is not None else None
    if row is not None and row.state == "FLATTEN":
        raise _refused("STATE", f"{symbol} is being closed in an emergency: it resumes when that is done")
    exceeded = next((loss.name for loss in documents.limits(store).losses if loss.exceeded), None)
    if exceeded is not None:
        raise _refused(exceeded, f"the loss limit {exceeded} is exceeded: nothing resumes while it is")


def _check_known(store: Store, symbol: str) -> None:
    known = documents.symbols(store) | {row.symbol for row in queries.symbols(store)}
    known |= {row.symbol for row in queries.latest_decisions(store)}
    # A daemon that has just been started for the first time has said nothing yet: then it is the one to refuse.
    if known and symbol not in known:
        raise not_found(f"{symbol} is not traded here", f"symbols: {', '.join(sorted(known))}")


def _refused(guard: str, message: str) -> ApiError:
    return ApiError(409, "REFUSED", message, "GET /api/machine and /api/summary show the state", guard=guard)


def note(kind: Kind, symbol: str | None, daemon_running: bool) -> str:
    """What will happen, for a person."""
    target = symbol or "all symbols"
    if daemon_running:
        return f"{kind} for {target} was handed to the bot; ask what became of it"
    return f"no bot is running: {kind} for {target} is kept and will be applied when it starts"
