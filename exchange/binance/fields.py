"""Reads single fields out of decoded JSON, so that whatever cannot be understood is a MalformedReply and nothing else.

A field is *essential* when acting without it would be guessing; those readers raise. The other readers
take a missing, null or empty field as its default, because Binance drops and adds fields without notice
(CM-UM integration notice and change log, checked 2026-11).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from exchange.errors import MalformedReply

Row = Mapping[str, object]
T = TypeVar("T")
OnUnreadable = Callable[[str, str], None]
"""Told of (symbol, or empty where not even that is legible; what was wrong)."""

_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{0,40})?([eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_EXPONENT_MAX = 30  # far beyond any price or balance; keeps later arithmetic cheap whatever arrives
_TEXT_MAX = 300  # no symbol, id or reason is nearly that long
_SHOWN_MAX = 40
_MOMENT_END_MS = 10**14


def decode(body: bytes, what: str) -> object:
    """The JSON value of a body. Raises MalformedReply for anything that is not JSON."""
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedReply(f"{what}: not JSON ({error}); the answer is ignored") from None
    return value


def row(value: object, what: str) -> Row:
    """The value as an object."""
    if not isinstance(value, Mapping):
        raise MalformedReply(f"{what}: expected an object, got {_shown(value)}")
    return value


def rows(value: object, what: str) -> list[Row]:
    """The value as a list of objects."""
    return [row(item, what) for item in items(value, what)]


def readable(value: object, what: str, read: Callable[[Row, str], T], on_unreadable: OnUnreadable | None) -> list[T]:
    """Every row of a list as ``read`` understands it. One that cannot be read costs its own symbol and no other: it is
    left out and told; without anybody to tell it fails the whole, as an unseen row is worse."""
    found: list[T] = []
    for item in items(value, what):
        try:
            found.append(read(row(item, what), what))
        except MalformedReply as error:
            if on_unreadable is None:
                raise
            on_unreadable(text_or(item, "symbol", "") if isinstance(item, Mapping) else "", str(error))
    return found


def items(value: object, what: str) -> list[object]:
    """The value as a list."""
    if not isinstance(value, list):
        raise MalformedReply(f"{what}: expected a list, got {_shown(value)}")
    return value


def text(source: Row, name: str, what: str) -> str:
    """An essential text that is neither empty nor absurdly long."""
    value = source.get(name)
    if isinstance(value, str) and 0 < len(value) <= _TEXT_MAX:
        return value
    raise _unusable(value, name, what)


def text_or(source: Row, name: str, default: str) -> str:
    """A text, or the default when it is absent, empty, absurdly long or not a text."""
    value = source.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _TEXT_MAX else default


def number(source: Row, name: str, what: str) -> Decimal:
    """An essential number, sent as text or as a JSON number."""
    value = _decimal(source.get(name))
    if value is None:
        raise _unusable(source.get(name), name, what)
    return value


def price(source: Row, name: str, what: str) -> Decimal:
    """A number above zero. Raises MalformedReply."""
    value = number(source, name, what)
    if value <= 0:
        raise MalformedReply(f"{what}: {name} is {value}, which is no price")
    return value


def number_or(source: Row, name: str, default: Decimal) -> Decimal:
    """A number, or the default when it is absent, empty or not a number."""
    value = _decimal(source.get(name))
    return default if value is None else value


def positive_or_none(source: Row, name: str) -> Decimal | None:
    """A number above zero; Binance writes "0", "0.00000", "" and null for "not known" (checked 2026-11)."""
    value = _decimal(source.get(name))
    return value if value is not None and value > 0 else None


def whole(source: Row, name: str, what: str) -> int:
    """An essential integer. Order ids exceed 2^53, so a float is accepted only when it is exact and below it."""
    value = _int(source.get(name))
    if value is None:
        raise _unusable(source.get(name), name, what)
    return value


def whole_or(source: Row, name: str, default: int) -> int:
    """An integer, or the default when it is absent, empty or not an integer."""
    value = _int(source.get(name))
    return default if value is None else value


def moment(source: Row, name: str, what: str) -> int:
    """An essential time in milliseconds; a fraction of one is let go: clocks that count in floats tell it so."""
    value = _moment(source.get(name))
    if value is None:
        raise _unusable(source.get(name), name, what)
    return value


def moment_or(source: Row, name: str, default: int) -> int:
    """A time in milliseconds, or the default when it is absent, empty or none."""
    value = _moment(source.get(name))
    return default if value is None else value


def flag_or(source: Row, name: str, default: bool) -> bool:
    """A boolean, sent as JSON or as the texts "true" and "false"."""
    value = source.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return default


def flag(source: Row, name: str, what: str) -> bool:
    """An essential boolean."""
    for default in (False, True):
        if flag_or(source, name, default) is not default:
            return not default
    raise _unusable(source.get(name), name, what)


def finite_float(value: object, name: str, what: str) -> float:
    """An essential binary float that is neither NaN nor infinite (candles only)."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise _unusable(value, name, what)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _unusable(value, name, what)
    result = float(value) if not isinstance(value, int) or abs(value) < 10**40 else math.inf
    if not math.isfinite(result):
        raise _unusable(value, name, what)
    return result


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        value = repr(value)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    result = Decimal(value)
    if result and abs(result.adjusted()) > _EXPONENT_MAX:
        return None
    return result


def _int(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**30 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return None


def _moment(value: object) -> int | None:
    exact = _int(value)
    if exact is not None:
        return exact
    told = _decimal(value)
    return None if told is None or abs(told) >= _MOMENT_END_MS else int(told)


def _unusable(value: object, name: str, what: str) -> MalformedReply:
    return MalformedReply(f"{what}: field {name!r} is {_shown(value)}; the answer is ignored")


def _shown(value: object) -> str:
    if value is None:
        return "missing or null"
    if isinstance(value, str | int | float | bool):
        return f"{type(value).__name__} {str(value)[:_SHOWN_MAX]!r}"
    return type(value).__name__
