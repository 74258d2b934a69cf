"""Seeded texts that are hard on tokenizers."""
# ruff: noqa: RUF001 -- characters that look like others are the point

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

_CODE = (
    "def area(w, h):\n    return w * h\n", "for i in range(10):", "\t\tif (a && !b) {", "x+=1;",
    "#include <map>", "    # TODO:", "\"\"\"text\"\"\"", "lambda x: x**2", "a[i][j]",
    "{'k': [1, 2.5e-3]}", "!=", "->", "::", "/* c */", "print(f'{n!r:>10}')", "0xFF", "__init__",
    "camelCaseName", "snake_case_name", "\\n\\t", "return None",
)  # fmt: skip
_WORDS = (
    "Hello", "the", "naïve", "Ångström", "Straße", "ﬁne", "Привет", "Ελλάδα", "मराठी", "क़ि", "ไทย",
    "สวัสดี", "مرحبا", "שָׁלוֹם", "ǅungla", "ªº", "日本語", "中文字", "한국어", "ʼn", "ΐ", "ᾳ", "İi", "a" * 40,
    "wörld", "e\u0301a\u0300",
)  # fmt: skip
_CONTRACTIONS = (
    "I'm", "we'LL", "'S", "'\u017f", "don’t", "it's5", "'re", "'Ve", "'rE", "they'd", "'t'S'm", "'l",
    "'r", "''s", " 's", "x'V", "y'all'd've", "'ſt", "'",
)  # fmt: skip
_SPACES = (
    " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", " \n", "\t \r\n ", "\x0b", "\x0c", "\x1c", "\x1d",
    "\x1e", "\x1f", "\x85", "\xa0", "\u1680", "\u180e", "\u2003", "\u200b", "\u2028", "\u2029", "\u202f",
    "\u3000", "\ufeff",
)  # fmt: skip
_DIGITS = (
    "0123456789", "٠١٢٣", "०१२", "๐๑", "０９", "²³¹", "½¼", "Ⅷⅻ", "①⑳", "㊿", "〇", "𝟘𝟿",
    "\U00011de0\U00011de9", "\U00016ff4", "𒐀", "𐄇", "፩", "1,234.50", "3e8",
)  # fmt: skip
_EMOJI = (
    "😀", "👩\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "👍🏽", "🇫🇷🇯🇵", "❤️", "1️⃣", "🧑🏿\u200d🚀", "\ufe0f",
    "\u200d",
)  # fmt: skip
_MARKS = (
    (0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05C7), (0x064B, 0x065F), (0x093C, 0x094D),
    (0x0E38, 0x0E4B), (0x0F71, 0x0F84), (0x1AB0, 0x1ADD), (0x1DC0, 0x1DFF), (0x20D0, 0x20F0),
    (0x302A, 0x302F), (0x3099, 0x309A), (0xFE20, 0xFE2F), (0x1D165, 0x1D169), (0x1E000, 0x1E02A),
    (0x11300, 0x11374), (0x10F46, 0x10F50),
)  # fmt: skip
_BASES = "aeiouAEINOUcsnzÅçαωυΑΩиЕЙकनযடகかカはハウه\u0627\u09c7\u0b47\u0bc6\u1025=<>\u2203\u2192Ḍṡệ"
_JAMO = (
    (0x1100, 0x1112),
    (0x1161, 0x1175),
    (0x11A7, 0x11C2),
    (0x1113, 0x115F),
    (0x1176, 0x11A6),
    (0x11C3, 0x11FF),
)
_CJK = (
    (0x4E00, 0x9FFF), (0x3040, 0x30FF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
    (0x2F800, 0x2FA1D),
)  # fmt: skip


def _from_ranges(rng: random.Random, ranges: Sequence[tuple[int, int]], most: int) -> str:
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, most)))


def _hangul(rng: random.Random) -> str:
    syllable = rng.randint(0xAC00, 0xD7A3)
    if rng.random() < 0.5:
        syllable -= (syllable - 0xAC00) % 28
    return rng.choice(("", chr(syllable))) + _from_ranges(rng, _JAMO, 4)


def _combined(rng: random.Random) -> str:
    return rng.choice(_BASES) + _from_ranges(rng, _MARKS, 5)


def any_character(rng: random.Random) -> str:
    """Any code point but a surrogate, assigned or not; the low planes more often."""
    point = rng.randrange(rng.choice((0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000)))
    return "\ufffd" if 0xD800 <= point < 0xE000 else chr(point)


def _atoms(special: Sequence[str]) -> list[Callable[[random.Random], str]]:
    def of(pool: Sequence[str]) -> Callable[[random.Random], str]:
        return lambda rng: rng.choice(pool)

    def near_special(rng: random.Random) -> str:
        text = rng.choice(special)
        return rng.choice(
            (text, text, text[1:], text[:-1], text[:2] + text, text + "\u0338", "\u0301" + text, "<<")
        )

    return [
        of(_CODE), of(_WORDS), of(_CONTRACTIONS), of(_SPACES), of(_DIGITS), of(_EMOJI),
        near_special, _hangul, _combined,
        lambda rng: rng.choice(_SPACES) * rng.randint(1, 12),
        lambda rng: _from_ranges(rng, _CJK, 5),
        lambda rng: "".join(any_character(rng) for _ in range(rng.randint(1, 4))),
        lambda rng: "".join(chr(rng.randrange(128)) for _ in range(rng.randint(1, 12))),
        lambda rng: rng.choice("aA1 '=-#é") * rng.randint(1, 60),
    ]  # fmt: skip


def fuzz_texts(seed: int, count: int, special: Sequence[str]) -> Iterator[str]:
    """`count` texts, the same for the same arguments.

    Args:
        seed: of the generator.
        count: how many.
        special: texts of added tokens, to be embedded whole and damaged.
    """
    rng = random.Random(seed)
    atoms = _atoms(special)
    for _ in range(count):
        yield "".join(rng.choice(atoms)(rng) for _ in range(rng.randint(0, 16)))


def every_character(step: int = 256) -> Iterator[str]:
    """Texts that hold every code point but the surrogates, beside letters, digits, spaces and nothing."""
    for start in range(0, 0x110000, step):
        if 0xD800 <= start < 0xE000:
            continue
        yield "".join(f"x{c} {c}1'{c}\t{c}\n" for c in map(chr, range(start, start + step)))
