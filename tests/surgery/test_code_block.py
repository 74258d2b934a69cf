from __future__ import annotations

import pytest
from organs import markov_pack, tag

from pytest_anchorgate.runtime import Organ
from pytest_anchorgate.surgery.code_block import CodeBlockWatcher

TEXTS = [
    "```python\ndef f():\n    return 1\n```",
    "```python\ndef f():\n    return 1\n``` and more",
    "Sure:\n~~~\nasync def f(): pass\n~~~\nBye",
    "```\nimport os\n```\ntext\n```\ndef f(): pass\n```",
    "```python\nx = 1\n```\nno function here",
    "  ```python\n  def f(): pass\n  ```",
    "```python\ndef f():\n    '''~~~'''\n    return 1",
    "```python\ndef f():\n    pass\n~~~\n```",
    "no code at all",
    "def f(): pass\n```\n```",
]


def closed_at(text: str, step: int) -> int | None:
    """After how many bytes the watcher says that the block is closed."""
    watcher = CodeBlockWatcher()
    data = text.encode()
    for end in range(step, len(data) + step, step):
        if watcher.feed(data[end - step : end]):
            return min(end, len(data))
    return None


@pytest.mark.parametrize("text", TEXTS)
def test_it_does_not_matter_in_which_pieces_the_text_comes(text: str) -> None:
    exact = closed_at(text, 1)
    for step in (2, 3, 7, 1000):
        found = closed_at(text, step)
        assert (found is None) == (exact is None)
        assert found is None or exact is None or exact <= found < exact + step


def test_it_ends_where_the_runtime_ends(tmp_path) -> None:
    organ = Organ.load(markov_pack(tmp_path / "p.planck", {f"t{i}": text for i, text in enumerate(TEXTS)}))
    answers = organ.generate([tag(f"t{i}") for i in range(len(TEXTS))])
    ours = ["stop" if closed_at(text, 1000) is None else "code_end" for text in TEXTS]
    assert [answer.finish_reason for answer in answers] == ours
    assert {"stop", "code_end"} == set(ours)
