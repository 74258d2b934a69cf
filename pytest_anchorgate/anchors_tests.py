"""Whether the sources of an anchor are what they must be, and whether its tests can fail at all.

A test without an assert, or one that never mentions the function, passes for every completion. Both are
refused when the set is loaded. Each function returns what is wrong and how to fix it, or "".
"""

from __future__ import annotations

import ast
import warnings

__all__ = [
    "problem_of_check",
    "problem_of_inputs",
    "problem_of_reference",
    "problem_of_source",
    "problem_of_test",
]


def problem_of_source(source: str) -> str:
    """Say why `source` cannot be Python."""
    parsed = _parsed(source)
    return parsed if isinstance(parsed, str) else ""


def problem_of_test(test: str, entry_point: str) -> str:
    """Say why `test` is not one or more statements of which some assert something of `entry_point`."""
    tree = _parsed(test)
    if isinstance(tree, str):
        return tree
    if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        return "asserts nothing; write it as an assert statement"
    if not any(isinstance(node, ast.Name) and node.id == entry_point for node in ast.walk(tree)):
        return f"never uses {entry_point}; call the entry point in it"
    return ""


def problem_of_check(check: str) -> str:
    """Say why `check` does not define `check(candidate)` with an assert in it."""
    tree = _parsed(check)
    if isinstance(tree, str):
        return tree
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            if any(isinstance(inner, ast.Assert) for inner in ast.walk(node)):
                return ""
            return "asserts nothing; put an assert statement in check(candidate)"
    return "does not define check; write def check(candidate): ..."


def problem_of_reference(reference: str, entry_point: str) -> str:
    """Say why `reference` does not define the function that the tests call."""
    tree = _parsed(reference)
    if isinstance(tree, str):
        return tree
    if any(entry_point in _names_bound(statement) for statement in tree.body):
        return ""
    return f"does not define {entry_point}; define the function that the tests call"


def problem_of_inputs(inputs: str) -> str:
    """Say why `inputs` is not a generator `inputs(random)` that draws from its argument alone."""
    tree = _parsed(inputs)
    if isinstance(tree, str):
        return tree
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = ", ".join(alias.name for alias in node.names)
            return f"imports {names}; draw from its argument alone, or verdicts differ from run to run"
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "inputs"]
    if not found:
        return "does not define inputs; write def inputs(random): ..."
    arguments = found[-1].args
    if len(arguments.posonlyargs + arguments.args) != 1 or arguments.vararg or arguments.kwonlyargs:
        return "defines inputs with other arguments; write def inputs(random): ..."
    if not any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(found[-1])):
        return "yields nothing; yield one tuple of arguments after the other"
    return ""


def _names_bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        return {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return set()


def _parsed(source: str) -> ast.Module | str:
    try:
        with warnings.catch_warnings():
            # Official tasks hold escapes such as "\d", which newer Pythons warn about.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        return f"is not Python: {error.msg} (its line {error.lineno}); correct it"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"is not Python: {type(error).__name__} while parsing; simplify it"
