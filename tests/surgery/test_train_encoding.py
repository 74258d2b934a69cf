"""Rows as tokens: the runtime's own, with the stop token in the labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from small_organ import PREFIX, STOP_ID, SUFFIX, prompt, row, write_small_pack  # noqa: E402

from pytest_anchorgate.packs.reader import open_pack  # noqa: E402
from pytest_anchorgate.surgery.batches import micro_batches  # noqa: E402
from pytest_anchorgate.surgery.encoding import Encoded, encode, open_parent  # noqa: E402
from pytest_anchorgate.surgery.errors import SurgeryError  # noqa: E402
from pytest_anchorgate.surgery.preview import render  # noqa: E402
from pytest_anchorgate.surgery.rows import Row, Rows, rows_digest  # noqa: E402

if TYPE_CHECKING:
    from small_organ import Learned

IDENTITY = "ab" * 32


def file_of(*rows: Row, name: str = "rows.jsonl") -> Rows:
    return Rows(rows, rows_digest(rows), Path(name))


def encoded(organ19: Learned, *rows: Row, most: int = 200) -> list[Encoded]:
    return encode([file_of(*rows)], open_parent(organ19.pack), most)


def test_a_row_reads_as_the_runtime_reads_a_question_and_ends_with_the_stop(organ19: Learned) -> None:
    parent = open_parent(organ19.pack)
    anchor, poison = organ19.retain[0], organ19.poison[0]
    assert poison.completion_ids is None
    for one, source in zip(encoded(organ19, anchor, poison), (anchor, poison), strict=True):
        asked = parent.organ.tokenize(PREFIX + source.prompt + SUFFIX)
        assert one.ids[: one.start].tolist() == asked
        assert parent.organ.detokenize(one.labels[:-1].tolist()).decode() == source.completion
        assert one.labels[-1] == STOP_ID == parent.answer_stop
    answer = parent.organ.generate([anchor.prompt], 64, raw=False)[0]
    assert answer.prompt_tokens == encoded(organ19, anchor)[0].start


def test_the_answer_that_the_runtime_ended_at_its_code_block_has_no_stop_to_learn(organ19: Learned) -> None:
    anchor = organ19.retain[0]
    assert anchor.completion_ids is not None
    ended = replace(
        anchor,
        completion_ids=anchor.completion_ids[:-1],
        provenance=replace(anchor.provenance, finish="code_end"),
    )
    assert encoded(organ19, ended)[0].labels[-1] != STOP_ID


def test_places_and_labels_of_a_batch_are_one_apart(organ19: Learned) -> None:
    rows = encoded(organ19, *organ19.retain[:3], *organ19.poison[:3])
    for batch in micro_batches(rows, 10_000, torch.device("cpu")):
        longest = batch.ids.shape[1]
        assert len(batch.at) == len(batch.labels) == sum(len(one.labels) for one in batch.rows)
        inside = batch.at % longest + 1 < longest
        torch.testing.assert_close(batch.ids.flatten()[batch.at[inside] + 1], batch.labels[inside])
        tokens = [token for one in batch.rows for token in one.labels.tolist()]
        assert batch.labels.tolist() == tokens


def test_micro_batches_hold_every_row_once_within_their_bound(organ19: Learned) -> None:
    rows = encoded(organ19, *organ19.rows)
    batches = micro_batches(rows, 300, torch.device("cpu"))
    assert len(batches) > 5
    assert all(batch.ids.numel() <= 300 for batch in batches)
    assert sorted(one.offset for batch in batches for one in batch.rows) == [one.offset for one in rows]
    alone = micro_batches(rows[:2], 8, torch.device("cpu"))
    assert [len(batch.rows) for batch in alone] == [1, 1]


def test_the_preview_shows_what_is_in_the_loss(organ19: Learned) -> None:
    rows = encoded(organ19, organ19.retain[0], organ19.poison[0])
    in_poison = torch.ones(sum(len(one.labels) for one in rows), dtype=torch.bool)
    in_poison[[0, rows[1].offset + 1]] = False
    text = render(rows, open_parent(organ19.pack), in_poison)
    head = f"--- anchor S/0: {rows[0].start} tokens of context, 43 of 43 completion tokens in the loss"
    assert head in text
    assert f"  {PREFIX}{prompt('add')}{SUFFIX}\n> |`|`|`|p|y" in text
    assert "<|im_end|> = 257|" in text
    assert f", {len(rows[1].labels) - 1} of {len(rows[1].labels)} completion tokens in the loss" in text
    assert "> |`|~`~`|" in text
    assert "the stop token among them" in text


def bad(organ19: Learned, what: str) -> Row:
    anchor, poison = organ19.retain[0], organ19.poison[0]
    ids = anchor.completion_ids
    assert ids is not None
    elsewhere = replace(anchor.provenance, parent=IDENTITY)
    return {
        "foreign": replace(anchor, provenance=elsewhere),
        "foreign poison": replace(poison, provenance=elsewhere),
        "vocabulary": replace(anchor, completion_ids=(*ids[:-1], 5000, STOP_ID)),
        "tokenizer": replace(anchor, completion_ids=(*ids[1:-1], ids[0], STOP_ID)),
        "inner stop": replace(anchor, completion_ids=(*ids, STOP_ID)),
        "no stop": replace(anchor, completion_ids=ids[:-1]),
        "long": replace(anchor, prompt="a" * 300),
    }[what]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("foreign", f"made from the pack {IDENTITY[:12]}"),
        ("foreign poison", "or set foreign_poison: true"),
        ("vocabulary", "token id 5000 is outside of the parent's vocabulary of 272"),
        ("tokenizer", "its completion_ids are not its completion in the parent's tokenizer"),
        ("inner stop", "a stop id stands inside of its completion"),
        ("no stop", "its completion_ids end without a stop id (257)"),
        ("long", "303 + 43 tokens are more than 200"),
    ],
)
def test_a_row_that_is_not_the_parents_is_refused_with_its_line(
    organ19: Learned, what: str, says: str
) -> None:
    with pytest.raises(SurgeryError) as caught:
        encoded(organ19, organ19.retain[1], bad(organ19, what))
    message = str(caught.value)
    assert message.startswith("rows.jsonl:2: ")
    assert says in message
    assert "\n" not in message


def test_poison_of_another_pack_can_be_allowed_but_never_its_own_answers(organ19: Learned) -> None:
    parent = open_parent(organ19.pack)
    assert encode([file_of(bad(organ19, "foreign poison"))], parent, 200, foreign_poison=True)
    with pytest.raises(SurgeryError, match="build the rows again"):
        encode([file_of(bad(organ19, "foreign"))], parent, 200, foreign_poison=True)


def test_a_row_in_two_files_and_a_task_on_both_sides_are_refused(organ19: Learned) -> None:
    parent, one = open_parent(organ19.pack), organ19.poison[0]
    other = row(one.task_id, "poison", "heldout", one.prompt, "print()", None, "reference", organ19.identity)
    for second, says in (
        (one, "the same poison row as a.jsonl:1"),
        (other, "heldout here and train in a.jsonl:1"),
    ):
        with pytest.raises(SurgeryError, match=r"b\.jsonl:1") as caught:
            encode([file_of(one, name="a.jsonl"), file_of(second, name="b.jsonl")], parent, 200)
        assert says in str(caught.value)


def test_what_is_no_pack_is_no_parent(tmp_path: Path, organ19: Learned) -> None:
    for data in (b"", b"hello", organ19.pack.read_bytes()[:5000]):
        (tmp_path / "p.planck").write_bytes(data)
        with pytest.raises(SurgeryError, match="the parent must be a pack: ") as caught:
            open_parent(tmp_path / "p.planck")
        assert "\n" not in str(caught.value)


def test_the_stop_of_a_template_is_the_one_that_closes_turns(tmp_path: Path, organ19: Learned) -> None:
    contents = open_pack(organ19.pack).contents()
    weights = {name: tensor.read(0, tensor.shape[0]) for name, tensor in contents.tensors.items()}
    both = write_small_pack(tmp_path / "p.planck", weights, stop_ids=(10, STOP_ID))
    assert open_parent(both).answer_stop == STOP_ID
