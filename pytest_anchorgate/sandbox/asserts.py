"""Rewriting a test's own `assert` statements so that a failure can say what was got and what was expected.

Only the anchor's tests are parsed here, never the candidate's code. The values compared are the very ones
that the statement computes: nothing is evaluated twice.
"""

from __future__ import annotations

import ast
import operator

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

_COMPARE, _TRUTH = "__anchorgate_compare__", "__anchorgate_truth__"
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda left, right: left in right,
    "NotIn": lambda left, right: left not in right,
}


class Failure:
    """An assertion that did not hold.

    Attributes:
        source: Its source text.
        compared: Whether it was a comparison, so that `got` and `expected` are its two sides.
    """

    __slots__ = ("compared", "expected", "got", "source")

    def __init__(self, source: str, compared: bool, got: Any = None, expected: Any = None) -> None:
        self.source = source
        self.compared = compared
        self.got = got
        self.expected = expected


class Watch:
    """Compiles test sources and remembers the assertion that failed last."""

    def __init__(self, subjects: frozenset[str]) -> None:
        self._subjects = subjects
        # Where a text would be found: cutting out those of all statements costs more than running most tests.
        self._asserted: list[tuple[str, ast.AST]] = []
        self._statements: dict[str, tuple[str, list[ast.stmt]]] = {}
        self._bound: set[str] = set()
        self.failure: Failure | None = None
        self.helpers: dict[str, Callable[..., bool]] = {_COMPARE: self._compare, _TRUTH: self._truth}

    def compile(self, source: str, name: str) -> CodeType:
        """Compile a test source whose assertions report here. The namespace needs `helpers`."""
        tree = ast.parse(source, name)
        statements: list[ast.stmt] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                if isinstance(node.ctx, ast.Store):
                    self._bound.add(node.id)
            elif isinstance(node, ast.stmt) and not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                statements.append(node)
        self._statements[name] = source, statements
        rewritten = ast.fix_missing_locations(_Rewriter(source, self._asserted, self._subjects).visit(tree))
        return compile(rewritten, name, "exec", dont_inherit=True)

    def binds(self, name: str) -> bool:
        """Whether some test assigns `name`, perhaps on a path that was not taken."""
        return name in self._bound

    def statement(self, name: str, line: int) -> str:
        """Source of the smallest statement of `name` that covers `line`, or empty."""
        source, statements = self._statements.get(name, ("", []))
        ends = [(node, node.end_lineno or node.lineno) for node in statements]
        covering = [(end - node.lineno, node) for node, end in ends if node.lineno <= line <= end]
        if not covering:
            return ""
        smallest = min(size for size, _ in covering)
        return min(ast.get_source_segment(source, node) or "" for size, node in covering if size == smallest)

    def _source(self, index: int) -> str:
        source, node = self._asserted[index]
        return ast.get_source_segment(source, node) or "assert"

    def _compare(self, index: int, operation: str, swapped: bool, left: Any, right: Any) -> bool:
        self.failure = None
        held = bool(_OPERATORS[operation](left, right))
        if not held:
            got, expected = (right, left) if swapped else (left, right)
            self.failure = Failure(self._source(index), True, got, expected)
        return held

    def _truth(self, index: int, value: Any) -> bool:
        self.failure = None
        held = bool(value)
        if not held:
            self.failure = Failure(self._source(index), False)
        return held


class _Rewriter(ast.NodeTransformer):
    """`assert a == b` becomes `assert __anchorgate_compare__(index, "Eq", swapped, a, b)`.

    Other conditions are wrapped. Operands are evaluated in the order they had.
    """

    def __init__(self, source: str, asserted: list[tuple[str, ast.AST]], subjects: frozenset[str]) -> None:
        self._source = source
        self._asserted = asserted
        self._subjects = subjects

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Wrap the condition; its message, evaluated only on failure, stays."""
        self._asserted.append((self._source, node))
        index = ast.Constant(len(self._asserted) - 1)
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            swapped = self._mentions(test.comparators[0]) and not self._mentions(test.left)
            operation = ast.Constant(type(test.ops[0]).__name__)
            arguments = [index, operation, ast.Constant(swapped), test.left, test.comparators[0]]
            node.test = _call(_COMPARE, arguments, test)
        else:
            node.test = _call(_TRUTH, [index, test], test)
        return node

    def _mentions(self, node: ast.AST) -> bool:
        return any(isinstance(part, ast.Name) and part.id in self._subjects for part in ast.walk(node))


def _call(name: str, arguments: list[ast.expr], place: ast.AST) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), arguments, []), place)
