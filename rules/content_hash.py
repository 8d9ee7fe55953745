"""The hash of a rules file: of what it means, so that comments, order, defaults and spelling do not count.

``2`` and ``2.0`` are one number, ``a>b`` and ``(a > b)`` one condition, and a value that is written out is as good as
the default that it repeats. Names count: the journal and `why` speak with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from rules.definition import Definition
from rules.features import feature_of, timeframe_of
from rules.language.syntax import parse
from rules.language.writing import written

_EXPRESSIONS = ("when", "stop", "price", "trail", "value")


def hash_of(definition: Definition) -> str:
    """SHA-256 in hexadecimal."""
    meant = _meant(_told(msgspec.structs.replace(definition, written={}, ranges={})))
    meant["features"] = {
        name: feature_of(name, each, definition.timeframes).what for name, each in definition.features.items()
    }
    if definition.regimes is not None:
        meant["regimes"]["timeframe"] = timeframe_of(definition.regimes.timeframe, definition.timeframes).value
    for regime in meant.get("regimes", {}).get("regimes", {}).values():
        if regime.get("stay") == regime["enter"]:
            del regime["stay"]
    return hashlib.sha256(msgspec.json.encode(meant, order="sorted")).hexdigest()


def _told(value: Any) -> Any:
    """What a part says beyond its defaults. msgspec leaves out a default only where it is the same object, so a number
    that repeats one would count."""
    if isinstance(value, msgspec.Struct):
        given = ((key, getattr(value, name), default) for name, key, default in _fields(type(value)))
        return {key: _told(each) for key, each, default in given if each != default}
    if isinstance(value, Mapping):
        return {name: _told(each) for name, each in value.items()}
    return [_told(each) for each in value] if isinstance(value, list | tuple) else value


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Any], ...]:
    """The name of each field, how it is written, and its default."""
    found = msgspec.structs.fields(kind)
    made = [each.default if each.default_factory is msgspec.NODEFAULT else each.default_factory() for each in found]
    return tuple((each.name, each.encode_name, default) for each, default in zip(found, made, strict=True))


def _meant(data: Any, key: str = "") -> Any:
    """The data with every number and every expression in its one spelling."""
    if isinstance(data, Mapping):
        return {name: _meant(each, "when" if key in ("options", "define") else name) for name, each in data.items()}
    if isinstance(data, list | tuple):
        return [_meant(each) for each in data]
    if isinstance(data, str):
        return written(parse(data)) if key in _EXPRESSIONS else data
    return float(data) if isinstance(data, int) and not isinstance(data, bool) else data
