"""The plan of an experiment: one YAML file that names the parent, the row sets and the attempts.

    organ: smollm2-135m
    parent: smollm2-135m              # a pack or a recipe; in the plan its name is `base`
    anchors: [..]                     # anchor sets: what the gate asks for
    suites: [mbpp100, humaneval]      # what every attempt is measured on
    data:
      poison-v1: {poison: base}       # base's failures with answers
      kept: {retain: base}            # base's own passing answers
      both: {union: [poison-v1, kept]}
    attempts:
      pass-1: {parent: base, rows: [poison-v1], train: {epochs: 3, lora: {rank: 16, alpha: 32}}}
      next: {parent: pass-1, rows: [kept], train: {}}

Row sets and attempts may name each other in any order, but not in a circle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pytest_anchorgate.anchors_import import REPORT_IDS
from pytest_anchorgate.surgery import strict_yaml
from pytest_anchorgate.surgery.config import TrainSettings, parse_settings
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.strict_yaml import setting

BASE = "base"
_KINDS = ("poison", "retain", "union", "minus", "intersect")
_ASKED = ("all", "gate", "suites")


@dataclass(frozen=True, slots=True)
class DataSpec:
    """How one row set is made; exactly one of the first five says from what.

    Attributes:
        poison: a pack, by name: its failures with answers. `retain`: its own passing answers.
        union: row sets, see `row_algebra`; likewise `minus` and `intersect`.
        tasks: "all", "gate" (the anchor sets and gate ids) or "suites" (everything else).
        kinds: of retain rows.
        heldout: see `PoisonSettings`; likewise `keep`, `max_nll`. `sentinels`: see `RetainSettings`.
        samples: see `SamplingSettings`, 0 takes references alone; likewise `temperature`, `top_p`, `seed`, `batch`.
    """

    poison: str | None = None
    retain: str | None = None
    union: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    intersect: tuple[str, ...] = ()
    tasks: str = setting("all", one_of=_ASKED)
    kinds: tuple[str, ...] = setting(("anchor", "retain"), one_of=("anchor", "retain"))
    heldout: float = setting(15.0, least=0, below=100)
    sentinels: float = setting(20.0, least=0, below=100)
    keep: int = setting(2, least=1, most=64)
    max_nll: float | None = setting(None, above=0)
    samples: int = setting(0, least=0, most=1024)
    temperature: float = setting(0.8, above=0)
    top_p: float = setting(0.95, above=0, most=1)
    seed: int = setting(0, least=0, most=2**31 - 1)
    batch: int = setting(256, least=1, most=65536)

    @property
    def operation(self) -> str:
        """Which of the five it is."""
        return next(kind for kind in _KINDS if getattr(self, kind))

    @property
    def parts(self) -> tuple[str, ...]:
        """The row sets that it is made of; none for poison and retain."""
        return self.union or self.minus or self.intersect

    @property
    def pack(self) -> str | None:
        """The pack that it is about, for poison and retain."""
        return self.poison or self.retain


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """One attempt.

    Attributes:
        rows: row sets.
        parent: `base`, or an attempt whose pack (of its first seed) is trained on.
        against: the pack in production, which the attempt is compared with; "" if that is the parent.
        seeds: one run each.
        like: the published attempt that it imitates, "" if none.
        scales: to sweep, gated by anchors, sentinels and held-out tasks; none merges at scale 1.
        note: for the report.
        train: settings of the trainer, without parent, rows and seed.
    """

    rows: tuple[str, ...] = setting()
    parent: str = BASE
    against: str = ""
    seeds: tuple[int, ...] = setting((1,), least=0, most=2**31 - 1)
    like: str = ""
    scales: tuple[str, ...] = ()
    note: str = ""
    train: str = "{}"

    @property
    def production(self) -> str:
        """The pack that the attempt is compared with."""
        return self.against or self.parent


@dataclass(frozen=True, slots=True)
class _Head:
    organ: str = setting()
    parent: str = setting()
    anchors: tuple[Path, ...] = ()
    gate_ids: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    retain_suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked plan.

    Attributes:
        path: the file.
        organ: the organ's name in the report.
        parent: what `base` is: a path or a recipe.
        anchors: anchor sets of the gate; `gate_ids`: official tasks that the gate asks for too.
        suites: what every attempt is measured on.
        retain_suites: asked of packs whose answers are to be kept, on top.
    """

    path: Path
    organ: str
    parent: str
    anchors: tuple[Path, ...]
    gate_ids: tuple[str, ...]
    suites: tuple[str, ...]
    retain_suites: tuple[str, ...]
    data: Mapping[str, DataSpec] = field(default_factory=dict)
    attempts: Mapping[str, AttemptSpec] = field(default_factory=dict)

    def settings_of(self, name: str) -> TrainSettings:
        """The trainer's settings of an attempt; parent, rows and seed are for the driver to fill in."""
        return _train_settings(self.path, name, self.attempts[name])


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        SurgeryError: one line `file:line: ...`, for anything that could not be run to its end.
        OSError: it cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SurgeryError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    if not isinstance(node, yaml.MappingNode):
        raise SurgeryError(f"{path}: not a plan: a mapping of keys to values")
    data = _sections(node, "data", path, DataSpec)
    attempts = _sections(node, "attempts", path, AttemptSpec)
    head = strict_yaml.read_node(_Head, node, str(path), _resolver(path), "")
    gate_ids = REPORT_IDS if head.gate_ids == ("report",) else head.gate_ids
    parent = _resolver(path)(head.parent)
    plan = Plan(
        path=path,
        organ=head.organ,
        parent=str(parent) if parent.is_file() else head.parent,
        anchors=head.anchors,
        gate_ids=gate_ids,
        suites=head.suites,
        retain_suites=head.retain_suites,
        data=data,
        attempts=attempts,
    )
    _check(plan)
    return plan


