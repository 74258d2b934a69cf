"""Whether a test can come to its end without having asserted anything about the function under test."""

from __future__ import annotations

import ast
from collections.abc import Sequence

__all__ = ["always_asserts", "mentions", "subjects"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def mentions(node: ast.AST, names: frozenset[str]) -> bool:
    """Whether any of the names occurs in `node`."""
    return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))


def subjects(tree: ast.AST, names: frozenset[str]) -> frozenset[str]:
    """The names that stand for the function under test or for something that came out of it."""
    found = names
    while True:
        more = {name for node in ast.walk(tree) for name in _bound_from(node, found)} | found
        if more == found:
            return found
        found = frozenset(more)


def _bound_from(node: ast.AST, names: frozenset[str]) -> set[str]:
    """The names that `node` binds to something made with one of `names`."""
    target: Sequence[ast.AST]
    if isinstance(node, ast.Assign):
        target, value = node.targets, node.value
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value is not None:
        target, value = [node.target], node.value
    elif isinstance(node, (ast.For, ast.comprehension)):
        target, value = [node.target], node.iter
    elif isinstance(node, ast.FunctionDef) and any(mentions(inner, names) for inner in node.body):
        return {node.name}
    else:
        return set()
    if not mentions(value, names):
        return set()
    return {part.id for each in target for part in ast.walk(each) if isinstance(part, ast.Name)}


def always_asserts(body: Sequence[ast.stmt], about: frozenset[str]) -> bool:
    """Whether every way through `body` that raises nothing meets an assert about one of the names."""
    helpers: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef):
            if always_asserts(statement.body, about):
                helpers.add(statement.name)
        elif _asserts(statement, about, helpers):
            return True
        elif _may_leave(statement):
            return False
    return False


def _asserts(node: ast.stmt, about: frozenset[str], helpers: set[str]) -> bool:
    if isinstance(node, ast.Assert):
        return mentions(node.test, about)
    if isinstance(node, ast.Raise):
        return True  # nothing passes here
    if isinstance(node, ast.Expr):
        call = node.value
        return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in helpers
    if isinstance(node, ast.If):
        return all(always_asserts(branch, about) for branch in (node.body, node.orelse))
    if isinstance(node, ast.For):
        return _runs_at_least_once(node.iter) and always_asserts(node.body, about)
    if isinstance(node, ast.With):
        return not any(_suppresses(item) for item in node.items) and always_asserts(node.body, about)
    return isinstance(node, ast.Try) and _try_asserts(node, about)


def _suppresses(item: ast.withitem) -> bool:
    names = {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(item.context_expr)}
    return bool(names & {"suppress", "raises", "assertRaises"})


def _try_asserts(node: ast.Try, about: frozenset[str]) -> bool:
    """A handler takes over at any point of the body, so each of them has to assert as well."""
    if always_asserts(node.finalbody, about):
        return True
    whole = always_asserts([*node.body, *node.orelse], about)
    return whole and all(always_asserts(handler.body, about) for handler in node.handlers)


def _runs_at_least_once(iterable: ast.expr) -> bool:
    if isinstance(iterable, (ast.List, ast.Tuple, ast.Set)):
        return any(not isinstance(item, ast.Starred) for item in iterable.elts)
    if isinstance(iterable, ast.Dict):
        return bool(iterable.keys) and all(key is not None for key in iterable.keys)
    if isinstance(iterable, ast.Constant):
        return isinstance(iterable.value, (str, bytes)) and bool(iterable.value)
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name):
        if iterable.func.id in ("enumerate", "sorted", "reversed") and iterable.args:
            return _runs_at_least_once(iterable.args[0])
        if iterable.func.id == "zip" and iterable.args:
            return all(map(_runs_at_least_once, iterable.args))
        if iterable.func.id == "range":
            return _is_filled_range(iterable.args)
    return False


def _is_filled_range(arguments: list[ast.expr]) -> bool:
    try:
        return len(range(*(ast.literal_eval(argument) for argument in arguments))) > 0
    except (ValueError, TypeError):
        return False


def _may_leave(node: ast.AST, in_loop: bool = False) -> bool:
    """Whether the statement can end the body that it stands in before what follows it."""
    if isinstance(node, (ast.Break, ast.Continue)):
        return not in_loop
    if isinstance(node, ast.Return):
        return True
    in_loop = in_loop or isinstance(node, (ast.For, ast.While))
    inner = (child for child in ast.iter_child_nodes(node) if not isinstance(child, _SCOPES))
    return any(_may_leave(child, in_loop) for child in inner)
