"""Reads the expressions of a rules file into trees, with nothing in them but what is allowed here.

Allowed are names with an optional offset (``close_1h[1]``: one candle earlier), also of another symbol
(``BTCUSDT.close_1h``), decimal numbers, ``+ - * /``, a sign,
``< <= > >=`` (also chained), ``and or not``, the functions of ``FUNCTIONS`` and parentheses. Python's parser does the
reading; nothing is ever evaluated by Python.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache

LENGTH_MAX = 400  # characters; the longest condition shipped has 70
DEPTH_MAX = 16
OFFSET_MAX = 50  # candles back; every offset is kept in memory for each feature that uses it

FUNCTIONS: Mapping[str, tuple[str, int, int]] = {
    "min": ("min(a, b, …)", 2, 50),
    "max": ("max(a, b, …)", 2, 50),
    "abs": ("abs(a)", 1, 1),
    "between": ("between(x, low, high)", 3, 3),
    "crosses_above": ("crosses_above(a, b)", 2, 2),
    "crosses_below": ("crosses_below(a, b)", 2, 2),
    "highest": ("highest(expression, candles)", 2, 2),
    "lowest": ("lowest(expression, candles)", 2, 2),
    "count": ("count(condition, candles)", 2, 2),
    "since": ("since(condition)", 1, 1),
    "value_when": ("value_when(condition, expression)", 2, 2),
}
"""What can be called: how it is written, and with how many arguments at least and at most."""

WINDOWS = ("highest", "lowest", "count", "since", "value_when")
"""Those that look back over candles of the expression's own timeframe."""

_FOREIGN_CHARACTER = re.compile(r"[^A-Za-z0-9_.,+\-*/()<>=!\[\] ]")
_MEANT_BY = {
    "&": "and", "|": "or", "−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "≤": "<=", "≥": ">=",
    "%": "the number alone", "^": "the product out", "{": "(", "}": ")", ";": "several conditions",
}  # fmt: skip
"""What is meant by characters that others have for it."""

