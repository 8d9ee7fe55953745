"""The one decimal context of all money: 28 digits, half to even, whatever a library in the process may have set."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, DivisionByZero, InvalidOperation, Overflow

MONEY = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
"""Enter it with ``decimal.localcontext(MONEY)`` wherever a run begins: decisions must not depend on their process."""
