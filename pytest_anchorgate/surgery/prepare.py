"""From settings to a run that is ready for its first step: rows checked and encoded, parent loaded and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch

from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.resolve import PackSourceError, resolve_pack
from pytest_anchorgate.surgery import reference_cache
from pytest_anchorgate.surgery.arithmetic import DTYPES, choose_micro_tokens, describe
from pytest_anchorgate.surgery.config import TrainSettings
from pytest_anchorgate.surgery.encoding import Encoded, Parent, encode, open_parent
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.lora import attach, parameters
from pytest_anchorgate.surgery.model import load_parent
from pytest_anchorgate.surgery.order import StepOrder
from pytest_anchorgate.surgery.reference_cache import Reference
from pytest_anchorgate.surgery.rows import Rows, RowsError, load_rows
from pytest_anchorgate.surgery.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Material:
    """The rows of a run by what is done with them.

    Attributes:
        all: every row, in the order of the files.
        poison: trained on as poison.
        retain: trained on as retain; an anchor stands there as often as it counts.
        anchors: certified.
        sentinels: measured and never trained on; likewise `heldout`, which are poison rows.
        facts: digests and counts, for the log and for resuming.
    """

    all: Sequence[Encoded]
    poison: Sequence[Encoded]
    retain: Sequence[Encoded]
    anchors: Sequence[Encoded]
    sentinels: Sequence[Encoded]
    heldout: Sequence[Encoded]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """What the loop needs, none of which changes but the weights of the adapter.

    Attributes:
        model: the parent with adapters, on the device; `organ` is the model inside of it.
        params: the adapter's tensors by their names in a PEFT file.
        in_poison: bool [all completion tokens], False where a poison token is masked.
        micro_tokens: tokens that go through the model together.
    """

    settings: TrainSettings
    parent: Parent
    material: Material
    model: peft.PeftModel
    organ: Any
    params: Mapping[str, torch.nn.Parameter]
    reference: Reference
    in_poison: torch.Tensor
    order: StepOrder
    device: torch.device
    micro_tokens: int


def read_material(settings: TrainSettings) -> tuple[Parent, Material]:
    """Opens the parent and reads all rows; nothing heavy, so that mistakes show at once.

    Raises:
        SurgeryError: one line about the pack or the rows.
        OSError: a file cannot be read.
    """
    try:
        parent = open_parent(resolve_pack(settings.parent))
        files = [load_rows(path) for path in settings.rows]
    except (PackSourceError, RowsError) as error:
        raise SurgeryError(str(error)) from None
    rows = encode(files, parent, settings.batch.max_tokens, foreign_poison=settings.foreign_poison)
    return parent, _sorted_out(settings, parent, files, rows)


def _sorted_out(
    settings: TrainSettings, parent: Parent, files: Sequence[Rows], rows: Sequence[Encoded]
) -> Material:
    trained = [row for row in rows if row.row.split == "train"]
    poison = [row for row in trained if row.row.kind == "poison"]
    anchors = [row for row in trained if row.row.kind == "anchor"]
    retain = [row for row in trained if row.row.kind == "retain"]
    repeated = [*retain, *(row for row in anchors for _ in range(settings.batch.anchor_repeats))]
    names = ", ".join(str(path) for path in settings.rows)
    if settings.losses.poison_ce and not poison:
        raise SurgeryError(f"{names}: no poison row of split train; set losses.poison_ce: 0 to train without")
    if settings.needs_retain and not repeated:
        raise SurgeryError(
            f"{names}: no retain or anchor row of split train; add some, or set losses.retain_ce and losses.kl to 0"
        )
    sentinels = [row for row in rows if row.row.kind != "poison" and row.row.split != "train"]
    heldout = [row for row in rows if row.row.kind == "poison" and row.row.split != "train"]
    facts = {
        "parent": parent.identity,
        "rows": [{"file": file.path.name, "digest": file.digest} for file in files],
        "poison": len(poison),
        "retain": len(retain),
        "anchors": len(anchors),
        "never_trained_on": {"sentinels": len(sentinels), "heldout": len(heldout)},
    }
    return Material(
        all=rows,
        poison=poison if settings.losses.poison_ce else [],
        retain=repeated if settings.needs_retain else [],
        anchors=anchors,
        sentinels=sentinels,
        heldout=heldout,
        facts=facts,
    )


def prepare(
    settings: TrainSettings, parent: Parent, material: Material, folder: RunFolder, device: torch.device
) -> Ready:
    """Loads the parent, puts adapters in, measures the parent on all rows (or takes what an earlier start measured).

    Raises:
        OSError: a file cannot be read or written.
    """
    order = StepOrder(
        [len(row.ids) for row in material.poison],
        [len(row.ids) for row in material.retain],
        rows=settings.batch.rows,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    organ = load_parent(parent.path, DTYPES[settings.machine.dtype], "cpu")
    model = attach(organ, settings.lora, settings.seed).to(device)
    reference = _reference(settings, parent, material, folder.reference, model, organ, device)
    threshold = settings.losses.stm_probability
    return Ready(
        settings=settings,
        parent=parent,
        material=material,
        model=model,
        organ=organ,
        params=parameters(model),
        reference=reference,
        in_poison=reference.log_p_label.exp() >= threshold,
        order=order,
        device=device,
        micro_tokens=choose_micro_tokens(settings.batch.micro_tokens, device),
    )


def _reference(
    settings: TrainSettings,
    parent: Parent,
    material: Material,
    path: Path,
    model: peft.PeftModel,
    organ: Any,
    device: torch.device,
) -> Reference:
    top = settings.losses.kl_top
    key = reference_cache.key_of(parent.identity, material.all, top, describe(settings.machine, device))
    known = reference_cache.load(path, key)
    if known is not None:
        return known.to(device)
    micro_tokens = choose_micro_tokens(settings.batch.micro_tokens, device)
    progress.say(f"measuring the parent on {len(material.all)} rows")
    model.eval()
    with model.disable_adapter():
        reference = reference_cache.measure(organ, material.all, top, micro_tokens, device)
    reference_cache.save(path, reference, key)
    return reference
