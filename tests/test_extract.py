"""`extract`: literal answers in, literal source out, and what must hold for any text at all."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_anchorgate.extract import extract

SOLUTION = "def side(a):\n    return 4 * a\n"

CASES: dict[str, tuple[str, str]] = {
    "python fence": (f"Sure!\n\n```python\n{SOLUTION}```\nIt multiplies.", SOLUTION),
    "py fence": (f"```py\n{SOLUTION}```", SOLUTION),
    "bare fence": (f"```\n{SOLUTION}```\n", SOLUTION),
    "tilde fence": (f"~~~python\n{SOLUTION}~~~\n", SOLUTION),
    "long fence holds a short one": (f"````python\n{SOLUTION}```\n````\n", SOLUTION + "```\n"),
    "a fence closes with its own character": (f"```python\n{SOLUTION}~~~\n```\n", SOLUTION + "~~~\n"),
    "language with attributes": (f"```{{.python .numberLines}}\n{SOLUTION}```\n", SOLUTION),
    "crlf": (f"Here:\n```python\n{SOLUTION}```\n".replace("\n", "\r\n"), SOLUTION),
    "cut off by the token limit": (
        "```python\ndef side(a):\n    return 4 *",
        "def side(a):\n    return 4 *\n",
    ),
    "fence in a list": (
        "1. Like this:\n\n   ```python\n   def side(a):\n       return 4 * a\n   ```\n",
        SOLUTION,
    ),
    "indented by a tab": (
        "\t```python\n\tdef side(a):\n\t\treturn 4 * a\n\t```\n",
        "def side(a):\n\treturn 4 * a\n",
    ),
    "block deeper than its fence": ("```\n    def side(a):\n        return 4 * a\n```", SOLUTION),
    "text deeper than its fence, unfenced": ("    def side(a):\n        return 4 * a\n", SOLUTION),
    "usage in a block before": (f"```python\nprint(side(3))\n```\n\n```python\n{SOLUTION}```\n", SOLUTION),
    "helper before, function after": (
        f"```python\ndef helper():\n    pass\n```\n```\n{SOLUTION}```",
        SOLUTION,
    ),
    "first of two definitions": (
        f"```python\n{SOLUTION}```\nor\n```python\ndef side(a):\n    return a * 4\n```",
        SOLUTION,
    ),
    "a longer name is another function": (
        f"```\ndef side_of(a):\n    return a\n```\n```\n{SOLUTION}```",
        SOLUTION,
    ),
    "a call is no definition": (f"```\nside (3)\nside == 3\n```\n```\n{SOLUTION}```", SOLUTION),
    "a method is no definition": (
        f"```\nclass A:\n    def side(self, a):\n        pass\n```\n```\n{SOLUTION}```",
        SOLUTION,
    ),
    "no block defines it: first with a function": (
        "```\nx = 1\n```\n```\ndef other(a):\n    return a\n```",
        "def other(a):\n    return a\n",
    ),
    "no function at all: first block": ("Text\n```\nx = 1\n```\n```\ny = 2\n```", "x = 1\n"),
    "empty block first": (f"```\n```\n```python\n{SOLUTION}```", SOLUTION),
    "lambda": ("```python\nside = lambda a: 4 * a\n```", "side = lambda a: 4 * a\n"),
    "lambda, unfenced": ("Answer:\nside = lambda a: 4 * a\nDone.", "side = lambda a: 4 * a\n"),
    "async": ("```\nasync def side(a):\n    return 4 * a\n```", "async def side(a):\n    return 4 * a\n"),
    "type parameters": (
        "```\ndef side[T](a: T) -> T:\n    return a\n```",
        "def side[T](a: T) -> T:\n    return a\n",
    ),
    "guard and usage stay": (
        f"```python\nimport math\n\n{SOLUTION}\nif __name__ == '__main__':\n    print(side(3))\n```",
        f"import math\n\n{SOLUTION}\nif __name__ == '__main__':\n    print(side(3))\n",
    ),
    "unfenced, prose around": (
        f"Sure, here it is.\n\nfrom math import pi\n\n{SOLUTION}\nThis multiplies by 4.\n",
        f"from math import pi\n\n{SOLUTION}",
    ),
    "unfenced, decorated": (
        "import functools\n@functools.cache\n" + SOLUTION + "Explanation: a = side",
        "import functools\n@functools.cache\n" + SOLUTION,
    ),
    "unfenced, calls stay and sentences go": (
        SOLUTION + "print(side(3))  # 12\nassert side(1) == 4\nside(3) returns 12\n",
        SOLUTION + "print(side(3))  # 12\nassert side(1) == 4\n",
    ),
    "unfenced, several lines of a list": (
        "import re\nNAMES = [\n    1,\n]\nfirst, second = NAMES, 2\n" + SOLUTION,
        "import re\nNAMES = [\n    1,\n]\nfirst, second = NAMES, 2\n" + SOLUTION,
    ),
    "unfenced, docstring at the margin": (
        'def side(a):\n    """Give\nthe perimeter.\n    """\n    return 4 * a\nThe end.',
        'def side(a):\n    """Give\nthe perimeter.\n    """\n    return 4 * a\n',
    ),
    "unfenced, prose between import and function": (f"import math\nThen:\n{SOLUTION}", SOLUTION),
    "unfenced function before a fenced call": (f"{SOLUTION}\n```\nside(3)\n```\n", SOLUTION),
    "sentences that begin like code": (
        f"from the side we get\nimport of the idea\nclass of problems\ndefine it:\n{SOLUTION}",
        SOLUTION,
    ),
    "body only": ("    return 4 * a\n", "    return 4 * a\n"),
    "body only with an import": (
        "    import math\n    return 4 * a\n\n",
        "    import math\n    return 4 * a\n",
    ),
    "body only in a fence": ("```python\n    b = 4\n    return b * a\n```", "    b = 4\n    return b * a\n"),
    "prose only": ("I cannot help with that.", ""),
    "nothing": ("", ""),
    "blank": (" \n\t\n\n", ""),
    "fence only": ("```python", ""),
    "inline code is no fence": ("```side(a)``` is 4 * a", ""),
    "NUL and lone surrogate stay": (
        "```\ndef side(a):\n    return '\x00\udcff'\n```",
        "def side(a):\n    return '\x00\udcff'\n",
    ),
}


@pytest.mark.parametrize(("text", "source"), CASES.values(), ids=CASES.keys())
def test_extracts(text: str, source: str) -> None:
    assert extract(text, "side") == source


def test_a_body_belongs_behind_the_prompt_that_asked_for_it() -> None:
    prompt = 'def side(a):\n    """Perimeter."""\n'
    namespace: dict[str, Any] = {}
    exec(prompt + extract("    b = 4\n    return b * a\n", "side"), namespace)
    assert namespace["side"](3) == 12


def test_extracting_twice_changes_nothing() -> None:
    for text, source in CASES.values():
        if "def side" in source and "```" not in source and "~~~" not in source:
            assert extract(source, "side") == source, text


PIECES = st.sampled_from(
    [
        "```",
        "```python\n",
        "~~~",
        "\n",
        "\r\n",
        "\r",
        "    ",
        "\t",
        "def side(a):",
        "    return a",
        "side = 3",
        '"""',
        "'''",
        "import math",
        "from x import y",
        "@",
        "class A:",
        "Prose.",
        "# c",
        "`",
        "\x0c",
        "\u2028",
        "\x00",
    ]
)
TEXTS = st.one_of(st.text(st.characters(codec=None)), st.lists(PIECES, max_size=40).map("".join))


