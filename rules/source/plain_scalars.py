"""What a word written without quotes may mean in our YAML files, and which words are refused because readers disagree.

YAML 1.1 and 1.2 read ``on``, ``1e3``, ``0123``, ``12:30`` or ``2026-11-01`` differently. Here each of them is an
error that says how to write what was meant. What is left is what every reader agrees on:

- ``null``, ``true``, ``false`` in lower case;
- whole numbers and decimals: an optional minus, digits without leading zero, an optional ``.`` with digits, at most
  15 significant digits (so a number is exact both as float and as decimal text). No exponent, no ``_``, no ``+``;
- everything else is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import yaml

Scalar = None | bool | int | float | str

COUNT = "n"
"""As a key it is how many, to everybody; as a value it might be meant as no."""

DIGITS_MAX = 15  # a float64 keeps every decimal number of 15 digits

_WORDS: dict[str, Scalar] = {"null": None, "true": True, "false": False}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_EXPONENT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+")
_EXPONENT_MAX = 30  # beyond it the hint would be a line of zeros


class PlainScalarError(ValueError):
    """An unquoted word that must be written differently; the message says how."""


def _exponent_hint(text: str) -> str:
    plain = Decimal(text.replace("_", ""))
    if abs(plain.adjusted()) > _EXPONENT_MAX:
        return f"{text} is not a number this file may hold: numbers are written without exponent"
    return f"{text} is text to some YAML readers and a number to others: write {plain:f}"


def _grouped_hint(text: str) -> str:
    return f'{text}: digits cannot be grouped; write {text.replace("_", "")}, or "{text}" if text is meant'


_CUT_CALL = re.compile(r"[{,].*: *[^\"',{}]*\([^\"'(){}]*,[^\"'{}]*$")
"""A line that ends behind a part of a call that stands within {} and without quotes."""

_TRAPS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (
        re.compile(r"y|n|yes|no|on|off", re.IGNORECASE),
        lambda text: (
            f"{text} is a truth value to some YAML readers and text to others: "
            f'write {str(text.lower() in ("y", "yes", "on")).lower()} if a truth value is meant, "{text}" if text is'
        ),
    ),
    (re.compile(r"true|false|null", re.IGNORECASE), lambda text: f"{text}: write {text.lower()} in lower case"),
    (re.compile(r"~"), lambda _: 'write null instead of ~, or "~" if text is meant'),
    (re.compile(r""), lambda _: "no value is written here: write null if nothing is meant"),
    (_EXPONENT, _exponent_hint),
    (
        re.compile(r"[-+]?0[0-9_]+|[-+]?0o[0-7_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+"),
        lambda text: (
            f"{text} is an octal, hexadecimal or binary number to some YAML readers: "
            f'write a decimal number without leading zero, or "{text}" if text is meant'
        ),
    ),
    (re.compile(r"[-+]?[0-9]+(_[0-9]+)+(\.[0-9_]*)?"), _grouped_hint),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-9]{1,2})+(\.[0-9_]*)?"),
        lambda text: (
            f'{text} is a number in base 60 to some YAML readers: write "{text}" if a time is meant, '
            f"or the number itself"
        ),
    ),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"),
        lambda text: f'{text} is a date to some YAML readers: write "{text}"',
    ),
    (
        re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE),
        lambda text: f"{text}: infinity and not-a-number are not allowed; write a number, or null for no limit",
    ),
    (
        re.compile(r"[-+]?(\.[0-9]+|0[0-9]+\.[0-9]*|[0-9]+\.)|\+[0-9]+(\.[0-9]+)?"),
        lambda text: f"{text}: write the number as {_plain_number(text)}",
    ),
)


def _plain_number(text: str) -> str:
    number = f"{Decimal(text):f}"
    return number if "." in number or "." not in text else f"{number}.0"


def comma_hint(value: str, text: str, mark: Any) -> str:
    """What to add where a value is missing, by the line before it: a comma within {} also ends an expression."""
    before = "" if value else text.split("\n")[mark.line][: mark.column]
    hint = '; an expression with a comma stands between quotes, as in "crosses_above(close_1h, mean_1h)"'
    return hint if _CUT_CALL.search(before) else ""


def read_plain_scalar(text: str, *, is_key: bool = False) -> Scalar:
    """The value of an unquoted word. Raises PlainScalarError where readers of YAML would disagree."""
    if is_key and text == COUNT:
        return text
    if text in _WORDS:
        return _WORDS[text]
    whole = _INTEGER.fullmatch(text)
    if whole or _DECIMAL.fullmatch(text):
        digits = text.lstrip("-0.").replace(".", "")
        if len(digits) > DIGITS_MAX or len(text) > 2 * DIGITS_MAX:
            raise PlainScalarError(f"{text[:40]} has more than {DIGITS_MAX} significant digits: write fewer")
        return int(text) if whole else float(text)
    for pattern, hint in _TRAPS:
        if pattern.fullmatch(text):
            raise PlainScalarError(hint(text))
    if any(pattern.match(text) for _, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[0], ())):
        raise PlainScalarError(f'{text} is not text to every YAML reader: write "{text}" if text is meant')
    return text
