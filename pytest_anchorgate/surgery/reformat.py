"""A reference solution in the shape of the parent's own answers: fence, docstring, imports, nothing else.

What differs from the parent's habits costs the most to learn and is worth the least, so a reference is told as the
parent would tell it. References are the user's own data and are parsed; what a model wrote is only searched.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_anchorgate.anchors import Anchor

_OPENING = re.compile(r"^(```|~~~)[^\n`]*$", re.MULTILINE)
_TRIPLE_QUOTE = re.compile(r"\"\"\"|'''")
_IMPORT = re.compile(r"^(?:import|from)[ \t]", re.MULTILINE)
_TAB = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """How a parent answers.

    Attributes:
        lead: text before the code block.
        fence: the line that opens it, or "" if it answers without a fence.
        docstrings: whether it repeats the docstring of a function that it completes.
        imports: whether it repeats the imports that the task gives.
    """

    lead: str = ""
    fence: str = "```python"
    docstrings: bool = False
    imports: bool = False

    @classmethod
    def of(cls, answers: Iterable[tuple[Anchor, str]]) -> Shape:
        """What most of the answers do; ties and no answers at all give the plain code block."""
        opened: Counter[tuple[str, str]] = Counter()
        docstrings, imports = [0, 0], [0, 0]
        for anchor, text in answers:
            if match := _OPENING.search(text):
                opened[(text[: match.start()], match[0].rstrip())] += 1
            else:
                opened[("", "")] += 1
            if _TRIPLE_QUOTE.search(anchor.code_prompt):
                docstrings[_TRIPLE_QUOTE.search(text) is not None] += 1
            if _IMPORT.search(anchor.code_prompt):
                imports[_IMPORT.search(text) is not None] += 1
        fences = Counter(fence for (_, fence), count in opened.items() for _ in range(count))
        fence = fences.most_common(1)[0][0] if fences else "```python"
        leads = Counter({lead: count for (lead, own), count in opened.items() if own == fence})
        # A lead is taken over only if it is a formula: prose about one task is wrong for every other.
        lead, count = leads.most_common(1)[0] if leads else ("", 0)
        return cls(
            lead=lead if 2 * count > sum(leads.values()) else "",
            fence=fence,
            docstrings=docstrings[1] > docstrings[0],
            imports=imports[1] > imports[0],
        )

    def answer(self, code: str) -> str:
        """The answer that holds this code."""
        if not self.fence:
            return self.lead + code.rstrip("\n")
        return f"{self.lead}{self.fence}\n{code.rstrip(chr(10))}\n{self.fence[:3]}"


def reformat(reference: str, anchor: Anchor, shape: Shape) -> str | None:
    """The reference of a task as an answer in the parent's shape; None if it is not Python.

    Args:
        reference: source that solves the task.
        anchor: the task; imports that its `code_prompt` gives may go.
        shape: of the parent's answers.
    """
    text = "\n".join(line.expandtabs(_TAB).rstrip() for line in reference.strip("\n").split("\n"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # official code holds escapes that newer Pythons warn about
            tree = ast.parse(text)
            given = ast.parse(anchor.code_prompt)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    drop = _docstring_lines(tree)
    if not (shape.docstrings and _TRIPLE_QUOTE.search(anchor.code_prompt)):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                drop |= _docstring_lines(node)
    if not shape.imports:
        provided = {ast.dump(node) for node in given.body if isinstance(node, ast.Import | ast.ImportFrom)}
        for node in tree.body:
            if ast.dump(node) in provided:
                drop |= _lines_of(node)
    drop |= _bookkeeping_lines(tree, text.split("\n"))
    kept = [line for number, line in enumerate(text.split("\n"), start=1) if number not in drop]
    return shape.answer(_at_most_two_blank_lines(kept))


def _docstring_lines(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[int]:
    """Lines of a docstring that stands on lines of its own and is not all there is."""
    if ast.get_docstring(node, clean=False) is None or len(node.body) == 1:
        return set()
    lines = _lines_of(node.body[0])
    others = {node.body[1].lineno, 0 if isinstance(node, ast.Module) else node.lineno}
    return set() if lines & others else lines


def _bookkeeping_lines(tree: ast.Module, lines: list[str]) -> set[int]:
    """Lines like `__test__ = False`, which speak to tools and not to the task, with the comment above them."""
    drop: set[int] = set()
    for node in tree.body:
        names = [target.id for target in getattr(node, "targets", ()) if isinstance(target, ast.Name)]
        if isinstance(node, ast.Assign) and names and all(name.startswith("__") for name in names):
            first = node.lineno
            while first > 1 and lines[first - 2].startswith("#"):
                first -= 1
            drop |= set(range(first, (node.end_lineno or node.lineno) + 1))
    return drop


def _lines_of(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _at_most_two_blank_lines(lines: list[str]) -> str:
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines).strip("\n"))
    # What stood between a header and its docstring would now stand between the header and the code.
    return re.sub(r"(:\n)\n+(?=[ \t])", r"\1", text)
