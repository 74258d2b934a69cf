"""What an assertion wanted, read from its source: where the call raised, nobody came to compare."""

from __future__ import annotations

import ast


def expected_by(test: str) -> str:
    """The value that `assert CALL == VALUE` asks for, in its own spelling; "" where that is not plain to see."""
    try:
        (statement,) = ast.parse(test).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # cut short, or not one statement
    if not isinstance(statement, ast.Assert):
        return ""
    wanted = statement.test
    if isinstance(wanted, ast.Compare):
        return _other_side(wanted)
    if isinstance(wanted, ast.Call):
        return "a true value"
    if (
        isinstance(wanted, ast.UnaryOp)
        and isinstance(wanted.op, ast.Not)
        and isinstance(wanted.operand, ast.Call)
    ):
        return "a false value"
    return ""


def _other_side(compared: ast.Compare) -> str:
    """The side of an equality that calls nothing, if the other side calls something."""
    if len(compared.ops) != 1 or not isinstance(compared.ops[0], (ast.Eq, ast.Is)):
        return ""
    sides = (compared.left, compared.comparators[0])
    plain = [side for side in sides if not any(isinstance(node, ast.Call) for node in ast.walk(side))]
    return ast.unparse(plain[0]) if len(plain) == 1 else ""
