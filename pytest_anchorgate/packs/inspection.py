"""`inspect`: everything a pack claims, checked against what it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_anchorgate.packs import bf16, panels
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.frame import NUMERICS, encode_header, identity_of
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.planck import row_blocks
from pytest_anchorgate.packs.reader import PackReader, open_pack


@dataclass(frozen=True, slots=True)
class TensorReport:
    """One tensor: its logical shape, the digest the pack claims, and whether its bytes have it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    digest_ok: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What is inside of a pack.

    Attributes:
        sha256: of the file.
        problems: one line each; empty for a good pack.
    """

    path: Path
    size: int
    sha256: str
    identity: str
    config: PackConfig
    metadata: dict[str, str]
    stop_ids: tuple[int, ...]
    source: dict[str, Any]
    tokens: int
    merges: int
    added: int
    tensors: tuple[TensorReport, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything the pack claims is so."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "path": str(self.path),
            "size": self.size,
            "sha256": self.sha256,
            "identity": self.identity,
            "parameters": self.config.parameters,
            "metadata": {k: v for k, v in self.metadata.items() if k != "planck.digests"},
            "tokenizer": {"tokens": self.tokens, "merges": self.merges, "added": self.added},
            "tensors": [
                {
                    "name": t.name,
                    "dtype": t.dtype,
                    "shape": list(t.shape),
                    "sha256": t.digest,
                    "ok": t.digest_ok,
                }
                for t in self.tensors
            ],
        }


def inspect(path: Path, *, advance: Callable[[int], None] = lambda _: None) -> Report:
    """Re-checks a pack as a whole: frame, shapes, order, padding, every digest, the tokenizer, the identity.

    Args:
        path: the pack.
        advance: called with the number of bytes just checked; each byte counts twice, as file and as tensor.

    Returns:
        A report. Contents that do not match their digests are `problems` of it, all of them.

    Raises:
        PackFormatError: if the frame is broken, so that there are no contents to check.
        OSError: if the file cannot be read.
    """
    reader = open_pack(path)
    problems = list(_metadata_problems(reader))
    tensors = []
    for name in reader.header.entries:
        report, found = _check_tensor(reader, name, advance)
        tensors.append(report)
        problems += found
    try:
        tokens = len(reader.vocabulary().tokens)
    except PackFormatError as error:
        tokens = 0
        problems.append(str(error).removeprefix(f"{path}: "))
    if tokens > reader.config.vocab_size:
        problems.append(f"the tokenizer has {tokens} tokens, planck.vocab_size is {reader.config.vocab_size}")
    return Report(
        path=path,
        size=path.stat().st_size,
        sha256=file_sha256(path, advance),
        identity=reader.metadata["planck.identity"],
        config=reader.config,
        metadata=reader.metadata,
        stop_ids=reader.stop_ids,
        source=reader.source,
        tokens=tokens,
        merges=len(reader.stored("tokenizer.merges")),
        added=len(reader.stored("tokenizer.added")),
        tensors=tuple(tensors),
        problems=tuple(problems),
    )


def _metadata_problems(reader: PackReader) -> Iterator[str]:
    metadata = reader.metadata
    identity = identity_of(metadata)
    if metadata["planck.identity"] != identity:
        yield f"planck.identity is {metadata['planck.identity']}, the metadata give {identity}"
    if metadata["planck.numerics"] != NUMERICS:
        yield f"planck.numerics is {metadata['planck.numerics']!r}, this release computes {NUMERICS}"
    if encode_header(metadata, list(reader.header.entries.values()))[8:] != reader.header.raw:
        yield "the header is not written canonically: another program than the pack builder wrote it"


def _check_tensor(
    reader: PackReader, name: str, advance: Callable[[int], None]
) -> tuple[TensorReport, list[str]]:
    problems = []
    entry = reader.header.entries[name]
    weights = reader.config.tensor_shapes()
    digest = hashlib.sha256()
    if name in weights:
        shape, source = weights[name], reader.logical(name)
        finite = True
        for start, stop in row_blocks(shape):
            block = source.read(start, stop)
            finite = finite and _finite(block)
            digest.update(np.ascontiguousarray(block).data)
            advance(block.nbytes)
        if not finite:
            problems.append(f"{name} holds a NaN or an infinity")
        if len(shape) == 2 and not panels.padding_is_zero(reader.stored(name), shape[0]):
            problems.append(f"{name}: the rows that fill up its last panel are not +0")
    else:
        shape = entry.shape
        digest.update(np.ascontiguousarray(reader.stored(name)).data)
        advance(entry.end - entry.begin)
    ok = digest.hexdigest() == reader.digests[name]
    if not ok:
        problems.append(
            f"{name}: its digest is {digest.hexdigest()}, planck.digests says {reader.digests[name]}"
        )
    return TensorReport(name, entry.dtype, shape, reader.digests[name], ok), problems


def _finite(block: Any) -> bool:
    if block.dtype == np.uint16:
        try:
            bf16.require_finite_bf16(block)
        except bf16.NotFiniteError:
            return False
        return True
    return bool(np.isfinite(block).all())


def render(report: Report) -> str:
    """The report for people: a dozen lines, one line per kind of tensor, and every problem."""
    config, metadata = report.config, report.metadata
    prefix, suffix = metadata["planck.template.prefix"], metadata["planck.template.suffix"]
    heads = f"{config.num_attention_heads} heads, {config.num_key_value_heads} kv heads of {config.head_dim}"
    output = "tied" if config.tie_word_embeddings else "untied"
    lines = [
        f"{report.path}  {report.size:,} bytes",
        f"  sha256        {report.sha256}",
        f"  identity      {report.identity}",
        f"  architecture  {config.architecture}, {config.parameters:,} parameters, {output} output"
        + (", q/k/v bias" if config.attention_bias else ""),
        f"  shape         {config.num_hidden_layers} layers, hidden {config.hidden_size}, "
        f"mlp {config.intermediate_size}, {heads}",
        f"  limits        vocabulary {config.vocab_size}, {config.max_position_embeddings} positions",
        f"  constants     rope theta {config.rope_theta}, rms norm eps {config.rms_norm_eps}",
        f"  template      {prefix!r} + prompt + {suffix!r}",
        f"  stop ids      {metadata['planck.stop_ids']}",
        f"  tokenizer     {metadata['planck.tokenizer.pretokenizer']!r}, "
        f"normalizer {metadata['planck.tokenizer.normalizer']!r}, "
        f"{report.tokens} tokens, {report.merges} merges, {report.added} added",
        f"  numerics      {metadata['planck.numerics']!r}, layout {metadata['planck.layout']}",
        f"  source        {json.dumps(report.source)}",
        *(
            f"  {key:<12}  {metadata['planck.' + key]}"
            for key in ("parent", "adapter")
            if metadata["planck." + key]
        ),
        "  tensors",
        *(f"    {line}" for line in _tensor_table(report.tensors)),
    ]
    failed = sum(not tensor.digest_ok for tensor in report.tensors)
    lines.append(f"  digests       {len(report.tensors) - failed} of {len(report.tensors)} match")
    lines += [f"  PROBLEM       {problem}" for problem in report.problems]
    return "\n".join(lines)


def _tensor_table(tensors: tuple[TensorReport, ...]) -> list[str]:
    """Tensors of the same kind in all layers on one line."""
    kinds: dict[tuple[str, str, str], int] = {}
    for tensor in tensors:
        name = ".".join("*" if part.isdecimal() else part for part in tensor.name.split("."))
        kind = (name, tensor.dtype, str(list(tensor.shape)))
        kinds[kind] = kinds.get(kind, 0) + 1
    width = max(len(name) for name, _, _ in kinds)
    return [
        f"{count:>4} x {name:<{width}}  {dtype:<4}  {shape}" for (name, dtype, shape), count in kinds.items()
    ]
