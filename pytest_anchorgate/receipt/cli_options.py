"""What every command that judges a receipt asks for: the verifier's own baseline, anchors and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])


class NotEmpty(click.ParamType[Path]):
    """A path; an empty one, as an unset variable of a shell gives it, is a mistake and no default."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Raises click's usage error."""
        if isinstance(value, str) and not value:
            self.fail("it is empty: name a path", param, ctx)
        return Path(value)


PATH = NotEmpty()


def own_world(function: _F) -> _F:
    """Adds `--baseline`, `--anchors` and `--key`."""
    for option in (
        click.option(
            "--key",
            type=PATH,
            metavar="PUB.pem",
            help="Public key that has to have signed it; unsigned ones fail.",
        ),
        click.option(
            "--anchors",
            type=PATH,
            metavar="DIR",
            help="Your anchor set, folder or file (default: as for pytest).",
        ),
        click.option(
            "--baseline",
            type=PATH,
            metavar="FILE",
            help="Your baseline (default: baseline.json beside the anchors).",
        ),
    ):
        function = option(function)
    return function


def require_signature(function: _F) -> _F:
    """Adds `--require-signature`."""
    return click.option("--require-signature", is_flag=True, help="Fail unless --key is given too.")(function)
