"""Formulas: an indicator written down once, from which its stream, its batch and its warm-up all follow.

A formula is an operation on other formulas, down to the fields of a candle. Each operation has two forms, a step (one
closed candle) and an array (a whole history), that add, multiply and compare the same numbers in the same order; where
each value stands on the one before, the array form runs the step. So both forms of whatever is built of them are equal,
bit for bit, and neither can look ahead: no operation reaches for a later candle.
The warm-up is counted, not declared: each operation says how many candles after its inputs it has a first value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np

from indicators.candle import Candle
from indicators.indicator import Domain, Indicator, Parameter, Unit
from indicators.series import FloatArray
from indicators.streams import check_finite
from indicators.workspace import Workspace

Step = Callable[..., Any]
Operand: TypeAlias = "Formula | float"


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """``step(*params)`` makes a new step, which is given its inputs' values candle by candle, from the first at which
    all are known. ``array`` is given their columns from there on, then the params. Both have no value (NaN) for the
    first ``later(*params)`` of these candles. ``kept``: worth keeping for other formulas over the same series."""

    name: str
    step: Callable[..., Step]
    array: Callable[..., FloatArray]
    later: Callable[..., int] = lambda *_: 0
    kept: bool = True


def _no_step(*_: float) -> Any:
    raise AssertionError("a field is read and a constant is known: neither is computed")


FIELD = Operation("field", _no_step, _no_step)
CONSTANT = Operation("constant", _no_step, _no_step)


class Formula:
    """Equal where it computes the same; ``first``: the number of candles after which it has its first value."""

    __slots__ = ("_hash", "first", "inputs", "operation", "params", "ready")

    def __init__(self, operation: Operation, inputs: tuple[Formula, ...] = (), params: tuple[Any, ...] = ()) -> None:
        self.operation = operation
        self.inputs = inputs
        self.params = params
        self.ready: int = max((each.first for each in inputs), default=1)
        self.first: int = self.ready + operation.later(*params)
        self._hash = hash((id(operation), inputs, params))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Formula)
            and self._hash == other._hash
            and self.operation is other.operation
            and self.params == other.params
            and self.inputs == other.inputs
        )

    def __add__(self, other: Operand) -> Formula:
        return Formula(_PLUS, (self, formula_of(other)))

    def __sub__(self, other: Operand) -> Formula:
        return Formula(_MINUS, (self, formula_of(other)))

    def __rsub__(self, other: float) -> Formula:
        return Formula(_MINUS, (formula_of(other), self))

    def __mul__(self, other: Operand) -> Formula:
        return Formula(_TIMES, (self, formula_of(other)))

    def __rmul__(self, other: float) -> Formula:
        return Formula(_TIMES, (formula_of(other), self))

    def __neg__(self) -> Formula:
        return -1.0 * self

    def __truediv__(self, other: Operand) -> Formula:
        """By what is never 0: a price, or a number other than 0. For all else there is ``ratio``."""
        return Formula(_OVER, (self, formula_of(other)))


def formula_of(operand: Operand) -> Formula:
    return operand if isinstance(operand, Formula) else Formula(CONSTANT, (), (float(operand),))


def field(name: str) -> Formula:
    """A number of the candle itself."""
    return Formula(FIELD, (), (name,))


def at_once(name: str, of_numbers: Callable[..., float], of_columns: Callable[..., FloatArray]) -> Operation:
    """An operation without memory: each value follows from those of the same candle."""
    return Operation(name, lambda: of_numbers, of_columns, kept=False)


_PLUS = at_once("plus", lambda a, b: a + b, lambda a, b: a + b)
_MINUS = at_once("minus", lambda a, b: a - b, lambda a, b: a - b)
_TIMES = at_once("times", lambda a, b: a * b, lambda a, b: a * b)
_OVER = at_once("over", lambda a, b: a / b, lambda a, b: a / b)


def by_step(
    name: str, step: Callable[..., Step], later: Callable[..., int] = lambda *_: 0, inputs: int = 1, parts: int = 1
) -> Operation:
    """An operation in which each value stands on the one before: the array form runs the step.

    With several ``parts`` a step gives a tuple, from which ``part`` picks.
    """

    def array(*given: Any) -> FloatArray:
        columns, params = given[:inputs], given[inputs:]
        run = step(*params)
        rows = map(run, *(column.tolist() for column in columns))
        made = np.array(list(rows), dtype=np.float64)
        return made.reshape(-1, parts) if parts > 1 else made

    return Operation(name, step, array, later)


_PART = Operation(
    "part",
    lambda index: lambda several: several[int(index)],
    lambda several, index: several[:, int(index)],
    kept=False,
)


def part(several: Formula, index: int) -> Formula:
    return Formula(_PART, (several,), (index,))


def walk(formula: Formula) -> Iterator[Formula]:
    """Every formula in it once, inputs before what stands on them."""
    seen: set[Formula] = set()

    def visit(each: Formula) -> Iterator[Formula]:
        if each not in seen:
            seen.add(each)
            for below in each.inputs:
                yield from visit(below)
            yield each

    return visit(formula)


def fields_of(formula: Formula) -> tuple[str, ...]:
    """What it reads of a candle."""
    read = {each.params[0] for each in walk(formula) if each.operation is FIELD}
    order = ("open_time_ms", "open", "high", "low", "close", "volume")
    return tuple(name for name in order if name in read)


class FormulaStream:
    """The live form: every part of the formula is computed once a candle, as soon as its inputs are known."""

    def __init__(self, formula: Formula) -> None:
        parts = list(walk(formula))
        place = {each: index for index, each in enumerate(parts)}
        self._values: list[Any] = [each.params[0] if each.operation is CONSTANT else nan for each in parts]
        self._fields = [(place[each], attrgetter(each.params[0])) for each in parts if each.operation is FIELD]
        computed = [each for each in parts if each.operation not in (FIELD, CONSTANT)]
        # by the candle at which they begin: inputs are never later than what stands on them
        self._steps = [
            (each.ready, place[each], each.operation.step(*each.params), [place[below] for below in each.inputs])
            for each in sorted(computed, key=lambda each: each.ready)
        ]
        self._first = formula.first
        self._seen = 0

    def update(self, candle: Candle) -> float | None:
        check_finite(candle)
        self._seen += 1
        values = self._values
        for place, read in self._fields:
            values[place] = read(candle)
        for ready, place, step, inputs in self._steps:
            if self._seen < ready:
                break
            values[place] = step(*[values[each] for each in inputs])
        value: float = values[-1]
        return None if self._seen < self._first or value != value else value


def column(formula: Formula, workspace: Workspace) -> FloatArray:
    """The batch form: one number per candle, NaN where there is none."""
    made: dict[Formula, Any] = {}

    def value(each: Formula) -> Any:
        if each.operation is CONSTANT:
            return each.params[0]
        if each.operation is FIELD:
            return getattr(workspace.series, each.params[0])
        if each not in made:
            keep = each.operation.kept
            made[each] = workspace.once(("formula", each), lambda: compute(each)) if keep else compute(each)
        return made[each]

    def compute(each: Formula) -> FloatArray:
        skipped = each.ready - 1
        inputs = [below if isinstance(below, float) else below[skipped:] for below in map(value, each.inputs)]
        found = each.operation.array(*inputs, *each.params)
        if not skipped:
            return found
        result = np.full((workspace.series.length, *found.shape[1:]), nan)
        result[skipped:] = found
        return result

    return np.array(value(formula), dtype=np.float64)


def entry(
    name: str,
    summary: str,
    unit: Unit,
    parameters: tuple[Parameter, ...],
    formula: Callable[..., Formula],
    *,
    domain: Domain | None = None,
    constraint: Callable[..., str | None] = lambda **_: None,
    conditional: bool = False,
) -> Indicator:
    """An entry of the catalog whose two forms and warm-up follow from its formula."""
    return Indicator(
        name=name,
        summary=summary,
        unit=unit,
        parameters=parameters,
        warmup=lambda **params: formula(**params).first,
        stream=lambda **params: FormulaStream(formula(**params)),
        batch=lambda workspace, **params: column(formula(**params), workspace),
        domain=domain,
        constraint=constraint,
        conditional=conditional,
        formula=formula,
    )
