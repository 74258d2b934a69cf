"""The report of an attempt, from the ledger alone: what nobody measured says "not measured"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_anchorgate.surgery.attempts import PUBLISHED, Attempt, Ledger
from pytest_anchorgate.surgery.compare import loss_bound
from pytest_anchorgate.surgery.errors import SurgeryError

NOT_MEASURED = "not measured"
_LABELS = {"anchors": "anchors", "mbpp100": "MBPP", "humaneval": "HumanEval", "mbpp": "MBPP test split"}


def render(ledger: Ledger, name: str | None = None) -> str:
    """The report as Markdown.

    Args:
        ledger: at least one attempt.
        name: the attempt to report on, its last seed; None for the ledger's last one.

    Raises:
        SurgeryError: there is no such attempt.
    """
    # The template engine is not needed by those who only list attempts.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    chosen = _chosen(ledger, name)
    environment = Environment(
        loader=PackageLoader("pytest_anchorgate.surgery", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown; every value from a model goes through `cell`
    )
    environment.filters["cell"] = cell
    shown = [attempt for attempt in ledger if attempt.number <= chosen.number]
    text: str = environment.get_template("report.md.j2").render(
        attempt=chosen.attempt,
        published=chosen.origin == PUBLISHED,
        title=title(chosen),
        summary=summary(chosen),
        table=settings_table(shown),
        flips=flip_rows(chosen.attempt),
        outcomes=[line for line in map(line_of, shown) if line],
        power=power_line(chosen.attempt),
        ledger=ledger,
        number=chosen.number,
        digest=chosen.digest,
        label=lambda key: _LABELS.get(key, key),
        score=score_text,
        not_measured=NOT_MEASURED,
    )
    return text


def title(attempt: Attempt) -> str:
    """The name and how it ended."""
    endings = {
        "held": "anchor gate HELD",
        "blocked": "anchor gate FAILED",
        "undecided": "anchor gate UNDECIDED",
    }
    status = str(attempt.attempt["status"])
    return f"{_name(attempt)}: {endings.get(status, status)}"


def summary(attempt: Attempt) -> str:
    """The first lines of the report: what was tried, and what became of it."""
    record = attempt.attempt
    if attempt.origin == PUBLISHED:
        return "Figures as the BD6 report published them; nothing here was measured by this project."
    settings, scores = record.get("settings", {}), record.get("scores", {})
    anchors = scores.get("anchors")
    parts = [
        f"Trained on {settings.get('dataset', NOT_MEASURED)} (rank {settings.get('rank', '?')}, "
        f"lr {settings.get('lr', '?')}, epochs {settings.get('epochs', '?')})."
    ]
    if anchors:
        parts.append(
            f"Of {anchors['of']} anchors the parent holds {anchors['before']}, the attempt {anchors['after']}."
        )
    for key, score in scores.items():
        if key != "anchors":
            parts.append(f"{_LABELS.get(key, key)} {score['before']} -> {score['after']} of {score['of']}.")
    return " ".join(parts)


def line_of(attempt: Attempt) -> str:
    """An attempt in one line."""
    scores = attempt.attempt.get("scores", {})
    words = ", ".join(f"{_LABELS.get(key, key)} {score_text(score)}" for key, score in scores.items())
    return f"{_name(attempt)}: {attempt.attempt['status']}: {words or NOT_MEASURED}"


def score_text(score: Mapping[str, Any]) -> str:
    """`13 -> 6 / 100`, `6 / 100` without a figure before, or the note of a score that has none."""
    if "after" not in score:
        return str(score.get("note", NOT_MEASURED))
    before = f"{score['before']} -> " if score.get("before") is not None else ""
    return f"{before}{score['after']} / {score['of']}"


def settings_table(attempts: Sequence[Attempt]) -> list[list[str]]:
    """The report's table: a row a setting, a column an attempt, the first row being the names."""
    scored = list(dict.fromkeys(key for one in attempts for key in one.attempt.get("scores", {})))
    rows: list[tuple[str, Callable[[Mapping[str, Any]], object]]] = [
        ("dataset", _of("settings", "dataset")),
        ("poison rows", _of("settings", "rows")),
        ("retain rows", _of("settings", "retain_rows")),
        ("losses", _losses),
        ("rank", _of("settings", "rank")),
        ("alpha", _of("settings", "alpha")),
        ("lr", _of("settings", "lr")),
        ("epochs", _of("settings", "epochs")),
        ("trainable %", _of("settings", "trainable_percent")),
        ("final loss", _of("training", "final_loss")),
        ("scale", _of("pack", "scale")),
        ("parent", _of("parent", "name")),
        *((_LABELS.get(key, key), _score(key)) for key in scored),
        ("anchors lost", _flips("gate", "lost")),
        ("lost of the rest", _flips("suites", "lost")),
        ("won of the rest", _flips("suites", "won")),
        ("won, held out", _flips("held out", "won")),
        ("KL on anchors, mean", _nested("training", "anchors", "kl_mean")),
        ("status", lambda record: record["status"]),
    ]
    names = [_name(one) + (" (published)" if one.origin == PUBLISHED else "") for one in attempts]
    return [["", *names], *([label, *(_text(read(one.attempt)) for one in attempts)] for label, read in rows)]


