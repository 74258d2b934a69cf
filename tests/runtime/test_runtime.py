"""The Python face of the runtime."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from organs import STOP, markov_pack, tag

from pytest_anchorgate.runtime import Cancelled, Completion, Organ, OrganError, PackError, Progress, TextError

ANSWERS = {"a": "```python\ndef a():\n    return 1\n```", "b": "just words"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return markov_pack(tmp_path_factory.mktemp("runtime") / "small.planck", ANSWERS)


@pytest.fixture(scope="module")
def organ(pack: Path) -> Organ:
    return Organ.load(pack, threads=2)


def test_info_describes_the_mapped_bytes(organ: Organ, pack: Path) -> None:
    info = organ.info
    assert info["pack_sha256"] == hashlib.sha256(pack.read_bytes()).hexdigest()
    assert info["numerics"] == "fma-k/1"
    assert info["threads"] == 2
    assert info["isa"] in {"scalar", "avx2", "avx512"}
    assert {"architecture", "parameters", "vocab_size"} <= info.keys()


def test_an_organ_answers_in_order(organ: Organ) -> None:
    second, first = organ.generate([f"say {tag('b')}", f"say {tag('a')}"])
    assert isinstance(first, Completion)
    assert (first.text, first.finish_reason) == (ANSWERS["a"], "code_end")
    assert (second.text, second.finish_reason) == (ANSWERS["b"], "stop")
    assert len(second.token_ids) == len(second.margins) == 1
    assert second.margins[0] > 0


def test_text_survives_the_tokenizer(organ: Organ) -> None:
    text = f"caf\u00e9 {tag('a')} \U0001f600\r\n{STOP}"
    assert organ.detokenize(organ.tokenize(text)) == text.encode()


def test_a_limit_of_its_own_for_each_prompt(organ: Organ) -> None:
    nothing, all_of_it = organ.generate([f"say {tag('b')}"] * 2, max_new_tokens=[0, 5])
    assert (nothing.text, nothing.finish_reason) == ("", "length")
    assert (all_of_it.text, all_of_it.finish_reason) == (ANSWERS["b"], "stop")


def test_drafts_are_texts_ids_or_none(organ: Organ) -> None:
    prompts = [f"say {tag('b')}"] * 3
    answers = organ.generate(prompts, drafts=[ANSWERS["b"], [5, 6], None])
    assert {answer.text for answer in answers} == {ANSWERS["b"]}


def test_a_draft_is_rated_in_passing(organ: Organ) -> None:
    prompt, draft = f"say {tag('b')}", [5, 6, 7]
    (answer,) = organ.generate([prompt], drafts=[draft])
    assert answer.draft_score == organ.score(organ.tokenize(prompt), draft)
    assert organ.generate([prompt])[0].draft_score.margins == []


def test_logits_and_scores_agree(organ: Organ) -> None:
    ids = organ.tokenize(f"say {tag('a')}")
    logits = organ.logits(ids)
    assert logits.shape == (len(ids), organ.info["vocab_size"])
    assert logits.dtype == np.float32
    choice = int(logits[-1].argmax())
    score = organ.score(ids, [choice])
    wide = logits[-1].astype(np.float64)
    expected = wide[choice] - np.log(np.exp(wide - wide.max()).sum()) - wide.max()
    assert score.log_probabilities[0] == pytest.approx(expected, abs=1e-6)
    assert score.margins[0] == organ.generate([f"say {tag('a')}"])[0].margins[0]


def test_progress_ends_with_everything_finished(organ: Organ) -> None:
    seen: list[Progress] = []
    organ.generate(["x", f"say {tag('a')}"], max_new_tokens=4, progress=seen.append)
    assert (seen[-1].finished, seen[-1].total) == (2, 2)
    assert seen[-1].generated_tokens == 1


def test_an_exception_in_the_callers_progress_ends_the_call(organ: Organ) -> None:
    def stop(_: Progress) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        organ.generate(["x"], progress=stop)
    assert organ.generate([f"say {tag('b')}"])[0].text == ANSWERS["b"]


def test_cancel_ends_the_call_of_another_thread(pack: Path) -> None:
    organ = Organ.load(pack, prefill_chunk=1)
    running, cancelled = threading.Event(), threading.Event()
    caught: list[BaseException] = []

    def hold(_: Progress) -> None:
        running.set()
        cancelled.wait(60)

    def work() -> None:
        try:
            organ.generate(["many tokens"], progress=hold)
        except BaseException as error:
            caught.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert running.wait(60)
    organ.cancel()
    cancelled.set()
    worker.join(60)
    assert isinstance(caught[0], Cancelled)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda organ: organ.tokenize("\ud800"), "text: a lone surrogate at character 0 is no text"),
        (lambda organ: organ.generate(["ok", "a\udfff"]), r"prompts\[1\]: a lone surrogate at character 1"),
        (lambda organ: organ.detokenize([10**6]), "token id 1000000 is outside the vocabulary"),
        (lambda organ: organ.logits([]), "ids: no tokens"),
        (lambda organ: organ.generate([""], raw=True), r"prompts\[0\]: no tokens"),
        (lambda organ: organ.generate(["a"], drafts=[[10**6]]), r"draft\[0\]: token id 1000000"),
    ],
)
def test_text_that_is_none_is_named(organ: Organ, call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(TextError, match=message):
        call(organ)


def test_wrong_numbers_of_arguments_are_named(organ: Organ) -> None:
    with pytest.raises(ValueError, match="drafts: 1 given for 2 prompts"):
        organ.generate(["a", "b"], drafts=[None])
    with pytest.raises(ValueError, match="max_new_tokens: 3 given for 1 prompts"):
        organ.generate(["a"], max_new_tokens=[1, 2, 3])


def test_a_pack_that_is_none_is_named(pack: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.planck"
    truncated.write_bytes(pack.read_bytes()[:-100])
    with pytest.raises(PackError, match=r"truncated.planck: .*is the file truncated"):
        Organ.load(truncated)
    with pytest.raises(PackError, match="cannot open"):
        Organ.load(tmp_path / "missing.planck")
    with pytest.raises(OrganError, match="isa sse9: not available"):
        Organ.load(pack, isa="sse9")


def test_the_environment_may_choose_the_instruction_set(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORGATE_ISA", "scalar")
    organ = Organ.load(pack)
    assert organ.info["isa"] == "scalar"
    assert Organ.load(pack, isa=None).generate([f"say {tag('a')}"])[0].text == ANSWERS["a"]
