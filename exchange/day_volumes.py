"""How much of each symbol was traded within 24 hours, as an exchange tells it."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class DayVolumes(msgspec.Struct, frozen=True):
    """``quote`` is in the quote asset, by symbol; ``unread`` are symbols whose row is there and cannot be read."""

    quote: dict[str, Decimal]
    unread: tuple[str, ...] = ()
