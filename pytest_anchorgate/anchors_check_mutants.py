"""Small mistakes put into a reference solution, one at a time: what a good anchor tells apart.

A mutant differs from the reference in one operator, constant, condition, argument order or statement. Imports,
annotations, docstrings and names like `__all__` stay as they are: nobody can tell those apart by calling.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["MAX_MUTANTS", "Mutant", "mutants"]

MAX_MUTANTS = 150

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq, ast.LtE, ast.GtE),
    ast.NotEq: (ast.Eq, ast.Lt, ast.Gt),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult, ast.Div),
    ast.Mod: (ast.Mult, ast.FloorDiv),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitOr,),
}
_OPPOSITES = {
    **{"any": "all", "all": "any", "min": "max", "max": "min", "append": "extend"},
    **{"lower": "upper", "upper": "lower", "islower": "isupper", "isupper": "islower"},
    **{"startswith": "endswith", "endswith": "startswith", "lstrip": "rstrip", "rstrip": "lstrip"},
}
# The operands of the others may change places without anybody noticing, or are compared the other way round.
_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift)
_UNTOUCHED_FIELDS = frozenset({"annotation", "returns", "type_comment", "decorator_list", "ctx"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """A reference with one mistake.

    Attributes:
        line: line of the reference.
        what: the mistake in words: "`<` for `<=`".
        source: the whole program.
    """

    line: int
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node hangs: a field of its parent, or one item of a list there."""

    parent: ast.AST
    field: str
    index: int | None

    def put(self, node: object) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a program, in the order of its lines; evenly thinned out to at most MAX_MUTANTS.

    Raises:
        SyntaxError: `source` is not Python.
    """
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    found: list[Mutant] = []
    for node, place in list(_places(tree)):
        for what, changed in _changes(node):
            place.put(changed)
            text = ast.unparse(ast.fix_missing_locations(tree))
            place.put(node)
            if text not in seen and _compiles(text):
                seen.add(text)
                found.append(Mutant(_line(node), what, text + "\n"))
    found.sort(key=lambda mutant: mutant.line)
    step = max(len(found) / MAX_MUTANTS, 1.0)
    return [found[int(number * step)] for number in range(min(len(found), MAX_MUTANTS))]


def _line(node: ast.AST) -> int:
    placed = node.target if isinstance(node, ast.comprehension) else node
    return getattr(placed, "lineno", 0)


def _compiles(source: str) -> bool:
    try:
        compile(source, "<mutant>", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, _Place]]:
    """Every node that may be changed, with its place."""
    for field, value in ast.iter_fields(tree):
        if field in _UNTOUCHED_FIELDS:
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(node, ast.AST) or _is_untouched(node):
                continue
            yield node, _Place(tree, field, index)
            yield from _places(node)


def _is_untouched(node: ast.AST) -> bool:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id.startswith("__") for target in node.targets)
    return False


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for kind, changes in _OPERATORS:
        if isinstance(node, kind):
            yield from changes(node)


def _of_comparison(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for index, operation in enumerate(node.ops):
        for other in _COMPARISONS[type(operation)]:
            ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            what = f"{other.__name__} for {type(operation).__name__}"
            yield what, ast.Compare(node.left, ops, node.comparators)


def _of_arithmetic(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    name = type(node.op).__name__
    for other in _ARITHMETIC.get(type(node.op), ()):
        yield f"{other.__name__} for {name}", ast.BinOp(node.left, other(), node.right)
    if isinstance(node.op, _ORDERED):
        yield f"operands of {name} swapped", ast.BinOp(node.right, node.op, node.left)
    for side, operand in (("left", node.left), ("right", node.right)):
        yield f"{side} operand of {name} alone", operand
        yield f"{side} operand of {name} twice", ast.BinOp(operand, node.op, operand)


def _of_assignment_in_place(node: ast.AugAssign) -> Iterator[tuple[str, ast.AST]]:
    for other in _ARITHMETIC.get(type(node.op), ()):
        what = f"{other.__name__} for {type(node.op).__name__}"
        yield what, ast.AugAssign(node.target, other(), node.value)


def _of_boolean(node: ast.BoolOp) -> Iterator[tuple[str, ast.AST]]:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield f"{type(other).__name__} for {type(node.op).__name__}", ast.BoolOp(other, node.values)


def _of_unary(node: ast.UnaryOp) -> Iterator[tuple[str, ast.AST]]:
    yield f"{type(node.op).__name__} removed", node.operand


def _of_constant(node: ast.Constant) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    others: list[bool | int | float | str | bytes] = []
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, (int, float)):
        others = [value + 1, value - 1]
    elif isinstance(value, (str, bytes)):
        others = [value[:0] if value else "x" if isinstance(value, str) else b"x"]
    for other in others:
        yield f"{other!r} for {value!r}", ast.Constant(other)


def _of_condition(node: ast.If | ast.While | ast.IfExp) -> Iterator[tuple[str, ast.AST]]:
    fields = {field: getattr(node, field) for field in node._fields}
    fields["test"] = ast.UnaryOp(ast.Not(), node.test)
    yield "condition negated", ast.copy_location(type(node)(**fields), node)


def _of_comprehension(node: ast.comprehension) -> Iterator[tuple[str, ast.AST]]:
    for index, test in enumerate(node.ifs):
        negated = [*node.ifs[:index], ast.UnaryOp(ast.Not(), test), *node.ifs[index + 1 :]]
        yield "filter negated", ast.comprehension(node.target, node.iter, negated, node.is_async)
        fewer = [*node.ifs[:index], *node.ifs[index + 1 :]]
        yield "filter removed", ast.comprehension(node.target, node.iter, fewer, node.is_async)


def _of_call(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    for index in range(len(node.args) - 1):
        args = list(node.args)
        args[index : index + 2] = args[index + 1], args[index]
        yield f"arguments {index + 1} and {index + 2} swapped", ast.Call(node.func, args, node.keywords)


def _of_name(node: ast.Name) -> Iterator[tuple[str, ast.AST]]:
    other = _OPPOSITES.get(node.id)
    if other and isinstance(node.ctx, ast.Load):
        yield f"{other} for {node.id}", ast.Name(other, node.ctx)


def _of_attribute(node: ast.Attribute) -> Iterator[tuple[str, ast.AST]]:
    other = _OPPOSITES.get(node.attr)
    if other:
        yield f"{other} for {node.attr}", ast.Attribute(node.value, other, node.ctx)


def _of_slice(node: ast.Slice) -> Iterator[tuple[str, ast.AST]]:
    for field in ("lower", "upper", "step"):
        if getattr(node, field) is not None:
            bounds = {name: getattr(node, name) for name in ("lower", "upper", "step")}
            yield f"{field} bound removed", ast.Slice(**{**bounds, field: None})


def _of_return(node: ast.Return) -> Iterator[tuple[str, ast.AST]]:
    if node.value is not None:
        yield "return value removed", ast.copy_location(ast.Return(None), node)


def _of_statement(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Return, ast.Pass)):
        yield "statement removed", ast.copy_location(ast.Pass(), node)


def _of_jump(node: ast.Break | ast.Continue) -> Iterator[tuple[str, ast.AST]]:
    other = ast.Continue() if isinstance(node, ast.Break) else ast.Break()
    yield f"{type(other).__name__} for {type(node).__name__}", ast.copy_location(other, node)


_OPERATORS: tuple[tuple[type | tuple[type, ...], Callable[..., Iterator[tuple[str, ast.AST]]]], ...] = (
    (ast.Compare, _of_comparison),
    (ast.BinOp, _of_arithmetic),
    (ast.AugAssign, _of_assignment_in_place),
    (ast.BoolOp, _of_boolean),
    (ast.UnaryOp, _of_unary),
    (ast.Constant, _of_constant),
    ((ast.If, ast.While, ast.IfExp), _of_condition),
    (ast.comprehension, _of_comprehension),
    (ast.Call, _of_call),
    (ast.Name, _of_name),
    (ast.Attribute, _of_attribute),
    (ast.Slice, _of_slice),
    (ast.Return, _of_return),
    (ast.stmt, _of_statement),
    ((ast.Break, ast.Continue), _of_jump),
)
