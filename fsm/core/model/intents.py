"""What the shell must do next, in the imperative; each is committed to the outbox before it is carried out."""

from __future__ import annotations

import msgspec

from exchange.types import AlgoRequest, MarginType, OrderRequest


class EnsureSetup(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """Make margin type and leverage what config says (read, then write if different)."""

    symbol: str
    margin_type: MarginType
    leverage: int


class PlaceEntry(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    symbol: str
    request: OrderRequest


class PlaceStop(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """Place the protective stop; it may be sent again at once with the same id: a duplicate rests."""

    symbol: str
    request: AlgoRequest


class PlaceTarget(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    symbol: str
    index: int
    request: AlgoRequest


class CancelEntry(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    symbol: str
    client_id: str


class CancelAlgo(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    symbol: str
    client_id: str


class ClosePosition(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """A MARKET reduce-only piece of an exit or an emergency close."""

    symbol: str
    request: OrderRequest


class SweepOrders(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """Cancel every order of ours on the symbol, regular and conditional (only when flat)."""

    symbol: str
    client_ids: tuple[str, ...]


class Look(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="kind"):
    """Read the symbol back from the exchange and report what is there."""

    symbol: str


Placing = PlaceEntry | PlaceStop | PlaceTarget | ClosePosition
Intent = EnsureSetup | Placing | CancelEntry | CancelAlgo | SweepOrders | Look
