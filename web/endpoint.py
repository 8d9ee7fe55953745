"""What one call of the API is: address, who may ask, what it takes and gives. Routes and documentation come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.requests import Request

from store.database import Store
from web.access import Access
from web.bot_database import BotDatabase
from web.errors import unprocessable

MS_MAX = 2**53
"""Times and ids beyond it are not exact in a browser."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
RowId = Annotated[int, msgspec.Meta(ge=1, le=MS_MAX)]
When = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        description="milliseconds UTC, or a date or time in ISO 8601 (UTC unless it says more)",
        extra_json_schema={"format": "moment"},
    ),
]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Takes nothing."""


class BySymbol(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One symbol, as part of the address."""

    symbol: Name


@dataclass(frozen=True, slots=True)
class Context:
    """What an answer may need beside the database. ``wall_ms`` is real time."""

    database: BotDatabase
    wall_ms: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A read. ``query`` names path and query parameters as its fields; ``read`` answers in a reader's thread."""

    path: str
    summary: str
    query: type[msgspec.Struct] = NoQuery
    answer: type[msgspec.Struct]
    read: Callable[[Store, Any, Context], msgspec.Struct]
    access: Access = Access.READ
    may_miss: bool = False

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(name for name in self.query.__struct_fields__ if f"{{{name}}}" in self.path)


Query = TypeVar("Query", bound=msgspec.Struct)


def parameters(request: Request, shape: type[Query]) -> Query:
    """The request's parameters, checked. Raises ApiError with 422 for what is unknown, doubled or out of range."""
    items = [*request.path_params.items(), *request.query_params.multi_items()]
    given = dict(items)
    if len(given) != len(items):
        raise unprocessable("a parameter was given twice", "give each parameter once")
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(shape.__struct_encode_fields__) or "none"
        raise unprocessable(f"parameters: {error}", f"parameters of this call: {known}") from error


def milliseconds(text: str | None, name: str) -> int | None:
    """A time as it was given, in milliseconds UTC. Raises ApiError with 422."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and int(text) <= MS_MAX:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError) as error:
        hint = "give milliseconds UTC, or a time such as 2026-11-23 or 2026-11-23T14:00:00"
        raise unprocessable(f"{name} {text!r} is no time", hint) from error
