"""Generate ``cpp_bridge/src/unicode_tables.cc``.

    pip install unicodedataplus==16.0.0.post1 unicodedata2==17.0.1
    python cpp_bridge/tools/make_unicode_tables.py

The reference is the ``tokenizers`` library (0.23.3), and its parts follow different Unicode versions. Asked about
every code point, it answers as:

* ``\\p{L}``, ``\\p{N}``, ``\\s`` in the regexes (Oniguruma):          Unicode 16.0
* ``Digits`` (Rust's ``char::is_numeric``):                         Unicode 17.0, 13 numbers more than 16.0
* ``NFC`` (the crate unicode-normalization-alignments 0.1.12):      Unicode 9.0

The normalisation data of a character never changes once it is assigned
(https://www.unicode.org/policies/stability_policy.html), so the tables of 9.0 are those of 16.0 without the characters
that came later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import unicodedata2 as ucd17
import unicodedataplus as ucd16

CATEGORIES_VERSION = "16.0.0"
DIGITS_VERSION = "17.0.0"
NFC_VERSION = (9, 0)
OUTPUT = Path(__file__).parents[1] / "src" / "unicode_tables.cc"
# White_Space; the property has not changed since Unicode 6.3.
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
LINE = 110


def ranges(value_of: Callable[[int], object]) -> list[tuple[int, int, object]]:
    """Maximal runs ``(first, last, value)`` of code points with the same true value."""
    runs: list[tuple[int, int, object]] = []
    for point in POINTS:
        value = value_of(point)
        if not value:
            continue
        if runs and runs[-1][1] == point - 1 and runs[-1][2] == value:
            runs[-1] = (runs[-1][0], point, value)
        else:
            runs.append((point, point, value))
    return runs


def kind(point: int) -> str:
    """The kind the regexes see: ``letter``, ``number``, ``space``, or nothing."""
    if point in SPACES:
        return "space"
    return {"L": "letter", "N": "number"}.get(ucd16.category(chr(point))[0], "")


def number_only_in_digits(point: int) -> bool:
    """Whether ``Digits`` isolates a character that is no ``\\p{N}``."""
    return ucd17.category(chr(point))[0] == "N" and kind(point) != "number"


def in_nfc_version(point: int) -> bool:
    """Whether the character existed in the Unicode version that NFC follows."""
    age = ucd16.age(chr(point))
    return age != "Unassigned" and tuple(map(int, age.split("."))) <= NFC_VERSION


def combining_class(point: int) -> int:
    """Canonical combining class, 0 for characters that NFC does not know."""
    return ucd16.combining(chr(point)) if in_nfc_version(point) else 0


def decomposition(point: int) -> tuple[int, int] | None:
    """The one-step canonical decomposition; the second is 0 for a singleton."""
    fields = ucd16.decomposition(chr(point)).split()
    if not fields or fields[0].startswith("<") or not in_nfc_version(point):
        return None
    first, second = (int(field, 16) for field in [*fields, "0"][:2])
    return first, second


def table(name: str, kind_of_row: str, rows: Iterable[str]) -> str:
    """One C++ array with as many rows a line as fit, and its span."""
    lines, current = [], " "
    for row in rows:
        if len(current) + len(row) + 2 > LINE:
            lines.append(current)
            current = " "
        current += f" {row},"
    body = "\n".join([*lines, current])
    return (
        f"constexpr {kind_of_row} {name}Rows[] = {{\n{body}\n}};\n"
        f"constinit const std::span<const {kind_of_row}> {name}{{{name}Rows}};\n"
    )


def check_assumptions(pairs: dict[int, tuple[int, int]]) -> None:
    """Fail where the data breaks what ``nfc.cc`` and ``characters.cc`` rely on."""
    if (ucd16.unidata_version, ucd17.unidata_version) != (CATEGORIES_VERSION, DIGITS_VERSION):
        raise SystemExit("wrong versions of the Unicode packages: see the top of this file")
    if any(kind(p) == "number" and ucd17.category(chr(p))[0] != "N" for p in POINTS):
        raise SystemExit("a number of Unicode 16 is none in 17: one table of additions no longer does")
    if any(second in pairs for _, second in pairs.values()):
        raise SystemExit("the second half of a decomposition decomposes: nfc.cc expands only the first")
    if min(pairs) < 0xC0 or any(combining_class(p) for p in range(0x300)):
        raise SystemExit("nfc.cc takes text below U+0300 as composed already")


def main() -> None:
    """Write the tables."""
    pairs = {point: pair for point in POINTS if (pair := decomposition(point))}
    check_assumptions(pairs)
    compositions = sorted(
        (first, second, point)
        for point, (first, second) in pairs.items()
        if second and ucd16.normalize("NFC", chr(point)) == chr(point)
    )
    kinds = ranges(kind)
    digits = ranges(number_only_in_digits)
    classes = ranges(combining_class)
    OUTPUT.write_text(
        "// Generated by cpp_bridge/tools/make_unicode_tables.py, which says why three Unicode versions meet here:\n"
        f"// categories {CATEGORIES_VERSION}, digits {DIGITS_VERSION}, normalisation {'.'.join(map(str, NFC_VERSION))}."
        " Do not edit.\n"
        "// clang-format off\n"
        '#include "unicode_tables.h"\n\nnamespace organ {\n\n'
        "constexpr CharKind letter = CharKind::letter, number = CharKind::number, space = CharKind::space;\n\n"
        + "\n".join(
            [
                table("kKinds", "KindRange", (f"{{{a:#x},{b:#x},{k}}}" for a, b, k in kinds)),
                table("kDigitsOnly", "PointRange", (f"{{{a:#x},{b:#x}}}" for a, b, _ in digits)),
                table("kCombiningClasses", "ClassRange", (f"{{{a:#x},{b:#x},{c}}}" for a, b, c in classes)),
                table("kDecompositions", "Decomposition", (f"{{{p:#x},{a:#x},{b:#x}}}" for p, (a, b) in pairs.items())),
                table("kCompositions", "Composition", (f"{{{a:#x},{b:#x},{c:#x}}}" for a, b, c in compositions)),
            ]
        )
        + "\n}  // namespace organ\n",
        encoding="utf-8",
    )
    print(f"{OUTPUT}: {len(kinds)} kinds, {len(classes)} classes, {len(pairs)} decompositions")


if __name__ == "__main__":
    main()
