r"""From the text of a chat model to the Python source of its answer.

Plain text search only. The text is hostile: a few kilobytes can crash CPython's parser or make it eat
gigabytes, so nothing here compiles, tokenises or parses; that happens once, in the sandbox. NUL and lone
surrogates pass through untouched, because refusing them is the verifier's job. Time and memory are linear
in the length of the text.

What counts as the answer:

1. Candidates are the fenced code blocks (CommonMark fences, backticks or tildes, at any indentation; a block
   that the token limit left open ends with the text), then the stretches of unfenced text that begin with a
   line of Python and reach to the first line at the margin that reads as prose.
2. The first candidate that defines the entry point at its top level; else the first one with any function;
   else the first one that is not empty. A helper in one block and the function in another give the function.
3. Without candidates, text whose every line is indented is a function's body and is returned as it is.
4. Anything else holds no Python: the empty string.

A result whose first line is indented is a *body*, which a model may give when it was asked to complete a
function. It means something only directly behind the source of that function, `code_prompt + body`. Whether
to join the two is the verifier's choice; on its own a body is an IndentationError, so it can only ever fail.

Line ends `\r\n` become `\n`; the indentation of a fence is taken off its block, and so is indentation that a
whole answer shares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["extract"]

_ANY_FUNCTION = re.compile(r"[ \t]*(?:async[ \t]+)?def[ \t]")
_NOT_BLANK = re.compile(r"\s*\S")
_TRIPLE_QUOTE = re.compile(r"\"\"\"|'''")
# A line that can open a stretch of unfenced code. "from" and "class" also open English sentences, hence the
# second half of each pattern. These patterns must stay linear: no repeated group may start and end alike.
_CODE_START = re.compile(
    r"(?:async[ \t]+)?def[ \t]+\w+[ \t]*[(\[]"
    r"|class[ \t]+\w+[ \t]*[(\[:]"
    r"|import[ \t]+\w[\w., \t]*$"
    r"|from[ \t]+[\w.]+[ \t]+import[ \t]"
    r"|@[A-Za-z_]"
)
# A line at the margin that may continue a stretch: a call or an assignment, but not "add(2, 3) gives 5".
_CODE_LINE = re.compile(
    r"[#)\]}]|\"\"\"|'''"
    r"|[A-Za-z_][\w.]*\([^#]*[)(\[{,][ \t]*(?:#|$)"
    r"|[A-Za-z_][\w.]*\[[^=]*="
    r"|[A-Za-z_][\w.]*(?:[ \t]*,[ \t]*[A-Za-z_][\w.]*)*[ \t]*(?:[-+*/%&|^@]|//|\*\*|<<|>>)?=[^=]"
    r"|(?:if|elif|for|while|with|async|try|except|finally|else|match)\b.*:"
    r"|(?:assert|raise|del)[ \t(]"
    r"|pass[ \t]*$"
)


def extract(text: str, entry_point: str) -> str:
    """Return the Python source of an answer; see the module's text for the rules.

    Args:
        text: what the model wrote, of any length and content.
        entry_point: name of the function that the task asks for.

    Returns:
        Source text, "" where the answer holds none. Never raises for a `str`.
    """
    defines = _definition_of(entry_point)
    blocks, outside = _split_fences(text.replace("\r\n", "\n").split("\n"))
    candidates = [_dedent(block, defines) for block in blocks]
    for lines in outside:
        candidates.extend(_unfenced_code(lines, defines))
    for wanted in (defines, _ANY_FUNCTION, _NOT_BLANK):
        for candidate in candidates:
            if any(wanted.match(line) for line in candidate):
                return _join(candidate)
    if not blocks and _is_body(outside[0]):
        return _join(_dedent(outside[0], defines))
    return ""


def _definition_of(name: str) -> re.Pattern[str]:
    escaped = re.escape(name)
    return re.compile(
        rf"(?:(?:async[ \t]+)?def|class)[ \t]+{escaped}[ \t]*[(\[:]"
        rf"|{escaped}[ \t]*=(?!=)"
    )


def _split_fences(lines: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    """Part the text into fenced blocks, without their fences, and the pieces of text around them."""
    blocks: list[list[str]] = []
    outside: list[list[str]] = [[]]
    fence: _Fence | None = None
    for line in lines:
        if fence is not None and fence.closed_by(line):
            fence = None
            outside.append([])
        elif fence is not None:
            blocks[-1].append(fence.without_indent(line))
        elif (opened := _Fence.opened_by(line)) is not None:
            fence = opened
            blocks.append([])
        else:
            outside[-1].append(line)
    return blocks, outside


class _Fence:
    """An opening fence as in CommonMark 0.31, section 4.5, but indented as far as it likes.

    https://spec.commonmark.org/0.31.2/#fenced-code-blocks
    """

    def __init__(self, indent: int, marker: str, length: int) -> None:
        self.indent = indent
        self.marker = marker
        self.length = length

    @classmethod
    def opened_by(cls, line: str) -> _Fence | None:
        stripped = line.lstrip(" \t")
        marker = stripped[:1]
        if marker not in ("`", "~") or not stripped.startswith(marker * 3):
            return None
        info = stripped.lstrip(marker)
        if marker == "`" and "`" in info:
            return None
        return cls(len(line) - len(stripped), marker, len(stripped) - len(info))

    def closed_by(self, line: str) -> bool:
        stripped = line.strip(" \t\r")
        return len(stripped) >= self.length and stripped == self.marker * len(stripped)

    def without_indent(self, line: str) -> str:
        return line[min(self.indent, _indentation(line)) :]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _dedent(lines: list[str], defines: re.Pattern[str]) -> list[str]:
    """Take away indentation that all lines share, if that brings the entry point to the margin.

    Otherwise the lines may be the body of a function, where indentation carries meaning.
    """
    shared = min((_indentation(line) for line in lines if line.strip()), default=0)
    if shared == 0 or not any(defines.match(line, shared) for line in lines):
        return lines
    return [line[min(shared, _indentation(line)) :] for line in lines]


def _unfenced_code(lines: list[str], defines: re.Pattern[str]) -> Iterator[list[str]]:
    """Yield the stretches of code in text without fences."""
    stretch: list[str] = []
    string = ""
    for line in lines:
        starts = _CODE_START.match(line) or defines.match(line)
        if stretch and not (string or starts or _continues(line)):
            yield stretch
            stretch = []
        elif stretch or starts:
            stretch.append(line)
            string = _open_string(line, string)
    if stretch:
        yield stretch


def _continues(line: str) -> bool:
    return not line.strip() or line[0] in " \t" or _CODE_LINE.match(line) is not None


def _open_string(line: str, string: str) -> str:
    """Return the triple quote left open behind `line`, given the one open before it ("" for none)."""
    for quote in _TRIPLE_QUOTE.findall(line):
        if not string:
            string = quote
        elif quote == string:
            string = ""
    return string


def _is_body(lines: list[str]) -> bool:
    filled = [line for line in lines if line.strip()]
    return bool(filled) and all(line[0] in " \t" for line in filled)


def _join(lines: list[str]) -> str:
    """Join lines to source: no blank lines around it, one line end behind the last line."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return "\n".join(lines[filled[0] : filled[-1] + 1]) + "\n"
