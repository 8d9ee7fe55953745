"""Writes a rules file anew with some numbers and choices changed: every comment, quote and space stays where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.source.yaml_source import KeyPath, Source, parse_source

Setting = float | int | str
"""The value of a threshold, or the option that a choice uses."""


class NoSuchSetting(ValueError):
    """A name that is neither a threshold nor a choice of these rules. The message says what there is."""


def place_of(source: Source, name: str) -> KeyPath:
    """Where the value of a threshold, or the option of a choice, is written. Raises NoSuchSetting."""
    thresholds = _mapping(source.data, "thresholds")
    if name in thresholds:
        written = thresholds[name]
        return ("thresholds", name, "value") if isinstance(written, Mapping) else ("thresholds", name)
    if name in _mapping(source.data, "choices"):
        return ("choices", name, "use")
    there = ", ".join([*thresholds, *_mapping(source.data, "choices")]) or "none"
    raise NoSuchSetting(f"{source.name} has no threshold or choice called {name}; there are: {there}")


def rewritten(source: Source, settings: Mapping[str, Setting]) -> str:
    """The text with these values of thresholds and options of choices. Raises NoSuchSetting."""
    changes = {place_of(source, name): value for name, value in settings.items()}
    text = source.text
    for path in sorted(changes, key=lambda path: source.place(path).start, reverse=True):
        if _at(source.data, path) != changes[path]:
            where = source.place(path)
            text = text[: where.start] + _written(changes[path]) + text[where.stop :]
    found = parse_source(text, source.name).data
    wrong = [".".join(map(str, path)) for path, value in changes.items() if _at(found, path) != value]
    assert not wrong, f"written otherwise than it reads: {', '.join(wrong)}"
    return text


def _written(value: Setting) -> str:
    """As one would type it: no more digits than it takes, and no exponent, which YAML may take for a text."""
    if isinstance(value, str):
        return value
    if float(value).is_integer():
        return str(int(value))
    text = repr(float(value))
    return format(float(value), ".15f").rstrip("0") if "e" in text else text


def _mapping(data: Any, key: str) -> Mapping[str, Any]:
    found = data.get(key) if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _at(data: Any, path: KeyPath) -> Any:
    for step in path:
        data = data[step]
    return data
