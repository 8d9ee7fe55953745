"""What the exchange's refusals mean to the machine (error catalogue of USDⓈ-M futures, checked 2026-11)."""

from __future__ import annotations

PERMISSION = frozenset({-1002, -2014, -2015, -2017, -2023, -4087, -4088, -4120, -4192})
"""No retry mends these: the account or the route does not allow trading."""

TEMPORARY = frozenset({-1003, -1008, -1015, 503})
"""These say nothing of the request: the exchange, or our own budget, could not take it now."""

ALREADY_THERE = frozenset({-4116, -4130})
"""An order with this id, or a closePosition order of this kind, exists: evidence that ours rests. Read it back."""

WOULD_TRIGGER = frozenset({-2021, -4142})
"""The market is already beyond the trigger price."""

NO_COUNTERPARTY = -4131
"""The best opposite price is outside PERCENT_PRICE: a LIMIT IOC may step in."""
