"""The tokenizer's tables agree with each other before they go into a pack, and after they come out."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_models as tiny
from hypothesis import given
from hypothesis import strategies as st

from pytest_anchorgate.packs.byte_alphabet import BYTE_OF, bytes_to_spelled, spelled_to_bytes
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.vocabulary import Vocabulary


def table(*rows):
    return np.array(rows, np.int32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretokenizer": "gpt2"}, "pretokenizer is 'gpt2'"),
        ({"normalizer": "nfkc"}, "normalizer is 'nfkc'"),
        ({"merges": table([97, 98, 255])}, "merges row 0: token 255 is not 97 and 98 joined"),
        ({"merges": table([97, 98, 256], [97, 98, 256])}, "merges row 1: the pair 97, 98 has a rank already"),
        ({"merges": table([97, 98, 256], [97, -1, 3])}, "merges: row 1 names an id outside"),
        ({"merges": table([97, 98, 256]).astype(np.int64)}, "merges is not I32"),
        ({"merges": table([97, 98])}, "merges is not I32"),
        ({"added": table([999, 1])}, "added: row 0 names an id outside"),
        ({"added": table([260, 1], [259, 1])}, "do not ascend"),
        ({"added": table([259, 1], [259, 1])}, "do not ascend"),
        ({"added": table([259, 2])}, "neither 0 nor 1"),
        ({"added": table([255, 1])}, "not UTF-8"),
    ],
)
def test_tables_that_disagree_are_refused_by_name(change, message):
    with pytest.raises(PackFormatError, match=message):
        replace(tiny.vocabulary(), **change)


def test_two_added_tokens_of_the_same_text_are_refused():
    tokens = [*tiny.TOKENS[:-1], b"<|im_end|>"]
    with pytest.raises(PackFormatError, match="two are the same text"):
        replace(tiny.vocabulary(), tokens=tokens)


def test_round_trip_through_the_tensors_of_a_pack():
    before = tiny.vocabulary()
    after = Vocabulary.from_tensors(before.to_tensors(), before.pretokenizer, before.normalizer)
    assert after.tokens == before.tokens
    assert np.array_equal(after.merges, before.merges)
    assert np.array_equal(after.added, before.added)


@pytest.mark.parametrize("offsets", [[1, 2], [0, 5, 3, 10**6], [0], [0, 10**6]])
def test_offsets_that_do_not_cut_the_bytes_are_refused(offsets):
    tensors = tiny.vocabulary().to_tensors() | {"tokenizer.token_offsets": np.array(offsets, np.int32)}
    with pytest.raises(PackFormatError, match="token_offsets"):
        Vocabulary.from_tensors(tensors, "qwen2", "nfc")


def test_stops_are_those_given_and_the_usual_ends_of_a_chat():
    assert tiny.vocabulary().chat_stops([None, 5]) == (5, tiny.ENDOFTEXT, tiny.IM_END)


@given(st.binary())
def test_the_byte_alphabet_round_trips(data):
    spelled = bytes_to_spelled(data)
    assert spelled_to_bytes(spelled) == data
    assert not any(character.isspace() for character in spelled)


def test_the_byte_alphabet_is_the_known_one():
    assert len(BYTE_OF) == 256
    assert spelled_to_bytes("ĠHelloĊ") == b" Hello\n"
    assert spelled_to_bytes("åĮĹ") == "北".encode()


def test_a_vocabulary_that_is_not_byte_level_is_refused():
    with pytest.raises(PackSourceError, match="'▁the' holds '▁'"):
        spelled_to_bytes("▁the")
