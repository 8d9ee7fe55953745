"""Writes an expression in its one spelling: two texts that mean the same tree come out alike."""

from __future__ import annotations

from rules.language.syntax import And, Arithmetic, Call, Comparison, Name, Negative, Node, Not, Number, Or


def written(node: Node) -> str:
    """The expression with a bracket around everything that has parts."""
    match node:
        case Number(value=value):
            return repr(value)
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
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(written, arguments))})"
        case And(operands=operands) | Or(operands=operands):
            word = " and " if isinstance(node, And) else " or "
            return f"({word.join(map(written, operands))})"
