"""The lab's form of an expression: whole columns at once, equal to scalar.py at every row, bit for bit.

Numbers are float64 with NaN for UNKNOWN. Truths are int8: +1 TRUE, 0 UNKNOWN, -1 FALSE, so that *and* is the minimum,
*or* the maximum and *not* the sign.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import numpy.typing as npt

from rules.language.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or
from rules.language.truth import Truth

FloatArray = npt.NDArray[np.float64]
TruthArray = npt.NDArray[np.int8]
Columns = Callable[[str], FloatArray]  # the column of a fact, by its key

TRUE, UNKNOWN, FALSE = 1, 0, -1

_TRUTHS = {TRUE: Truth.TRUE, UNKNOWN: Truth.UNKNOWN, FALSE: Truth.FALSE}
_ARITHMETIC: dict[str, np.ufunc] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_COMPARISONS: dict[str, np.ufunc] = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def truth_of(code: int) -> Truth:
    """The truth that an element of a TruthArray stands for."""
    return _TRUTHS[code]


def numbers(node: Node, columns: Columns) -> FloatArray:
    """The column of a number; of length 1 where nothing in it changes."""
    with np.errstate(all="ignore"):
        return _numbers(node, columns)


def truths(node: Node, columns: Columns) -> TruthArray:
    """The column of a condition; of length 1 where nothing in it changes."""
    with np.errstate(all="ignore"):
        return _truths(node, columns)


def finite(values: FloatArray) -> FloatArray:
    """The values, with everything one cannot count with made UNKNOWN."""
    if not np.isinf(values).any():
        return values
    return np.where(np.isinf(values), np.nan, values)


def _numbers(node: Node, columns: Columns) -> FloatArray:
    match node:
        case Number(value=value):
            return np.array([value])
        case Name():
            return finite(columns(node.key))
        case Negative():
            return -_numbers(node.operand, columns)
        case Arithmetic():
            left, right = _numbers(node.left, columns), _numbers(node.right, columns)
            return finite(_ARITHMETIC[node.operator](left, right))
        case Call(function="abs"):
            return np.abs(_numbers(node.arguments[0], columns))
        case Call():
            choose = _lower if node.function == "min" else _higher
            return reduce(choose, (_numbers(argument, columns) for argument in node.arguments))
    raise TypeError(f"{type(node).__name__} yields no number")


def _truths(node: Node, columns: Columns) -> TruthArray:
    match node:
        case Name():
            values = finite(columns(node.key))
            return _coded(values != 0, ~np.isnan(values))
        case Comparison():
            left, right = _numbers(node.left, columns), _numbers(node.right, columns)
            return _coded(_COMPARISONS[node.operator](left, right), ~(np.isnan(left) | np.isnan(right)))
        case And():
            return reduce(np.minimum, (_truths(operand, columns) for operand in node.operands))
        case Or():
            return reduce(np.maximum, (_truths(operand, columns) for operand in node.operands))
        case Not():
            return -_truths(node.operand, columns)
    raise TypeError(f"{type(node).__name__} yields no condition")


def _coded(holds: npt.NDArray[np.bool_], is_known: npt.NDArray[np.bool_]) -> TruthArray:
    coded = holds.astype(np.int8)
    coded += coded
    coded += FALSE  # now TRUE or FALSE
    coded *= is_known
    return coded


def _lower(first: FloatArray, second: FloatArray) -> FloatArray:
    return _unless_nan(first, second, np.where(first <= second, first, second))


def _higher(first: FloatArray, second: FloatArray) -> FloatArray:
    return _unless_nan(first, second, np.where(first >= second, first, second))


def _unless_nan(first: FloatArray, second: FloatArray, result: FloatArray) -> FloatArray:
    return np.where(np.isnan(first) | np.isnan(second), np.nan, result)
