"""`lineage`: whether a pack is the child of another, found in the weights and not in what the packs say.

A difference of two weights is a child's if its rank, above what rounding adds, is at most the adapter's. A sibling,
made from the same base by another adapter, differs by the ranks of both. Weights of another origin differ in all
directions. With the adapter at hand the merge is done again and must give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.packs.adapter import Adapter, read_adapter
from pytest_anchorgate.packs.lineage_measure import Replay, rank_above_rounding, replay
from pytest_anchorgate.packs.merge import canonical_scale
from pytest_anchorgate.packs.reader import PackReader, open_pack

__all__ = ["Lineage", "lineage", "render"]

# Merged by another program, a few elements in a hundred thousand fall on the other side of a tie.
_TIES = 1e-4
_ALIKE = 0.03
_EXPLAINED = 0.5
_OTHER_ORIGIN = 0.5
_FREE_METADATA = frozenset(
    f"planck.{key}" for key in ("digests", "identity", "layout", "source", "parent", "adapter")
)
GOOD = ("same", "child", "low rank")


@dataclass(frozen=True, slots=True)
class Lineage:
    """What the weights of two packs say about their relation.

    Attributes:
        verdict: "same", "child", "low rank" (a child, or a sibling: the rank of the adapter is not known), "not a
            child", "other origin", "fault".
        why: one line.
        claimed: whether the child says that this is its parent.
        ranks: name of each changed linear weight -> rank of its difference above rounding; empty where the replay
            was exact and nobody needs it.
        elsewhere: changed tensors that no LoRA adapter changes, or not the one given, and metadata that differs.
        replay: None without an adapter.
    """

    verdict: str
    why: str
    claimed: bool
    changed: tuple[str, ...]
    ranks: Mapping[str, int]
    elsewhere: tuple[str, ...]
    replay: Replay | None

    @property
    def good(self) -> bool:
        """Whether nothing speaks against a child of this parent."""
        return self.verdict in GOOD

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        done = self.replay
        return {
            "verdict": self.verdict,
            "why": self.why,
            "claimed": self.claimed,
            "changed": list(self.changed),
            "ranks": dict(self.ranks),
            "elsewhere": list(self.elsewhere),
            "replay": None
            if done is None
            else {
                "elements": done.elements,
                "differing": done.differing,
                "neighbours": done.neighbours,
                "dose": round(done.dose, 4),
                "residual": round(done.residual, 4),
            },
        }


def lineage(
    child: Path,
    parent: Path,
    *,
    adapter: Path | None = None,
    scale: str | None = None,
    rank: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Lineage:
    """Compares two packs.

    Args:
        child: the pack in question.
        parent: the pack that it should come from.
        adapter: the PEFT folder with which it should have been made.
        scale: of that adapter; None for the one that the child names, or 1.
        rank: of the adapter, where only this is known.
        advance: called with the number of bytes of the weights just compared.

    Raises:
        PackFormatError, PackSourceError: one of the three cannot be used.
        OSError: something cannot be read.
    """
    new, old = open_pack(child), open_pack(parent)
    claimed = new.metadata["planck.parent"] == old.metadata["planck.identity"]
    elsewhere = _metadata_changes(new, old)
    if new.config != old.config:
        return Lineage("other origin", "the hyperparameters differ", claimed, (), {}, elsewhere, None)
    changed = tuple(name for name in old.names() if new.digests[name] != old.digests[name])
    linear = [name for name in changed if _is_linear(name)]
    elsewhere = (*elsewhere, *(name for name in changed if name not in linear))
    if not changed and not elsewhere:
        return Lineage(
            "same", "every tensor and all that decides the answers is equal", claimed, (), {}, (), None
        )
    lora = _adapter(adapter, old)
    done = None
    if lora is not None:
        elsewhere = (*elsewhere, *(name for name in linear if name not in lora.parts))
        done = _replay(new, old, lora, _scale(scale, new), advance)
        rank = max(part.rank for part in lora.parts.values())
    ranks = {}
    if done is None or done.differing > _TIES * done.elements:
        ranks = {name: _rank(new, old, name, advance) for name in linear}
    verdict, why = _judge(new, elsewhere, done, ranks, rank)
    return Lineage(verdict, why, claimed, changed, ranks, elsewhere, done)


def _metadata_changes(new: PackReader, old: PackReader) -> tuple[str, ...]:
    keys = sorted((new.metadata.keys() | old.metadata.keys()) - _FREE_METADATA)
    return tuple(key for key in keys if new.metadata.get(key) != old.metadata.get(key))


def _is_linear(name: str) -> bool:
    return name == "lm_head.weight" or name.endswith("_proj.weight")


def _adapter(folder: Path | None, old: PackReader) -> Adapter | None:
    # Whatever base it names: which one it is, is the question.
    return None if folder is None else read_adapter(folder, old.config, "", any_base=True)


def _scale(given: str | None, new: PackReader) -> str:
    claimed = new.source.get("scale")
    return canonical_scale(given or (claimed if isinstance(claimed, str) else "1"), any_scale=True)


def _replay(
    new: PackReader, old: PackReader, adapter: Adapter, scale: str, advance: Callable[[int], None]
) -> Replay:
    total = Replay(0, 0, 0, 0.0, 0.0, 0.0)
    for name, part in adapter.parts.items():
        before, after = _whole(old, name), _whole(new, name)
        total += replay(before, after, part, scale)
        advance(after.nbytes)
    return total


def _rank(new: PackReader, old: PackReader, name: str, advance: Callable[[int], None]) -> int:
    before, after = _whole(old, name), _whole(new, name)
    advance(after.nbytes)
    return rank_above_rounding(before, after)


def _whole(pack: PackReader, name: str) -> Any:
    source = pack.logical(name)
    return source.read(0, source.shape[0])


def _judge(
    new: PackReader,
    elsewhere: tuple[str, ...],
    done: Replay | None,
    ranks: Mapping[str, int],
    rank: int | None,
) -> tuple[str, str]:
    wide = _of_another_origin(new, ranks)
    if wide:
        return (
            "other origin",
            f"the difference of {wide} has no low rank: these weights were never the parent's",
        )
    if elsewhere:
        more = f" and {len(elsewhere) - 1} more" if len(elsewhere) > 1 else ""
        return "fault", f"{elsewhere[0]}{more} differs, which the adapter does not change"
    if done is not None and not done.differing:
        return "child", f"merging the adapter again gives the same bits in all {done.elements:,} elements"
    if done is not None and done.differing == done.neighbours <= _TIES * done.elements:
        return "child", (
            f"merging the adapter again differs in {done.differing} of {done.elements:,} elements, each by one "
            "step: another program merged it"
        )
    found = max(ranks.values(), default=0)
    if done is not None:
        return "not a child", _dose(done, found)
    if rank is None:
        return "low rank", (
            f"the differences have rank {found} at most: a child if the adapter has that rank, "
            "otherwise a sibling; --rank or --adapter decides"
        )
    if found <= rank:
        return "child", f"the differences have rank {found} at most, the adapter {rank}"
    return "not a child", (
        f"the differences have up to rank {found}, the adapter {rank}: at least {found - rank} more lie between; "
        "it was made from another pack, or by another adapter as well"
    )


def _of_another_origin(new: PackReader, ranks: Mapping[str, int]) -> str:
    """The first weight whose difference has more than half of all possible ranks, "" if there is none."""
    shapes = new.config.tensor_shapes()
    return next((name for name, rank in ranks.items() if rank > _OTHER_ORIGIN * min(shapes[name])), "")


def _dose(done: Replay, found: int) -> str:
    share = f"{100 * done.differing / done.elements:.2g} % of the elements differ from the adapter's merge"
    if done.residual > _EXPLAINED:
        return (
            f"{share}, and {100 * done.residual:.0f} % of the difference is not this adapter's (rank {found}): "
            "another parent, or another adapter"
        )
    words = {2.0: " (merged twice)", -1.0: " (negated)", 0.0: " (not merged)"}
    word = next((text for dose, text in words.items() if abs(done.dose - dose) < _ALIKE), "")
    return (
        f"{share}: it was added {done.dose:.3g} times{word}, where 1 is right; "
        "check alpha, rank, rsLoRA and the scale"
    )


def render(found: Lineage) -> str:
    """The finding for people."""
    lines = [f"{found.verdict}: {found.why}"]
    says = "names this parent" if found.claimed else "does not name this parent"
    lines.append(f"  the child {says} in its metadata")
    lines.append(f"  {len(found.changed)} tensors differ")
    lines += [f"  differs, though the adapter does not change it: {name}" for name in found.elsewhere]
    counts: dict[int, int] = {}
    for rank in found.ranks.values():
        counts[rank] = counts.get(rank, 0) + 1
    lines += [f"  rank {rank:>4} above rounding: {counts[rank]} weights" for rank in sorted(counts)]
    return "\n".join(lines)
