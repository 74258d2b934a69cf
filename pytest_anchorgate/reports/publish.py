"""Writes the reports that were asked for, and those that the CI service at hand reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.reports.findings import Outcomes
from pytest_anchorgate.reports.github import step_summary, workflow_commands
from pytest_anchorgate.reports.gitlab import code_quality
from pytest_anchorgate.reports.sarif import sarif


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which reports to write.

    Attributes:
        github: whether to print annotations and append to the step summary.
        step_summary: the file that GitHub reads as the step's summary, None if the service named none.
        code_quality: where GitLab's code quality report goes, None for nowhere; `sarif` likewise.
    """

    github: bool = False
    step_summary: Path | None = None
    code_quality: Path | None = None
    sarif: Path | None = None


def wishes_of(
    github: str, code_quality: Path | None, sarif_file: Path | None, environment: Mapping[str, str]
) -> Wishes:
    """What to write, given the options and what the CI service says of itself.

    Args:
        github: "auto", "on" or "off"; auto is on in GitHub Actions.
        code_quality: the path that the option names, None without it.
        sarif_file: likewise.
        environment: for GITHUB_ACTIONS and GITHUB_STEP_SUMMARY.
    """
    on = github == "on" or (github == "auto" and environment.get("GITHUB_ACTIONS") == "true")
    summary = environment.get("GITHUB_STEP_SUMMARY") if on else None
    return Wishes(on, Path(summary) if summary else None, code_quality, sarif_file)


def publish(outcomes: Outcomes, wishes: Wishes, say: Callable[[str], None]) -> list[str]:
    """Writes what is wished for. A report that cannot be written changes no verdict, and is told.

    Args:
        outcomes: what to tell.
        wishes: where.
        say: prints a line to where GitHub Actions looks for workflow commands: the job's log.

    Returns:
        One line for each report that could not be written.
    """
    trouble = []
    if wishes.github:
        for line in workflow_commands(outcomes):
            say(line)
    writers: list[tuple[Path | None, Callable[[Path], None]]] = [
        (wishes.step_summary, lambda path: _append(path, outcomes)),
        (wishes.code_quality, lambda path: _replace(path, code_quality(outcomes))),
        (wishes.sarif, lambda path: _replace(path, sarif(outcomes))),
    ]
    for path, write in writers:
        if path is None:
            continue
        try:
            write(path)
        except OSError as error:
            trouble.append(f"{path} could not be written: {error.strerror or error}")
    return trouble


def remove_stale(wishes: Wishes) -> None:
    """Takes away reports of an earlier run, so that one that never ends leaves none.

    Not the step summary: it is the service's file, and other commands of the step write to it.
    """
    for path in (wishes.code_quality, wishes.sarif):
        if path is not None:
            path.unlink(missing_ok=True)


def _append(path: Path, outcomes: Outcomes) -> None:
    already = path.stat().st_size if path.exists() else 0
    with path.open("a", encoding="utf-8") as file:
        file.write(step_summary(outcomes, already))
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    data = text.encode()
    with writing_beside(path, len(data)) as file:
        file.write(data)
