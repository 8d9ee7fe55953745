"""Whether data fits a JSON Schema, for the files that are right: most, and each of them at every start.

A yes is certain. A no may only mean that a keyword is not known here; then jsonschema is loaded, and says what is
wrong, if anything is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def fits(data: Any, schema: Schema) -> bool:
    """Whether the data fits for certain."""
    return _Fit(schema).fits(data, schema)


class _Fit:
    def __init__(self, root: Schema) -> None:
        self._root = root

    def fits(self, data: Any, schema: Any) -> bool:
        """By one schema within the root; ``True`` and ``False`` are schemas, too."""
        if isinstance(schema, bool):
            return schema
        for keyword, wanted in schema.items():
            check = _CHECKS.get(keyword)
            if check is None or not check(self, data, wanted, schema):
                return False
        return True

    def _refers(self, data: Any, wanted: str, _: Schema) -> bool:
        name = wanted.removeprefix("#/$defs/")
        found = self._root.get("$defs", {}).get(name)
        return found is not None and "/" not in name and self.fits(data, found)

    def _has_properties(self, data: Any, wanted: Schema, _: Schema) -> bool:
        if not isinstance(data, dict):
            return True
        return all(self.fits(data[name], schema) for name, schema in wanted.items() if name in data)

    def _has_patterns(self, data: Any, wanted: Schema, _: Schema) -> bool:
        if not isinstance(data, dict):
            return True
        return all(
            self.fits(value, schema)
            for pattern, schema in wanted.items()
            for name, value in data.items()
            if re.search(pattern, name)
        )

    def _has_no_others(self, data: Any, wanted: Any, schema: Schema) -> bool:
        if not isinstance(data, dict):
            return True
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        others = [
            value
            for name, value in data.items()
            if name not in known and not any(re.search(pattern, name) for pattern in patterns)
        ]
        return all(self.fits(value, wanted) for value in others)

    def _has_names(self, data: Any, wanted: Any, _: Schema) -> bool:
        return not isinstance(data, dict) or all(self.fits(name, wanted) for name in data)

    def _has_items(self, data: Any, wanted: Any, _: Schema) -> bool:
        return not isinstance(data, list) or all(self.fits(item, wanted) for item in data)

    def _fits_any(self, data: Any, wanted: list[Any], _: Schema) -> bool:
        return any(self.fits(data, schema) for schema in wanted)

    def _fits_all(self, data: Any, wanted: list[Any], _: Schema) -> bool:
        return all(self.fits(data, schema) for schema in wanted)


def _number(data: Any) -> bool:
    return isinstance(data, (int, float)) and not isinstance(data, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda data: isinstance(data, dict),
    "array": lambda data: isinstance(data, list),
    "string": lambda data: isinstance(data, str),
    "integer": lambda data: isinstance(data, int) and not isinstance(data, bool),
    "number": _number,
    "boolean": lambda data: isinstance(data, bool),
    "null": lambda data: data is None,
}


def _same(data: Any, wanted: Any) -> bool:
    """Equal and of one kind: 1 is not true, and 1.0 may be 1, which jsonschema decides."""
    return type(data) is type(wanted) and not isinstance(data, (dict, list)) and bool(data == wanted)


def _are_different(items: list[Any]) -> bool:
    """Of texts alone."""
    return all(isinstance(item, str) for item in items) and len(set(items)) == len(items)


def _is_of_type(_: _Fit, data: Any, wanted: Any, __: Schema) -> bool:
    return any(kind in _TYPES and _TYPES[kind](data) for kind in ([wanted] if isinstance(wanted, str) else wanted))


def _bound(holds: Callable[[Any, Any], bool]) -> Any:
    return lambda fit, data, wanted, schema: not _number(data) or holds(data, wanted)


def _size(kind: type[Any], holds: Callable[[int, int], bool]) -> Any:
    return lambda fit, data, wanted, schema: not isinstance(data, kind) or holds(len(data), wanted)


def _says_nothing(_: _Fit, __: Any, ___: Any, ____: Schema) -> bool:
    return True


_CHECKS: dict[str, Callable[[_Fit, Any, Any, Schema], bool]] = {
    "$ref": _Fit._refers,
    "type": _is_of_type,
    "const": lambda _, data, wanted, __: _same(data, wanted),
    "enum": lambda _, data, wanted, __: any(_same(data, choice) for choice in wanted),
    "properties": _Fit._has_properties,
    "patternProperties": _Fit._has_patterns,
    "additionalProperties": _Fit._has_no_others,
    "propertyNames": _Fit._has_names,
    "required": lambda _, data, wanted, __: not isinstance(data, dict) or all(name in data for name in wanted),
    "dependentRequired": lambda _, data, wanted, __: (
        not isinstance(data, dict) or all(set(others) <= data.keys() for name, others in wanted.items() if name in data)
    ),
    "items": _Fit._has_items,
    "anyOf": _Fit._fits_any,
    "allOf": _Fit._fits_all,
    "pattern": lambda _, data, wanted, __: not isinstance(data, str) or re.search(wanted, data) is not None,
    "minimum": _bound(lambda data, wanted: data >= wanted),
    "maximum": _bound(lambda data, wanted: data <= wanted),
    "exclusiveMinimum": _bound(lambda data, wanted: data > wanted),
    "exclusiveMaximum": _bound(lambda data, wanted: data < wanted),
    "minLength": _size(str, lambda found, wanted: found >= wanted),
    "maxLength": _size(str, lambda found, wanted: found <= wanted),
    "minItems": _size(list, lambda found, wanted: found >= wanted),
    "maxItems": _size(list, lambda found, wanted: found <= wanted),
    "uniqueItems": lambda _, data, wanted, __: not (wanted and isinstance(data, list)) or _are_different(data),
    "minProperties": _size(dict, lambda found, wanted: found >= wanted),
    "maxProperties": _size(dict, lambda found, wanted: found <= wanted),
    **dict.fromkeys(
        (
            *("$schema", "$defs", "title", "description", "default", "examples"),
            *("enumDescriptions", "looser", "severity"),  # our own: for editors, for reloading, of alerts
        ),
        _says_nothing,
    ),
}