_LARGE = re.compile(r"\b(AND|And|OR|Or|NOT|Not)\b")
_BANG = re.compile(r"!(?!=)")
_ASSIGNS = re.compile(r"(?<![<>=!])=(?!=)")
_SYMBOL = re.compile(r"[A-Z0-9]{5,24}")
_SYMBOL_OF_DIGITS = re.compile(r"(?<![A-Za-z0-9_.])[0-9](?=[A-Z0-9]{4,23}\.[A-Za-z_])")
_NUMBER_THEN_NAME = re.compile(r"(?<![A-Za-z0-9_])[0-9][0-9.]*[A-Za-z_]")
_ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class ExpressionError(Exception):
    """An expression that cannot be used. ``column`` counts characters of its text from 0."""

    def __init__(self, message: str, column: int) -> None:
        self.message = message
        self.column = column
        super().__init__(f"{message} (at character {column + 1})")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that never changes: written out, or a threshold once its value is filled in (then with its name)."""

    value: float
    label: str | None = field(default=None, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """What a name stands for, ``offset`` candles of its timeframe ago; of another symbol: ``BTCUSDT.name``."""

    name: str
    offset: int = 0
    column: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """How facts call this value."""
        return f"{self.name}[{self.offset}]" if self.offset else self.name

    @property
    def symbol(self) -> str:
        """The other symbol whose value it is; empty for the one that is decided on. (``highest(0.5 * x, 3)`` is a name
        as well, once it is measured.)"""
        head, dot, _ = self.name.partition(".")
        return head if dot and _SYMBOL.fullmatch(head) else ""

    @property
    def own(self) -> str:
        """The name without the symbol."""
        return self.name.removeprefix(f"{self.symbol}.") if self.symbol else self.name


@dataclass(frozen=True, slots=True)
class Negative:
    operand: Node
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    operator: str
    left: Node
    right: Node
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One of FUNCTIONS, ``offset`` candles ago."""

    function: str
    arguments: tuple[Node, ...]
    column: int = field(default=0, compare=False)
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str
    left: Node
    right: Node
    text: str = field(default="", compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Node, ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Node, ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    operand: Node
    column: int = field(default=0, compare=False)


Node = Number | Name | Negative | Arithmetic | Call | Comparison | And | Or | Not


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in the order in which they are written."""
    match node:
        case Number() | Name():
            return ()
        case Negative(operand=operand) | Not(operand=operand):
            return (operand,)
        case Arithmetic(left=left, right=right) | Comparison(left=left, right=right):
            return (left, right)
        case Call(arguments=parts) | And(operands=parts) | Or(operands=parts):
            return parts


def walk(node: Node) -> Iterator[Node]:
    """The node and everything under it, in the order in which it is written."""
    yield node
    for child in children(node):
        yield from walk(child)


def names_in(node: Node) -> list[Name]:
    """Every use of a name."""
    return [part for part in walk(node) if isinstance(part, Name)]


def fill(node: Node, values: Mapping[str, Node]) -> Node:
    """The tree with some names replaced by what they stand for: thresholds by numbers, choices by expressions."""
    return rewritten(node, lambda name: shifted(values[name.name], name.offset) if name.name in values else name)


def shifted(node: Node, offset: int) -> Node:
    """The same so many candles ago."""
    if offset == 0:
        return node
    if isinstance(node, Call):
        return replace(node, offset=node.offset + offset)
    if isinstance(node, Name):
        return replace(node, offset=node.offset + offset)
    return with_children(node, tuple(shifted(child, offset) for child in children(node)))


def rewritten(node: Node, change: Callable[[Name], Node]) -> Node:
    """The tree with each name replaced by what ``change`` makes of it."""
    if isinstance(node, Name):
        return change(node)
    return with_children(node, tuple(rewritten(child, change) for child in children(node)))


def with_children(node: Node, parts: tuple[Node, ...]) -> Node:
    """The node with other parts, in the order of ``children``."""
    match node:
        case Negative() | Not():
            return replace(node, operand=parts[0])
        case Arithmetic() | Comparison():
            return replace(node, left=parts[0], right=parts[1])
        case Call():
            return replace(node, arguments=parts)
        case And() | Or():
            return replace(node, operands=parts)
        case _:
            return node


@lru_cache(4096)  # rules are compiled for each symbol, and say the same for most of them
def parse(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError with the place of the first thing that is not allowed."""
    if len(text) > LENGTH_MAX:
        raise ExpressionError(f"longer than {LENGTH_MAX} characters: split it into several conditions", LENGTH_MAX)
    flat = re.sub(r"\s", " ", text)
    if foreign := _FOREIGN_CHARACTER.search(flat):
        meant = _MEANT_BY.get(foreign.group())
        advice = "" if meant is None else f"; write {meant}"
        raise ExpressionError(f"{foreign.group()!r} has no meaning in an expression{advice}", foreign.start())
    readable = _SYMBOL_OF_DIGITS.sub("S", flat)  # Python knows no name that begins with a digit: 1000PEPEUSDT
    if joined := _NUMBER_THEN_NAME.search(readable):
        raise ExpressionError(
            "a number and a name run into each other: put an operator or a space between them "
            "(numbers have no exponent and no prefix)",
            joined.end() - 1,
        )
    lead = len(flat) - len(flat.lstrip())
    return _Reading(flat, lead).node(_python_tree(readable, lead), 1)


def _python_tree(flat: str, lead: int) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(flat[lead:], mode="eval").body
    except SyntaxError as error:
        if large := _LARGE.search(flat):
            raise ExpressionError(f"write {large.group().lower()} in small letters", large.start()) from None
        if bang := _BANG.search(flat):
            raise ExpressionError("'!' has no meaning in an expression; write not", bang.start()) from None
        if single := _ASSIGNS.search(flat):
            raise ExpressionError("one = compares nothing: write < <= > or >=", single.start()) from None
        end = max(len(flat.rstrip()) - 1, 0)
        column = min(error.offset - 1 + lead, end) if error.offset else end  # without one, the text ended too early
        raise ExpressionError(f"cannot be read: {error.msg}", column) from None
    except (RecursionError, MemoryError, ValueError):
        raise ExpressionError("nested too deeply to be read", lead) from None


@dataclass(frozen=True, slots=True)
class _Reading:
    """Turns Python's tree into ours. ``lead`` = blanks before the expression, which Python did not see."""

    text: str
    lead: int

    def node(self, tree: ast.expr, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise self._error(tree, f"nested deeper than {DEPTH_MAX} levels: split it into several conditions")
        column = self._column(tree)
        match tree:
            case ast.Constant():
                return self._number(tree)
            case ast.Name():
                return Name(tree.id, 0, column)
            case ast.Attribute():
                return self._elsewhere(tree)
            case ast.Subscript():
                return self._offset(tree, depth)
            case ast.UnaryOp(op=ast.USub()):
                return Negative(self.node(tree.operand, depth + 1), column)
            case ast.UnaryOp(op=ast.Not()):
                return Not(self.node(tree.operand, depth + 1), column)
            case ast.BinOp():
                operator = _ARITHMETIC.get(type(tree.op))
                if operator is None:
                    raise self._error(tree, "only + - * / are allowed between numbers")
                return Arithmetic(operator, self.node(tree.left, depth + 1), self.node(tree.right, depth + 1), column)
            case ast.Compare():
                return self._comparison(tree, depth)
            case ast.BoolOp():
                operands = tuple(self.node(value, depth + 1) for value in tree.values)
                return And(operands, column) if isinstance(tree.op, ast.And) else Or(operands, column)
            case ast.Call():
                return self._call(tree, depth)
        raise self._error(tree, f"{self._slice(tree)!r} is not allowed in an expression")

    def _number(self, tree: ast.Constant) -> Number:
        if isinstance(tree.value, bool) or not isinstance(tree.value, int | float):
            raise self._error(tree, f"{self._slice(tree)} is not allowed: only decimal numbers are")
        try:
            value = float(tree.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self._error(tree, "this number is too large")
        return Number(value, None, self._column(tree))

    def _elsewhere(self, tree: ast.Attribute) -> Name:
        """``SYMBOL.name``; the symbol is read from the text, as Python was given another first letter of some."""
        symbol = self._slice(tree.value)
        if not isinstance(tree.value, ast.Name) or not _SYMBOL.fullmatch(symbol):
            raise self._error(tree, f"{symbol} is no symbol: another symbol's feature is written as BTCUSDT.close_1d")
        return Name(f"{symbol}.{tree.attr}", 0, self._column(tree))

    def _offset(self, tree: ast.Subscript, depth: int) -> Node:
        if not isinstance(tree.value, ast.Name | ast.Attribute | ast.Call):
            raise self._error(tree, "only a name or a function can have an offset in brackets")
        offset = tree.slice.value if isinstance(tree.slice, ast.Constant) else None
        if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset <= OFFSET_MAX:
            raise self._error(tree.slice, f"an offset is a whole number of candles back, from 0 to {OFFSET_MAX}")
        return shifted(self.node(tree.value, depth + 1), offset)

    def _comparison(self, tree: ast.Compare, depth: int) -> Node:
        sides = [tree.left, *tree.comparators]
        nodes = [self.node(side, depth + 1) for side in sides]
        parts: list[Node] = []
        for index, sign in enumerate(tree.ops):
            operator = _COMPARISONS.get(type(sign))
            left, right = sides[index], sides[index + 1]
            if operator is None:
                raise self._error(left, "only < <= > >= compare: equality of measured numbers is chance")
            text = f"{self._slice(left)} {operator} {self._slice(right)}"
            parts.append(Comparison(operator, nodes[index], nodes[index + 1], text, self._column(left)))
        return parts[0] if len(parts) == 1 else And(tuple(parts), self._column(tree))

    def _call(self, tree: ast.Call, depth: int) -> Call:
        name = tree.func.id if isinstance(tree.func, ast.Name) else ""
        if name not in FUNCTIONS:
            near = get_close_matches(name, FUNCTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"only {', '.join(FUNCTIONS)} can be called"
            raise self._error(tree, f"no function is called {name}; {hint}" if name else hint)
        form, least, most = FUNCTIONS[name]
        if tree.keywords or not least <= len(tree.args) <= most:
            raise self._error(tree, f"{name} is written as {form}")
        return Call(name, tuple(self.node(argument, depth + 1) for argument in tree.args), self._column(tree))

    def _column(self, tree: ast.expr) -> int:
        return tree.col_offset + self.lead

    def _slice(self, tree: ast.expr) -> str:
        end = tree.end_col_offset if tree.end_col_offset is not None else len(self.text)
        return " ".join(self.text[self._column(tree) : end + self.lead].split())

    def _error(self, tree: ast.expr, message: str) -> ExpressionError:
        return ExpressionError(message, self._column(tree))
