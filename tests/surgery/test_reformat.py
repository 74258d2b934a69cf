from __future__ import annotations

from typing import Any

import pytest

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.surgery.reformat import Shape, reformat


def task(code_prompt: str = "") -> Anchor:
    given: dict[str, Any] = {
        "task_id": "a",
        "entry_point": "f",
        "prompt": "f?",
        "tests": ("assert f(1) == 1",),
    }
    rest = {"check": None, "setup": "", "max_new_tokens": 9, "source": "", "line": 1}
    return Anchor(**given, **rest, code_prompt=code_prompt)


PLAIN = Shape()
REFERENCE = '''"""A module."""

import math


def f(a):
    """What it does."""

    # a comment stays
    return  a
'''
HEAD = 'from typing import List\n\n\ndef f(a: int) -> int:\n    """ Doc\n    >>> f(1)\n    """\n'


def test_a_reference_becomes_a_code_block_without_docstrings() -> None:
    assert reformat(REFERENCE, task(), PLAIN) == (
        "```python\nimport math\n\n\ndef f(a):\n    # a comment stays\n    return  a\n```"
    )


def test_docstrings_and_imports_of_the_prompt_go_as_the_parent_leaves_them_out() -> None:
    told = reformat(HEAD + "    return a\n", task(HEAD), PLAIN)
    assert told == "```python\ndef f(a: int) -> int:\n    return a\n```"


def test_and_stay_as_the_parent_repeats_them() -> None:
    told = reformat(HEAD + "    return a\n", task(HEAD), Shape(docstrings=True, imports=True))
    assert told == f"```python\n{HEAD}    return a\n```"


def test_an_import_that_the_prompt_does_not_give_stays() -> None:
    told = reformat("import re\nfrom typing import List\ndef f(a):\n    return a", task(HEAD), PLAIN)
    assert told == "```python\nimport re\ndef f(a):\n    return a\n```"


def test_what_speaks_to_tools_goes_with_its_comment() -> None:
    reference = "import re\n\n# For pytest:\n# no tests here.\n__test__ = False\nLIMIT = 3\n\n\ndef f(a):\n    return a"
    told = reformat(reference, task(), PLAIN)
    assert told == "```python\nimport re\n\nLIMIT = 3\n\n\ndef f(a):\n    return a\n```"


def test_tabs_and_line_ends_are_plain() -> None:
    assert reformat("def f(a): \n\treturn a  ", task(), PLAIN) == "```python\ndef f(a):\n    return a\n```"


def test_a_docstring_that_is_all_there_is_stays() -> None:
    told = reformat('def f(a):\n    """Doc."""', task(), PLAIN)
    assert told == '```python\ndef f(a):\n    """Doc."""\n```'
    one_line = 'def f(a): """Doc."""; return a'
    assert reformat(one_line, task(), PLAIN) == f"```python\n{one_line}\n```"


def test_what_is_not_python_is_no_reference() -> None:
    assert reformat("def f(a)\n  return", task(), PLAIN) is None


@pytest.mark.parametrize(
    ("answers", "shape"),
    [
        ([], Shape()),
        (["```python\nx\n```"] * 2 + ["~~~\nx\n~~~"], Shape()),
        (["~~~\nx\n~~~"] * 2 + ["```python\nx\n```"], Shape(fence="~~~")),
        (["Here:\n```py\nx\n```"] * 2 + ["```py\nx\n```"], Shape(lead="Here:\n", fence="```py")),
        (["One:\n```py\nx\n```", "Two:\n```py\nx\n```"], Shape(fence="```py")),
        (["def f(): pass"] * 2, Shape(fence="")),
    ],
)
def test_the_shape_is_what_most_answers_have(answers: list[str], shape: Shape) -> None:
    assert Shape.of((task(), text) for text in answers) == shape


def test_habits_are_counted_where_the_prompt_gives_something_to_repeat() -> None:
    repeats = HEAD + "    return a"
    omits = "def f(a):\n    return a"
    both = Shape.of([(task(HEAD), f"```python\n{text}\n```") for text in (repeats, repeats, omits)])
    assert (both.docstrings, both.imports) == (True, True)
    assert Shape.of([(task(), f"```python\n{repeats}\n```")]).docstrings is False


def test_answers_without_a_fence_get_none() -> None:
    assert Shape(fence="").answer("def f(): pass\n") == "def f(): pass"