@given(TEXTS, st.one_of(st.just("side"), st.text(max_size=5)))
def test_any_text_gives_a_part_of_itself(text: str, entry_point: str) -> None:
    source = extract(text, entry_point)
    given_lines = text.replace("\r\n", "\n").split("\n")
    if not source:
        return
    assert source.endswith("\n")
    taken = source[:-1].split("\n")
    assert any(
        all(
            given.endswith(line) and not given.removesuffix(line).strip()
            for given, line in zip(window, taken, strict=True)
        )
        for window in (given_lines[at : at + len(taken)] for at in range(len(given_lines) - len(taken) + 1))
    )


HOSTILE = {
    "spaces": " ",
    "tabs and backticks": "\t`",
    "open strings": '"""',
    "mixed quotes": "\"\"\"'''",
    "fences": "```\n",
    "nested fences": "```\n~~~\n",
    "definitions": "def ",
    "names": "a, ",
    "assignment without end": "a = ",
    "import words": "import a ",
    "calls": "f(",
    "closers": ") ",
    "keyword": "for ",
    "stretches": "import a\nProse.\n",
    "bodies": "    a\n",
    "equals": "a=",
    "colons": "side:",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("head", ["", "def side(a):\n", "import a\nx"])
def test_a_megabyte_of_anything_comes_back(piece: str, head: str) -> None:
    """Anything worse than linear takes minutes to hours here: it fails the run, not a clock."""
    source = extract(head + piece * (1_000_000 // len(piece)), "side")
    assert len(source) <= 1_000_100


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_steps_grow_no_faster_than_the_text(piece: str) -> None:
    def steps(text: str) -> int:
        taken = 0

        def count(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal taken
            taken += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            extract(text, "side")
        finally:
            sys.settrace(before)
        return taken

    small, large = steps("import a\n" + piece * 200), steps("import a\n" + piece * 800)
    assert large <= 4 * small + 40