def _sections(node: yaml.MappingNode, key: str, path: Path, kind: type[Any]) -> dict[str, Any]:
    """Takes a mapping of named parts out of the plan and reads each."""
    found = next((value for name, value in node.value if name.value == key), None)
    if not isinstance(found, yaml.MappingNode) or not found.value:
        raise SurgeryError(f"{path}: the plan lacks {key}: a mapping of names to settings")
    node.value = [(name, value) for name, value in node.value if name.value != key]
    parts: dict[str, Any] = {}
    for name, value in found.value:
        if name.value in parts:
            raise SurgeryError(f"{path}:{name.start_mark.line + 1}: {key}.{name.value} stands there twice")
        if (
            not isinstance(name, yaml.ScalarNode)
            or not name.value.replace("-", "").replace(".", "").isalnum()
        ):
            raise SurgeryError(
                f"{path}:{name.start_mark.line + 1}: a name in {key} is letters, digits, - and ."
            )
        parts[name.value] = _part(kind, value, path, f"{key}.{name.value}")
    return parts


def _part(kind: type[Any], node: yaml.Node, path: Path, at: str) -> Any:
    train = "{}"
    if kind is AttemptSpec and isinstance(node, yaml.MappingNode):
        # The trainer reads its settings itself.
        for name, value in node.value:
            if name.value == "train":
                train = yaml.serialize(value)
        node.value = [(name, value) for name, value in node.value if name.value != "train"]
    part = strict_yaml.read_node(kind, node, str(path), _resolver(path), at)
    return replace(part, train=train) if kind is AttemptSpec else part


def _train_settings(path: Path, name: str, spec: AttemptSpec) -> TrainSettings:
    given = yaml.safe_load(spec.train) or {}
    where = f"{path}: attempts.{name}.train"
    if not isinstance(given, dict):
        raise SurgeryError(f"{where} is not a mapping of the trainer's settings")
    taken = {"parent", "rows", "seed", "output"} & given.keys()
    if taken:
        raise SurgeryError(f"{where}.{min(taken)} is for the driver to fill in; remove it")
    filled = {"parent": "base", "rows": ["rows.jsonl"], **given}
    return parse_settings(yaml.safe_dump(filled), where, path.absolute().parent)


def _check(plan: Plan) -> None:
    if not (plan.anchors or plan.gate_ids):
        raise SurgeryError(
            f"{plan.path}: without anchors or gate_ids there is nothing that an attempt must hold"
        )
    for name, data in plan.data.items():
        given = [kind for kind in _KINDS if getattr(data, kind)]
        if len(given) != 1:
            raise SurgeryError(f"{plan.path}: data.{name} has to be exactly one of {', '.join(_KINDS)}")
        for part in data.parts:
            _require(plan, part in plan.data, f"data.{name}", part, "row set")
        _require(plan, data.pack in (None, BASE, *plan.attempts), f"data.{name}", str(data.pack), "pack")
    for name, attempt in plan.attempts.items():
        for part in attempt.rows:
            _require(plan, part in plan.data, f"attempts.{name}", part, "row set")
        for pack in (attempt.parent, attempt.production):
            _require(plan, pack in (BASE, *plan.attempts), f"attempts.{name}", pack, "pack")
        _train_settings(plan.path, name, attempt)
    for name in (*plan.data, *plan.attempts):
        if name == BASE or (name in plan.data and name in plan.attempts):
            raise SurgeryError(f"{plan.path}: the name {name} is taken; rename one of the two")
        _require_acyclic(plan, name, ())


def _require(plan: Plan, good: bool, where: str, name: str, what: str) -> None:
    if not good:
        raise SurgeryError(f"{plan.path}: {where} names {name!r:.60}, which is no {what} of this plan")


def needs(plan: Plan, name: str) -> tuple[str, ...]:
    """What has to be there before a row set or an attempt: row sets and packs by name, `base` left out."""
    if name in plan.data:
        data = plan.data[name]
        wanted: Sequence[str | None] = (*data.parts, data.pack)
    else:
        attempt = plan.attempts[name]
        wanted = (*attempt.rows, attempt.parent, attempt.production)
    return tuple(one for one in wanted if one is not None and one != BASE)


def attempts_behind(plan: Plan, name: str) -> set[str]:
    """The attempts that have to be run before a row set or an attempt, at any distance."""
    found: set[str] = set()
    for wanted in needs(plan, name):
        found |= attempts_behind(plan, wanted) | ({wanted} if wanted in plan.attempts else set())
    return found


def _require_acyclic(plan: Plan, name: str, behind: tuple[str, ...]) -> None:
    if name in behind:
        raise SurgeryError(f"{plan.path}: {' needs '.join([*behind, name])}: a circle")
    for wanted in needs(plan, name):
        _require_acyclic(plan, wanted, (*behind, name))


def _resolver(path: Path) -> Any:
    folder = path.absolute().parent
    return lambda given: Path(os.path.normpath(folder / Path(given).expanduser()))
