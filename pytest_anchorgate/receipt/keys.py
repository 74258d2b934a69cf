"""ed25519 keys in PEM files. `cryptography` is imported only where a key is used: it is the extra `[sign]`."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_anchorgate.receipt.errors import ReceiptUnusable, SigningMissing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LARGEST_PEM = 16_384
RAW_BYTES = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that verifies: its 32 raw bytes, and its name, which is their sha256 in hex."""

    raw: bytes

    @property
    def key_id(self) -> str:
        """Name of the key."""
        return hashlib.sha256(self.raw).hexdigest()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key signed the message.

        Raises:
            SigningMissing: cryptography is not installed.
        """
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            raise SigningMissing from None
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """The half that signs."""

    public: PublicKey
    _key: Ed25519PrivateKey

    @property
    def key_id(self) -> str:
        """Name of the key."""
        return self.public.key_id

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        return self._key.sign(message)


def read_private_key(path: Path) -> PrivateKey:
    """Reads an unencrypted ed25519 private key, PKCS #8 in PEM.

    Raises:
        ReceiptUnusable: one line: it cannot be read or is none.
        SigningMissing: cryptography is not installed.
    """
    data = _read(path)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise SigningMissing from None
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise ReceiptUnusable(f"{path}: the key is encrypted; only a plain one can be used") from None
    except Exception:  # cryptography raises several kinds, some of them its own
        raise ReceiptUnusable(_no_key(path, "private")) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReceiptUnusable(_no_key(path, "private"))
    return PrivateKey(PublicKey(key.public_key().public_bytes_raw()), key)


def read_public_key(path: Path) -> PublicKey:
    """Reads an ed25519 public key in PEM.

    Raises:
        ReceiptUnusable: one line: it cannot be read or is none.
        SigningMissing: cryptography is not installed.
    """
    data = _read(path)
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise SigningMissing from None
    if b"PRIVATE KEY" in data:
        raise ReceiptUnusable(f"{path}: a private key; verify with the public one, and keep this one secret")
    try:
        key: Any = load_pem_public_key(data)
    except Exception:
        raise ReceiptUnusable(_no_key(path, "public")) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ReceiptUnusable(_no_key(path, "public"))
    return PublicKey(key.public_bytes_raw())


def new_key_pair(path: Path) -> tuple[Path, PublicKey]:
    """Makes a key pair: the private half at `path`, readable by its owner alone, the public one beside it.

    Neither file is ever overwritten.

    Returns:
        The file of the public half, `path` with ".pub" at its end, and the key.

    Raises:
        ReceiptUnusable: one line: a file is there already, or cannot be written.
        SigningMissing: cryptography is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise SigningMissing from None
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public: Ed25519PublicKey = key.public_key()
    target = path.with_name(path.name + ".pub")
    if target.exists() or target.is_symlink():
        raise ReceiptUnusable(f"{target}: is there already; a key is never overwritten, name another file")
    _create(path, private, 0o600)
    try:
        spelled = public.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        _create(target, spelled, 0o644)
    except BaseException:
        path.unlink()
        raise
    return target, PublicKey(public.public_bytes_raw())


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ReceiptUnusable(
            f"{path}: is there already; a key is never overwritten, name another file"
        ) from None
    except OSError as error:
        raise ReceiptUnusable(f"{path}: the key cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_PEM)
    except OSError as error:
        raise ReceiptUnusable(f"{path}: the key cannot be read: {error.strerror}") from None


def _no_key(path: Path, kind: str) -> str:
    return f"{path}: not an ed25519 {kind} key in PEM; `anchorgate key new -o FILE` makes a pair"
