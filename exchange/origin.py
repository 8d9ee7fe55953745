"""Whose an order is: ours, somebody else's on the same account, or the exchange's own."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from exchange.client_ids import is_ours


class Origin(StrEnum):
    OURS = "OURS"
    FOREIGN = "FOREIGN"
    """Placed by hand, or by another program."""
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    """Automatic deleveraging: the exchange closed it against somebody's liquidation."""
    SETTLEMENT = "SETTLEMENT"
    """The contract ended."""


Stated = Origin | msgspec.UnsetType
"""What an exchange says of an order: only of its own. Whose the others are their client ids tell."""


def origin_of(stated: Stated, client_id: str, database_id: str) -> Origin:
    if isinstance(stated, Origin):
        return stated
    return Origin.OURS if is_ours(client_id, database_id) else Origin.FOREIGN
