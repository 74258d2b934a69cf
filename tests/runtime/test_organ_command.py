"""`organ`, the runtime without Python: same bits as the bridge, one line for each mistake."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from organ_command import organ_command, run_organ
from organs import markov_pack, tag

from pytest_anchorgate.runtime import Organ

ANSWERS = {"a": "```python\ndef a():\n    return 1\n```", "b": "no code, but \u00e9 and \U0001f600"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return markov_pack(tmp_path_factory.mktemp("organ") / "small.planck", ANSWERS)


def test_it_links_no_python() -> None:
    linked = subprocess.run(["ldd", organ_command()], capture_output=True, text=True, check=True).stdout
    assert "libc.so" in linked
    assert "python" not in linked.lower()


@pytest.mark.parametrize("options", [(), ("--batch", "1"), ("--threads", "3", "--isa", "scalar")])
def test_it_gives_what_the_bridge_gives(pack: Path, options: tuple[str, ...]) -> None:
    requests: list[dict[str, Any]] = [
        {"id": "one", "prompt": f"say {tag('a')}"},
        {"id": "z\u00fc", "prompt": f"say {tag('b')}", "raw": True, "max_new_tokens": 5, "draft": [1, 2]},
        {"prompt": "nothing follows", "max_new_tokens": 3},
    ]
    result = run_organ("--pack", str(pack), *options, requests=requests)
    assert result.stderr == ""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    organ = Organ.load(pack)
    for request, line in zip(requests, lines, strict=True):
        (expected,) = organ.generate(
            [request["prompt"]],
            request.get("max_new_tokens", 256),
            [request.get("draft")],
            raw=request.get("raw", False),
        )
        assert line.pop("id", None) == request.get("id")
        margins = np.array(line.pop("margins"), dtype=np.float32)
        assert margins.tobytes() == np.array(expected.margins, dtype=np.float32).tobytes()
        assert line == {
            "text": expected.text,
            "token_ids": expected.token_ids,
            "finish_reason": expected.finish_reason,
            "prompt_tokens": expected.prompt_tokens,
            "accepted_draft_tokens": expected.accepted_draft_tokens,
        }


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ('{"prompt": "a"}\nnot json\n', "organ: standard input, line 2: not a JSON value at byte 0"),
        ("{}", "organ: standard input, line 1: prompt: missing"),
        ('{"prompt": 3}', "organ: standard input, line 1: prompt: not a string"),
        ('{"prompt": "a", "raw": 1}', "organ: standard input, line 1: raw: neither true nor false"),
        ('{"prompt": "a", "draft": [-1]}', "organ: standard input, line 1: draft: not a 31-bit integer"),
        ('{"prompt": "a", "prompt": "b"}', 'line 1: the name "prompt" appears twice at byte 29'),
        (
            '{"prompt": "a", "tokens": 5}',
            "line 1: tokens: unknown; a request has prompt, id, max_new_tokens, raw and draft",
        ),
    ],
)
def test_a_bad_request_is_one_line(pack: Path, requests: str, message: str) -> None:
    result = run_organ("--pack", str(pack), requests=requests)
    assert result.returncode == 4
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--pack: missing"),
        (("--pack",), "--pack: needs a value"),
        (("--pack", "x", "--threads", "0"), '--threads: "0" is not a positive number'),
        (("--pack", "x", "--speed", "9"), "--speed: unknown option; see organ --help"),
        (("--pack", "/nowhere/x.planck"), "pack /nowhere/x.planck: cannot open"),
    ],
)
def test_a_bad_command_line_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    result = run_organ(*arguments)
    assert result.returncode == 4
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_help_names_every_option() -> None:
    text = run_organ("--help").stdout
    for option in ("--pack", "--threads", "--isa", "--batch"):
        assert option in text
