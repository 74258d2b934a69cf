"""An anchor and a program to the sandbox: everything the anchor carries, handed over in one place."""

from __future__ import annotations

from typing import Any

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.sandbox import Verdict, verify


def verify_anchor(anchor: Anchor, code: str, **limits: Any) -> Verdict:
    """Verifies a program against an anchor.

    Args:
        anchor: what was asked.
        code: Python source that should define the entry point.
        limits: further keywords of `verify`: how long, how much, how confined.
    """
    return verify(
        code,
        entry_point=anchor.entry_point,
        tests=anchor.tests,
        check=anchor.check,
        setup=anchor.setup,
        prompt=anchor.code_prompt,
        reference=anchor.reference,
        inputs=anchor.inputs,
        exact_types=anchor.exact_types,
        inout=anchor.inout,
        **limits,
    )