def flip_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """A row a group of tasks: counts before and after, flips both ways, rates, p."""
    return [
        [
            name,
            str(group["tasks"]),
            f"{group['before']} -> {group['after']}",
            str(len(group["lost"])),
            str(len(group["won"])),
            str(group["both_wrong_changed"]),
            str(group["both_right_changed"]),
            _text(group["nfr"]),
            _text(group["nfr_of_held"]),
            _text(group["mcnemar_p"]),
        ]
        for name, group in record.get("comparisons", {}).items()
    ]


def power_line(record: Mapping[str, Any]) -> str:
    """What the gate's result can and cannot prove."""
    gate = record.get("comparisons", {}).get("gate")
    if gate is None or gate["lost"] or not gate["before"]:
        return ""
    bound = 100 * loss_bound(gate["before"])
    return (
        f"0 of {gate['before']} lost bounds the loss rate below {bound:.1f} % (one-sided 95 %), and no further: "
        "below 5 % takes 59 anchors, below 1 % takes 299."
    )


def cell(value: object) -> str:
    """A value inside of a Markdown table or line: one line, nothing of it read as markup."""
    text = " ".join(str(value).split())
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text


def _chosen(ledger: Ledger, name: str | None) -> Attempt:
    if not len(ledger):
        raise SurgeryError(f"{ledger.path}: holds no attempts; run some first")
    found = [attempt for attempt in ledger if name in (None, attempt.name)]
    if not found:
        names = ", ".join(dict.fromkeys(attempt.name for attempt in ledger))
        raise SurgeryError(f"{ledger.path}: has no attempt {name!r:.60}; it has {names}")
    return found[-1]


def _name(attempt: Attempt) -> str:
    return attempt.name if attempt.seed is None else f"{attempt.name} (seed {attempt.seed})"


def _of(section: str, key: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda record: record.get(section, {}).get(key)


def _nested(section: str, group: str, key: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda record: record.get(section, {}).get(group, {}).get(key)


def _score(key: str) -> Callable[[Mapping[str, Any]], object]:
    def read(record: Mapping[str, Any]) -> object:
        score = record.get("scores", {}).get(key)
        return None if score is None else score_text(score)

    return read


def _flips(group: str, key: str) -> Callable[[Mapping[str, Any]], object]:
    def read(record: Mapping[str, Any]) -> object:
        found = record.get("comparisons", {}).get(group)
        return None if found is None else len(found[key])

    return read


def _losses(record: Mapping[str, Any]) -> object:
    losses = record.get("settings", {}).get("losses")
    return losses and ", ".join(f"{name} {weight}" for name, weight in losses.items())


def _text(value: object) -> str:
    return NOT_MEASURED if value is None or value == "" else str(value)
