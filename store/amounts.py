"""Amounts as text: a decimal number as the journal's JSON spells it goes into a column without becoming a number."""

from __future__ import annotations

from decimal import Decimal

Amount = str
"""A decimal number as the records' JSON spells it."""


def text_of(amount: Amount) -> str:
    """As a column has it: without an exponent, every digit as it was."""
    return format(Decimal(amount), "f") if "E" in amount else amount


def text_or_none(amount: Amount | None) -> str | None:
    """The same where there may be none."""
    return None if amount is None else text_of(amount)
