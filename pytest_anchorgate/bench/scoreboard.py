"""One run of one suite: what is still missing is generated, judged and written down; then it is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate import __version__
from pytest_anchorgate.bench.evaluate import BATCH_SECONDS, evaluate
from pytest_anchorgate.bench.records import Header, Record, RecordFile
from pytest_anchorgate.bench.suites import Suite
from pytest_anchorgate.engine import Listener
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.reader import open_pack

__all__ = ["RECORDS_FILE", "Score", "header_of", "run_suite", "score_of"]

RECORDS_FILE = "records.jsonl"


@dataclass(frozen=True, slots=True)
class Score:
    """What a pack solves of a suite.

    Attributes:
        solved: ids of the tasks that it solves, in the suite's order; likewise `undecided`.
        statuses: the sandbox's status -> how many.
        finishes: why the answers ended -> how many.
        tokens: of all answers together.
        groups: part of the suite -> (solved, tasks).
        generated: how many answers this run generated; the others were there already.
    """

    header: Header
    suite: Suite
    solved: tuple[str, ...]
    undecided: tuple[str, ...]
    statuses: Mapping[str, int]
    finishes: Mapping[str, int]
    tokens: int
    groups: Mapping[str, tuple[int, int]]
    generated: int = 0

    @property
    def line(self) -> str:
        """As the report has it: "MBPP B = 13/100"."""
        return f"{self.suite.kind.label} B = {len(self.solved)}/{len(self.suite.tasks)}"


def header_of(pack: Path, suite: Suite) -> Header:
    """What a record file of this pack and suite is about.

    Raises:
        PackFormatError, OSError: the pack cannot be read.
    """
    return Header(
        pack_name=pack.name,
        pack_identity=open_pack(pack).metadata["planck.identity"],
        pack_sha256=file_sha256(pack),
        suite=suite.kind.name,
        suite_digest=suite.digest,
        tasks=len(suite.tasks),
        settings={
            "anchorgate": __version__,
            "decoding": "greedy",
            "max_new_tokens": sorted({task.max_new_tokens for task in suite.tasks}),
        },
    )


def run_suite(
    pack: Path,
    suite: Suite,
    directory: Path,
    *,
    resume: bool = False,
    threads: int | None = None,
    timeout: float = BATCH_SECONDS,
    listener: Listener | None = None,
) -> Score:
    """Runs what is missing of a suite; the records stand in DIRECTORY/SUITE/records.jsonl.

    Args:
        pack: a `.planck` file.
        suite: what to ask.
        directory: made if it is not there.
        resume: go on with records that are there; without it they are an error.
        threads: of the engine; None lets it choose.
        timeout: seconds for a batch of answers.
        listener: told how far the generation is.

    Raises:
        RecordsError: the records are about something else, or damaged.
        EngineRefused, PackFormatError, OSError: the pack or the folder cannot be used.
        EngineError: there is no answer; what was judged before is kept.
    """
    header = header_of(pack, suite)
    with RecordFile(directory / suite.kind.name / RECORDS_FILE, header, resume=resume) as file:
        # What could not be found out is tried again: the reason was not the pack.
        missing = [task for task in suite.tasks if not _decided(file.records.get(task.task_id))]
        if missing:
            evaluate(
                pack,
                missing,
                threads=threads,
                listener=listener,
                timeout=timeout,
                judge_answer=suite.judge,
                on_batch=file.append,
            )
        return score_of(header, suite, file.records, generated=len(missing))


def score_of(header: Header, suite: Suite, records: Mapping[str, Record], *, generated: int = 0) -> Score:
    """Counts the records of a suite, each of whose tasks has one."""
    chosen = [records[task.task_id] for task in suite.tasks]
    groups: dict[str, tuple[int, int]] = {}
    for record in chosen:
        if (group := suite.groups.get(record.task_id)) is not None:
            solved, tasks = groups.get(group, (0, 0))
            groups[group] = (solved + (record.held is True), tasks + 1)
    return Score(
        header=header,
        suite=suite,
        solved=tuple(record.task_id for record in chosen if record.held),
        undecided=tuple(record.task_id for record in chosen if record.held is None),
        statuses=Counter(record.status for record in chosen),
        finishes=Counter(record.finish_reason for record in chosen),
        tokens=sum(len(record.token_ids) for record in chosen),
        groups=dict(sorted(groups.items())),
        generated=generated,
    )


def _decided(record: Record | None) -> bool:
    return record is not None and record.held is not None
