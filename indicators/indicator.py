"""What an indicator is: a name, a unit, parameters with limits, and two forms that give the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from math import inf
from typing import Any, Protocol

from indicators.candle import Candle
from indicators.series import FloatArray


class IndicatorError(ValueError):
    """A name or parameter nobody can compute, or a candle whose numbers are not finite. Says which and why."""


class UnknownParameter(IndicatorError):
    """A parameter that the indicator does not have: its name is at fault, not its value."""


class Unit(StrEnum):
    """What a value is measured in; rules may only compare like with like."""

    PRICE = "price"  # in the quote asset
    VOLUME = "volume"  # in the base asset
    INDEX = "index"  # from 0 to 100
    PERCENT = "percent"  # 5.0 means 5 %
    RATIO = "ratio"  # 1.0 means as much as
    COUNT = "count"  # whole numbers from 0
    FLAG = "flag"  # 1.0 yes, 0.0 no
    SCORE = "score"  # on a scale of its own, around or from 0


@dataclass(frozen=True, slots=True)
class Domain:
    """The numbers that a value can be at all, whatever the market does; an ``open`` end is never reached."""

    lower: float = -inf
    upper: float = inf
    lower_open: bool = False


ANYTHING = Domain()
NOT_NEGATIVE = Domain(lower=0.0)
POSITIVE = Domain(lower=0.0, lower_open=True)
PORTION = Domain(0.0, 1.0)
CHANGE = Domain(lower=-100.0)
"""A price, or a width, can lose all of itself and gain without end."""

_BY_UNIT: Mapping[Unit, Domain] = {
    Unit.PRICE: NOT_NEGATIVE,
    Unit.VOLUME: NOT_NEGATIVE,
    Unit.COUNT: NOT_NEGATIVE,
    Unit.INDEX: Domain(0.0, 100.0),
    Unit.FLAG: PORTION,
    Unit.PERCENT: ANYTHING,
    Unit.RATIO: ANYTHING,
    Unit.SCORE: ANYTHING,
}


def domain_by_unit(unit: Unit) -> Domain:
    """What any value of this unit can be."""
    return _BY_UNIT[unit]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number an indicator is set up with, and its limits (both included). No default: it must be given."""

    name: str
    kind: type[int] | type[float]
    minimum: float
    maximum: float
    default: float | None
    doc: str

    def checked(self, value: object) -> float:
        """``value`` as this parameter's kind. Raises ``IndicatorError`` saying what is allowed."""
        kinds = (int,) if self.kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not self.minimum <= value <= self.maximum:
            raise IndicatorError(f"{self.name} must be {self.allowed}, not {value!r}")
        return self.kind(value)

    @property
    def allowed(self) -> str:
        kind = "a whole number" if self.kind is int else "a number"
        return f"{kind} from {self.minimum:g} to {self.maximum:g}"


class Stream(Protocol):
    """The live form: one closed candle at a time, in order, each once."""

    def update(self, candle: Candle) -> float | None:
        """The value at this candle's close; None while there is none yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Indicator:
    """One entry of the catalog. The callables take the parameters by name.

    ``warmup`` is the number of candles after which the first value exists; ``conditional`` says that even then
    there may be none, as the market has to do something first (a swing has to form).
    ``batch`` takes a ``Workspace`` first and gives one number per candle, NaN where ``stream`` would say None;
    everywhere else the two are equal bit for bit.
    ``constraint`` gives a sentence about parameters that do not go together, or None.
    ``domain``: the numbers that it can be (or a callable that says so of its parameters), where it is not all that its
    unit can be. ``reads``: the fields of a candle that it needs. ``formula``: what both
    forms, warm-up and reads follow from, where they do.
    """

    name: str
    summary: str
    unit: Unit
    parameters: tuple[Parameter, ...]
    warmup: Callable[..., int]
    stream: Callable[..., Stream]
    batch: Callable[..., FloatArray]
    constraint: Callable[..., str | None] = lambda **_: None
    conditional: bool = False
    domain: Domain | Callable[..., Domain] | None = None
    reads: tuple[str, ...] = ("close",)
    formula: Callable[..., Any] | None = None

    def checked(self, given: Mapping[str, object]) -> dict[str, float]:
        """The full set of parameters, in the declared order. Raises ``IndicatorError``."""
        names = [parameter.name for parameter in self.parameters]
        unknown = [name for name in given if name not in names]
        if unknown:
            near = get_close_matches(unknown[0], names, n=1)
            takes = ", ".join(names) or "no parameters"
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownParameter(f"{self.name} has no parameter {unknown[0]!r}; it takes {takes}{hint}")
        params: dict[str, float] = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None:
                raise IndicatorError(f"{self.name} needs {parameter.name}: {parameter.allowed} ({parameter.doc})")
            try:
                params[parameter.name] = parameter.checked(value)
            except IndicatorError as error:
                raise IndicatorError(f"{self.name}: {error}") from None
        problem = self.constraint(**params)
        if problem is not None:
            raise IndicatorError(f"{self.name}: {problem}")
        return params


# A warm-up is at most two of these and one candle, well below the 1,500 candles that one request to
# GET /fapi/v1/klines returns (checked 2026-11): whatever a rule may ask for can be known after one request.
CANDLES_MAX = 500


def candles(name: str, default: int | None, doc: str, *, minimum: int = 1, maximum: int = CANDLES_MAX) -> Parameter:
    """A parameter that is a number of candles."""
    return Parameter(name, int, minimum, maximum, default, doc)


def multiple(name: str, default: float, doc: str) -> Parameter:
    """A parameter that says how many times a distance is taken."""
    return Parameter(name, float, 0.1, 20.0, default, doc)


def fast_below_slow(*, fast: int, slow: int, **_: float) -> str | None:
    """The constraint of whatever compares a fast with a slow average."""
    return None if fast < slow else f"fast must be below slow, not {fast} and {slow}"
