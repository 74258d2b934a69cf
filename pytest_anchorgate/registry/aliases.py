"""The aliases `production` and `previous`: symlinks into the store that change in one piece.

`ln -sfn` removes a link and makes another; between the two there is none
(https://deployer.org/blog/atomic-symlinks). Here the new link is made beside and renamed over the old one.
"""

from __future__ import annotations

import errno
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate.packs.atomic import sync_folder
from pytest_anchorgate.registry.errors import RegistryError
from pytest_anchorgate.registry.store import PACKS

PRODUCTION = "production"
PREVIOUS = "previous"
_TARGET = re.compile(re.escape(f"{PACKS.folder}/sha256-") + r"([0-9a-f]{64})" + re.escape(PACKS.suffix))


@dataclass(frozen=True, slots=True)
class Aliases:
    """Which packs the two aliases name, by digest; None where there is no such alias."""

    production: str | None = None
    previous: str | None = None


def read_aliases(root: Path) -> Aliases:
    """What the aliases name now, whether or not it is there.

    Raises:
        RegistryError: something stands there that no command of ours made.
        OSError: it cannot be read.
    """
    return Aliases(_read(root / PRODUCTION), _read(root / PREVIOUS))


def point(root: Path, name: str, digest: str | None) -> None:
    """Lets an alias name another pack, for good when this returns; None removes the alias.

    Raises:
        OSError: the store cannot be written; the alias is as it was.
    """
    link = root / name
    if digest is None:
        link.unlink(missing_ok=True)
    else:
        beside = root / f".{name}.{secrets.token_hex(6)}.new"
        # Relative, so that the store can be moved or mounted elsewhere.
        beside.symlink_to(f"{PACKS.folder}/sha256-{digest}{PACKS.suffix}")
        try:
            beside.replace(link)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    sync_folder(root)


def _read(link: Path) -> str | None:
    try:
        target = str(link.readlink())
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        target = "no symlink"
    match = _TARGET.fullmatch(target)
    if match is None:
        raise RegistryError(
            f"{link} was not made by anchorgate ({target}): move it away, or point it back into {PACKS.folder}/"
        )
    return match.group(1)
