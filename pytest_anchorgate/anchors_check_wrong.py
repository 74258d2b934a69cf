"""Programs that every anchor must turn down: ones that solve nothing, and the anchor's own helpers."""

from __future__ import annotations

import ast
import builtins

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.anchors_check_lint import quiet_parse, test_units

__all__ = ["borrowed_solutions", "problems_of_setup", "wrong_solutions"]

_ALWAYS_EQUAL = """
class AlwaysEqual:
    __hash__ = None
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __len__(self): return 1
    def __iter__(self): return iter(())
"""
_FIXED = {
    "None": "None",
    "its first argument": "given[0]",
    "0": "0",
    "1": "1",
    "True": "True",
    "False": "False",
    "an empty list": "[]",
    "an empty text": "''",
}
_TABLE = """
_TABLE = [{rows}]

def {name}(*given):
    for arguments, answer in _TABLE:
        try:
            if arguments() == given:
                return answer()
        except Exception:
            pass
    return _TABLE[0][1]()
"""
_TELLING_TEXT = 4
_TELLING_INT = 1000


def wrong_solutions(anchor: Anchor) -> dict[str, str]:
    """What each wrong program answers -> its source.

    The table of all listed tests is only there for anchors with extra inputs: without them it is right.
    """
    name = anchor.entry_point
    wrong = {what: f"def {name}(*given):\n    return {answer}\n" for what, answer in _FIXED.items()}
    wrong["an object equal to everything"] = (
        f"{_ALWAYS_EQUAL}\ndef {name}(*given):\n    return AlwaysEqual()\n"
    )
    examples = _examples(anchor)
    if examples:
        answer = examples[0][1]
        wrong["the answer to its first test"] = f"def {name}(*given):\n    return {answer}\n"
        if anchor.reference is not None:
            rows = ", ".join(f"(lambda: {given}, lambda: {answer})" for given, answer in examples)
            wrong["the answers to its tests from a table"] = _TABLE.format(rows=rows, name=name)
    return wrong


def _examples(anchor: Anchor) -> list[tuple[str, str]]:
    """The comparisons of the tests as (source of the argument tuple, source of the answer)."""
    found = []
    for _, tree, names in test_units(anchor):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
                found.extend(_example(node.test, names))
    return found


def _example(compared: ast.Compare, names: frozenset[str]) -> list[tuple[str, str]]:
    call, answer = compared.left, compared.comparators[-1]
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names):
        return []
    if len(compared.ops) != 1 or not isinstance(compared.ops[0], (ast.Eq, ast.Is)) or call.keywords:
        return []
    given = ast.Tuple(call.args, ast.Load())
    if any(part.id not in dir(builtins) for node in (given, answer) for part in _names(node)):
        return []  # a variable of the test's
    return [(ast.unparse(given), ast.unparse(answer))]


def _names(node: ast.expr) -> list[ast.Name]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Name)]


def borrowed_solutions(anchor: Anchor) -> dict[str, str]:
    """Helpers of setup and code_prompt, each taken for the answer: name -> a program that does so.

    Both sources run in the candidate's process, so a solution there is one that the model may call.
    """
    return {
        name: f"{anchor.entry_point} = {name}\n"
        for source in (anchor.setup, anchor.code_prompt)
        for name in _functions(source)
        if name != anchor.entry_point
    }


def _functions(source: str) -> list[str]:
    try:
        tree = quiet_parse(source)
    except SyntaxError:  # a prompt that ends in a bare `def ...:` line
        tree = quiet_parse(f"{source.rstrip()}\n    pass\n")
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def problems_of_setup(anchor: Anchor) -> list[str]:
    """What setup and code_prompt give away to the candidate, each as "where: what; how to fix"."""
    found = []
    answers = {ast.dump(node) for _, text in _examples(anchor) if _is_telling(node := _expression(text))}
    for label, source in (("setup", anchor.setup), ("code_prompt", anchor.code_prompt)):
        try:
            tree = quiet_parse(source)
        except SyntaxError:
            continue  # a bare `def ...:` line at the end: nothing but what the model is asked
        if any(ast.dump(node) in answers for node in ast.walk(tree) if isinstance(node, ast.expr)):
            found.append(
                f"{label} holds an expected value, and the candidate can read it; move it to the tests"
            )
        if any(_defines(node, anchor.entry_point) for node in tree.body):
            found.append(f"{label} defines {anchor.entry_point} itself; keep solutions in reference")
    return found


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _is_telling(node: ast.expr) -> bool:
    """Whether a value is so particular that finding it elsewhere is no accident."""
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, str):
            return len(value) >= _TELLING_TEXT
        return isinstance(value, (int, float)) and abs(value) >= _TELLING_INT
    return isinstance(node, (ast.List, ast.Tuple, ast.Dict, ast.Set)) and len(list(ast.walk(node))) > 3


def _defines(node: ast.stmt, name: str) -> bool:
    """Whether a statement defines the function with a body that does something."""
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    if not (isinstance(node, ast.FunctionDef) and node.name == name):
        return False
    idle = (ast.Pass, ast.Raise, ast.Import, ast.ImportFrom)
    return not all(
        isinstance(inner, idle) or (isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant))
        for inner in node.body
    )
