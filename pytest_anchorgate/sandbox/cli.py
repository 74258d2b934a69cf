"""`anchorgate sandbox doctor`: what this machine offers the sandbox, why not more, and whether it works."""

from __future__ import annotations

import os
import platform
import statistics
import sys

import click

from .court import Court
from .levels import LEVELS, MEANING
from .offer import offer
from .text import escape

_ROUNDS = 20
_REMEDY = {
    "namespaces": "allow unprivileged user namespaces: on Ubuntu 24.04 the AppArmor setting "
    "kernel.apparmor_restrict_unprivileged_userns=0, in Docker a seccomp profile that permits unshare",
    "Landlock": "boot a kernel from 5.13 on with landlock among the names of the option lsm=, and in a container "
    "allow the landlock_* system calls",
    "system-call filter": "allow seccomp filters (CONFIG_SECCOMP_FILTER) in the kernel or container",
}


class _NothingOffered(click.ClickException):
    exit_code = 11


@click.group()
def sandbox() -> None:
    """Explain how generated code is confined on this machine."""


@sandbox.command()
def doctor() -> None:
    """Try every level of confinement and say what is missing for the ones that do not work.

    Exit status 0 if code can be verified here, 11 if not.
    """
    click.echo(
        f"kernel {platform.release()} {platform.machine()}, Python {platform.python_version()}, {_user()}"
    )
    if not sys.platform.startswith("linux"):
        raise _NothingOffered(f"verification needs Linux, this is {sys.platform}")
    click.echo(_landlock())
    for level in LEVELS:
        _examine(level)
    found = offer()
    if not found.level:
        raise _NothingOffered(f"no code can be verified here: {found.failure}")
    click.echo(f"verifications here run at: {found.describe()}")
    _try_out(found.level)


def _user() -> str:
    return "as root" if os.geteuid() == 0 else f"as user {os.geteuid()}"


def _landlock() -> str:
    from . import landlock

    try:
        version = landlock.abi()
    except OSError as error:
        return f"Landlock: {error}"
    return f"Landlock: version {version}" if version else "Landlock: none"


def _examine(level: str) -> None:
    try:
        Court(level).close()
    except OSError as error:
        said = escape(str(error))
        click.echo(f"{level}: no ({MEANING[level]})")
        click.echo(f"    {said}")
        remedy = next((text for layer, text in _REMEDY.items() if said.startswith(layer)), "")
        if remedy:
            click.echo(f"    to change that: {remedy}")
    else:
        click.echo(f"{level}: yes ({MEANING[level]})")


def _try_out(level: str) -> None:
    """A right, a wrong and a hostile program, so that "yes" above is more than a promise."""
    from . import verify

    def run(code: str) -> tuple[str, float]:
        verdict = verify(code, entry_point="f", tests=["assert f(2) == 4"], level=level)
        return verdict.status, verdict.duration

    answers = [
        run(code)[0]
        for code in ("def f(x): return 2 * x", "def f(x): return x", "import os\ndef f(x): os._exit(0)")
    ]
    if answers != ["passed", "failed", "failed"]:
        raise _NothingOffered(f"a right, a wrong and a leaving program were judged {', '.join(answers)}")
    times = [run("def f(x): return 2 * x")[1] for _ in range(_ROUNDS)]
    click.echo(
        f"a right, a wrong and a leaving program were told apart; a verification takes "
        f"{1000 * statistics.median(times):.1f} ms (median of {_ROUNDS})"
    )
