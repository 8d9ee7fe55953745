"""Numbers of a rules file that are written as expressions: ``exit_after_candles: 2 * days``, from thresholds alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rules.language.scalar import numeric
from rules.language.syntax import And, Call, Comparison, ExpressionError, Name, Not, Number, Or, names_in, parse, walk
from rules.source.short_forms import regimes_in

KeyPath = tuple[str | int, ...]

_REGIMES = ("confirmations", "override_confidence", "dwell_candles")
_STRATEGY = ("reward_risk_min", "risk")
_MANAGE = ("break_even_at_r", "break_even_lock_r", "exit_after_candles")
_COOLDOWN = ("losses", "candles")
_NOT_PARAMETERS = ("indicator", "timeframe")


def thresholds_of(data: Any, symbol: str = "") -> dict[str, float]:
    """Thresholds by name, for all symbols or for one."""
    written = {**_mapping(_at(data, "thresholds")), **_mapping(_at(data, "symbols", symbol, "thresholds"))}
    found = {name: each.get("value") if isinstance(each, Mapping) else each for name, each in written.items()}
    return {
        name: float(each)
        for name, each in found.items()
        if isinstance(each, int | float) and not isinstance(each, bool)
    }


def number_slots(data: Any) -> Iterator[tuple[KeyPath, str]]:
    """Where a number is written as an expression, and what is written."""
    for path in _places(data):
        written = _at(data, *path)
        if isinstance(written, str):
            yield path, written


def calculated(text: str, thresholds: Mapping[str, float]) -> float | int:
    """The number that an expression of thresholds comes to; a whole one as such. Raises ExpressionError."""
    node = parse(text)
    if isinstance(node, Number):
        raise ExpressionError("a number stands without quotes", node.column)
    for part in walk(node):
        if isinstance(part, And | Or | Not | Comparison) or (
            isinstance(part, Call) and (part.offset or part.function not in ("min", "max", "abs"))
        ):
            raise ExpressionError("a number is needed here: only + - * /, min, max and abs", part.column)
        if isinstance(part, Name) and part.offset:
            raise ExpressionError(f"{part.name} is a fixed number: it has no earlier candles", part.column)
    for name in names_in(node):
        if name.name not in thresholds:
            raise UnknownThreshold(name.name, name.column)
    value = numeric(node)(thresholds)
    if value is None:
        raise ExpressionError("this comes to no number", node.column)
    return int(value) if value.is_integer() else value


class UnknownThreshold(ExpressionError):
    """A name in such a number that is no threshold."""

    def __init__(self, name: str, column: int) -> None:
        self.name = name
        super().__init__(f"no threshold is called {name}", column)


def with_numbers(
    data: Mapping[str, Any], symbol: str = "", failed: Callable[[KeyPath, str, ExpressionError], None] | None = None
) -> dict[str, Any]:
    """The data with plain numbers in place of expressions and of thresholds with a range, as they are for a symbol.

    ``failed`` is told of what comes to no number, which stays as it is; without it ExpressionError is raised.
    """
    thresholds = thresholds_of(data, symbol)
    found: dict[str, Any] = dict(data)
    if isinstance(found.get("thresholds"), Mapping):
        found["thresholds"] = {name: thresholds.get(name, each) for name, each in found["thresholds"].items()}
    for path, text in number_slots(data):
        try:
            _put(found, path, calculated(text, thresholds))
        except ExpressionError as error:
            if failed is None:
                raise
            failed(path, text, error)
    return found


def _places(data: Any) -> Iterator[KeyPath]:
    yield from (("regimes", key) for key in _REGIMES)
    for regime, written in regimes_in(data).items():
        for index, _ in enumerate(_list(_at(written, "confidence"))):
            yield from (("regimes", regime, "confidence", index, end) for end in ("zero_at", "full_at"))
    yield from (("router", "cooldown", key) for key in _COOLDOWN)
    for name, written in _mapping(_at(data, "features")).items():
        yield from (("features", name, key) for key in _mapping(written) if key not in _NOT_PARAMETERS)
    yield from _strategies(data, ())
    for symbol in _mapping(_at(data, "symbols")):
        yield from _strategies(data, ("symbols", symbol))


def _strategies(data: Any, base: KeyPath) -> Iterator[KeyPath]:
    for name, written in _mapping(_at(data, *base, "strategies")).items():
        path: KeyPath = (*base, "strategies", name)
        yield from ((*path, key) for key in _STRATEGY)
        yield from ((*path, "manage", key) for key in _MANAGE)
        yield from ((*path, "cooldown", key) for key in _COOLDOWN)
        yield from ((*path, "limits", key) for key in ("max_open_positions", "max_open_risk_pct"))
        for side in ("long", "short"):
            for index, _ in enumerate(_list(_at(written, side, "targets"))):
                yield (*path, side, "targets", index, "portion")


def _put(data: dict[str, Any], path: KeyPath, value: object) -> None:
    """Sets one value, and copies what is on the way to it: what was read stays as it was."""
    at: Any = data
    for step in path[:-1]:
        inner = at[step]
        at[step] = dict(inner) if isinstance(inner, Mapping) else list(inner)
        at = at[step]
    at[path[-1]] = value


def _at(data: Any, *path: str | int) -> Any:
    for step in path:
        if isinstance(data, Mapping) and isinstance(step, str):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else {}


def _list(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []
