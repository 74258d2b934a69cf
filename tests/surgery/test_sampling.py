from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from pytest_anchorgate.surgery.encoding import open_parent
from pytest_anchorgate.surgery.sampling import choose, draw, mean_nll, open_model
from pytest_anchorgate.surgery.sampling_settings import SamplingSettings

if TYPE_CHECKING:
    from small_organ import Learned


def test_nothing_but_the_nucleus_is_drawn() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(4000, 1)
    tokens, loss = choose(
        logits, SamplingSettings(temperature=1, top_p=0.75), torch.Generator().manual_seed(0)
    )
    counts = torch.bincount(tokens, minlength=4)
    # 0.5 is not enough, 0.5 + 0.3 is: two tokens, in the ratio of their probabilities.
    assert counts[2:].tolist() == [0, 0]
    assert 0.59 < counts[0] / 4000 < 0.66
    assert torch.allclose(loss, -torch.log(torch.tensor([0.5, 0.3]))[tokens])


def test_the_first_token_stays_however_small_the_nucleus() -> None:
    tokens, _ = choose(
        torch.tensor([[0.0, 5.0, 1.0]]),
        SamplingSettings(temperature=1, top_p=0.01),
        torch.Generator().manual_seed(0),
    )
    assert tokens.tolist() == [1]


def test_a_low_temperature_is_the_runtimes_greedy_answer(organ19: Learned) -> None:
    parent = open_parent(organ19.pack)
    rows = organ19.retain[:5]
    settings = SamplingSettings(samples=2, temperature=0.01, rows=4)
    done: list[int] = []
    model = open_model(organ19.pack, "cpu")
    samples = draw(model, parent, [row.prompt for row in rows], [64] * 5, settings, done.append)
    greedy = parent.organ.generate([row.prompt for row in rows], 64)
    assert [sample.text for sample in samples[::2]] == [answer.text for answer in greedy]
    assert [(sample.prompt, sample.number) for sample in samples] == [
        (i, j) for i in range(5) for j in (0, 1)
    ]
    assert {sample.finish for sample in samples} == {"code_end"}
    assert sum(done) == 10


def test_the_reported_likelihood_is_that_of_teacher_forcing(organ19: Learned) -> None:
    parent = open_parent(organ19.pack)
    model = open_model(organ19.pack, "cpu")
    settings = SamplingSettings(samples=3, temperature=1.5, seed=5, rows=3)
    prompts = ["Write add.", "Write a longer prompt."]
    for sample in draw(model, parent, prompts, [20, 20], settings):
        asked = parent.organ.tokenize(parent.prefix + prompts[sample.prompt] + parent.suffix)
        score = parent.organ.score(asked, sample.ids).log_probabilities
        assert sample.nll == pytest.approx(-sum(score) / len(score), abs=2e-3)
        assert sample.nll == pytest.approx(mean_nll(model, asked, sample.ids), abs=1e-4)


def test_a_seed_gives_the_same_answers_and_another_seed_others(organ19: Learned) -> None:
    parent = open_parent(organ19.pack)
    model = open_model(organ19.pack, "cpu")

    def texts(seed: int) -> list[str]:
        settings = SamplingSettings(samples=4, temperature=2, seed=seed, rows=8)
        return [
            sample.text for sample in draw(model, parent, ["Write add.", "Write neg."], [16, 16], settings)
        ]

    assert texts(1) == texts(1) != texts(2)


def test_what_stops_carries_its_stop_id_and_what_is_cut_does_not(organ19: Learned, tmp_path: Path) -> None:
    from small_organ import STOP_ID, random_pack

    pack = random_pack(tmp_path / "random.planck")
    parent = open_parent(pack)
    settings = SamplingSettings(samples=200, temperature=1, top_p=1, rows=200)
    samples = draw(open_model(pack, "cpu"), parent, ["Hello."], [40], settings)
    by_finish = {finish: [s for s in samples if s.finish == finish] for finish in ("stop", "length")}
    assert all(by_finish.values())
    for sample in by_finish["stop"]:
        assert sample.ids[-1] == STOP_ID
        assert parent.organ.detokenize(sample.ids[:-1]).decode("utf-8", "replace") == sample.text
    assert all(len(sample.ids) == 40 and STOP_ID not in sample.ids for sample in by_finish["length"])
