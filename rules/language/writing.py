"""Writes an expression in its one spelling: two texts that mean the same tree come out alike."""

from __future__ import annotations

from rules.language.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or

WHOLE_MAX = 1e15
"""Below it every whole number is a float of its own."""


def written(node: Node) -> str:
    """The expression with a bracket around everything that has parts."""
    match node:
        case Number(value=value):
            return str(int(value)) if value.is_integer() and abs(value) < WHOLE_MAX else repr(value)
        case Name():
            return node.key
        case Negative(operand=operand):
            return f"(-{written(operand)})"
        case Not(operand=operand):
            return f"(not {written(operand)})"
        case (
            Arithmetic(operator=operator, left=left, right=right)
            | Comparison(operator=operator, left=left, right=right)
        ):
            return f"({written(left)} {operator} {written(right)})"
        case Call(function=function, arguments=arguments, offset=offset):
            inside = ", ".join(_bare(written(argument)) for argument in arguments)
            return f"{function}({inside})" + (f"[{offset}]" if offset else "")
        case And(operands=operands) | Or(operands=operands):
            word = " and " if isinstance(node, And) else " or "
            return f"({word.join(map(written, operands))})"


def _bare(text: str) -> str:
    """Without the bracket around it all, which the call's own replaces. Names and calls have none."""
    return text[1:-1] if text.startswith("(") else text
