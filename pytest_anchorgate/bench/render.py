"""A score for people and for programs: lines for the terminal, Markdown, JSON.

Neither file says when or where it was made: the same pack and tasks give the same bytes on every machine, so that a
difference in them is a difference in the pack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_anchorgate.bench.records import SCHEMA, Record
from pytest_anchorgate.bench.scoreboard import Score
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.strict_json import dump

__all__ = ["JSON_FILE", "MARKDOWN_FILE", "markdown", "summary_line", "to_json", "write_files"]

JSON_FILE = "scoreboard.json"
MARKDOWN_FILE = "scoreboard.md"


def summary_line(scores: Sequence[Score]) -> str:
    """All scores in one line: "MBPP B = 13/100, HumanEval B = 6/164, LCB B = 0/50"."""
    return ", ".join(score.line for score in scores)


def to_json(score: Score) -> dict[str, Any]:
    """A score as plain data."""
    header, suite = score.header, score.suite
    return {
        "schema": SCHEMA,
        "pack": {
            "name": header.pack_name,
            "identity": header.pack_identity,
            "sha256": header.pack_sha256,
        },
        "suite": {
            "name": suite.kind.name,
            "selection": suite.kind.selection,
            "digest": suite.digest,
            "published_file": suite.known,
            "notes": dict(suite.notes),
        },
        "settings": dict(header.settings),
        "settings_digest": header.settings_digest,
        "score": score.line,
        "solved": len(score.solved),
        "tasks": len(suite.tasks),
        "solved_ids": list(score.solved),
        "undecided_ids": list(score.undecided),
        "statuses": dict(score.statuses),
        "finish_reasons": dict(score.finishes),
        "tokens": score.tokens,
        "groups": {
            name: {"solved": solved, "tasks": tasks} for name, (solved, tasks) in score.groups.items()
        },
    }


def markdown(score: Score, records: Mapping[str, Record]) -> str:
    """A score as a page: the count, what it is a count of, and every task."""
    return "\n".join(_lines(score, records)) + "\n"


def write_files(score: Score, records: Mapping[str, Record], folder: Path) -> None:
    """Writes scoreboard.json and scoreboard.md into the folder of the records.

    Raises:
        OSError: they cannot be written.
    """
    for name, text in ((JSON_FILE, dump(to_json(score)) + "\n"), (MARKDOWN_FILE, markdown(score, records))):
        with writing_beside(folder / name) as file:
            file.write(text.encode("utf-8"))


def _lines(score: Score, records: Mapping[str, Record]) -> Iterator[str]:
    header, suite = score.header, score.suite
    yield f"# {score.line}"
    yield ""
    yield f"- pack: {_plain(header.pack_name)}, identity `{header.pack_identity}`"
    yield f"- suite: {suite.kind.name}, {suite.kind.selection}; tasks sha256 `{suite.digest}`"
    for name, words in suite.notes.items():
        yield f"- {name}: {words}"
    if suite.known is False:
        yield "- the file is not the published one, byte for byte"
    settings = ", ".join(f"{name} {_setting(value)}" for name, value in header.settings.items())
    yield f"- settings: {settings}"
    yield f"- verdicts: {_counts(score.statuses)}"
    yield f"- answers ended by: {_counts(score.finishes)}; {score.tokens:,} tokens"
    if score.undecided:
        yield f"- **undecided: {len(score.undecided)}**, so the score is at least this: {', '.join(score.undecided)}"
    if score.groups:
        yield from ("", "| part | solved | tasks |", "|---|---|---|")
        yield from (f"| {_plain(name)} | {got} | {of} |" for name, (got, of) in score.groups.items())
    yield from ("", "| task | verdict | reason | tokens |", "|---|---|---|---|")
    for task in suite.tasks:
        record = records[task.task_id]
        yield f"| {task.task_id} | {record.status} | {_plain(record.reason)} | {len(record.token_ids)} |"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _setting(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(text: str) -> str:
    """Text of a model, or of a test, as one cell that is nothing but text."""
    cut = text if len(text) <= 160 else f"{text[:157]}..."
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#+!|~&" else char for char in cut)
