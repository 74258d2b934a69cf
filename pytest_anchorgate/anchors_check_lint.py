"""What can be seen in the text of an anchor's tests without running anything: ways to pass that prove nothing."""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterator

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.anchors_check_paths import always_asserts, mentions, subjects

__all__ = ["problems_of_tests", "quiet_parse", "test_units"]

_SWALLOWS_ALL = frozenset({"BaseException"})
_SWALLOWS_ASSERTS = frozenset({"AssertionError", "Exception"})
_ORDERINGS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ALWAYS_THERE = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}


def quiet_parse(source: str) -> ast.Module:
    """Parse what the loader has parsed before, without its warnings about odd escapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def test_units(anchor: Anchor) -> Iterator[tuple[str, ast.Module, frozenset[str]]]:
    """Every test source: its label, its tree, and the names that the function under test has in it."""
    if anchor.check is None:
        for number, test in enumerate(anchor.tests, 1):
            yield f"test {number}", quiet_parse(test), frozenset({anchor.entry_point})
        return
    tree = quiet_parse(anchor.check)
    arguments = _check_function(tree).args
    names = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args]][:1]
    yield "check", tree, frozenset({anchor.entry_point, *names})


def _check_function(tree: ast.Module) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check")


def problems_of_tests(anchor: Anchor) -> list[str]:
    """What is wrong with the tests, each as "where: what; how to fix"."""
    found: list[str] = []
    units = list(test_units(anchor))
    for label, tree, names in units:
        about = subjects(tree, names)
        body = tree.body if anchor.check is None else _check_function(tree).body
        if not always_asserts(body, about):
            found.append(
                f"{label} can end without an assert about {anchor.entry_point}; "
                "assert on every path, outside of conditions and of loops that may be empty"
            )
        for problem in (*_swallowed(tree), *_vacuous(tree, about), *_negated_orderings(tree, about)):
            found.append(f"{label} {problem}")
        found.extend(f"{label} {problem}" for problem in _own_oracle(tree, about))
    unknown = _unknown_names(anchor, [tree for _, tree, _ in units])
    if unknown:
        found.append(
            f"the tests use {', '.join(unknown)}, which nothing of the anchor defines; "
            "define it in setup, or leave it out"
        )
    return list(dict.fromkeys(found))


def _swallowed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Try):
            continue
        caught = {name for handler in node.handlers for name in _caught(handler)}
        asserts = any(isinstance(inner, ast.Assert) for part in node.body for inner in ast.walk(part))
        if caught & _SWALLOWS_ALL or any(handler.type is None for handler in node.handlers):
            yield "has a bare except; name the exceptions that may come"
        elif asserts and caught & _SWALLOWS_ASSERTS:
            yield "catches what its own assert raises; assert after the try statement"


def _caught(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return set()
    return {part.id for part in ast.walk(handler.type) if isinstance(part, ast.Name)}


def _vacuous(tree: ast.AST, about: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert):
            continue
        if isinstance(node.test, ast.Tuple) and node.test.elts:
            yield "asserts a tuple, which is always true; drop the parentheses"
        elif (
            isinstance(node.test, ast.BoolOp)
            and isinstance(node.test.op, ast.Or)
            and not all(mentions(part, about) for part in node.test.values)
        ):
            yield "asserts an `or` of which one side does not depend on the answer; assert one thing"


def _negated_orderings(tree: ast.AST, about: frozenset[str]) -> Iterator[str]:
    """`not (a > b)` holds for nan, `a <= b` does not."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            continue
        compared = [part for part in ast.walk(node.operand) if isinstance(part, ast.Compare)]
        if any(isinstance(op, _ORDERINGS) for part in compared for op in part.ops) and mentions(node, about):
            yield "negates an ordering, which holds for nan; turn the comparison round instead"


def _own_oracle(tree: ast.AST, about: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if sum(mentions(side, about) for side in sides) > 1:
            yield "compares the function with itself; write down what is expected"


def _unknown_names(anchor: Anchor, trees: list[ast.Module]) -> list[str]:
    sources = [quiet_parse(anchor.setup), quiet_parse(_completed(anchor.code_prompt)), *trees]
    bound = {name for tree in sources for node in ast.walk(tree) for name in _binds(node)}
    used = {
        node.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return sorted(used - bound - _ALWAYS_THERE - {anchor.entry_point})


def _completed(prompt: str) -> str:
    try:
        quiet_parse(prompt)
    except SyntaxError:
        return f"{prompt.rstrip()}\n    pass\n"
    return prompt


def _binds(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Store) else []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.ExceptHandler):
        return [node.name] if node.name else []
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    return []
