"""The signer's private keys on disk: one set for each rotation, readable by the signer's user alone."""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit import manifests
from audit.merkle.checkpoint import Head, Note, SigningKeys, Vkey

_SEED_BYTES = 32


class SignerUnavailable(Exception):  # noqa: N818
    """The signer cannot be reached or cannot read its state; nothing was signed."""


@dataclass(frozen=True)
class KeySet:
    """An Ed25519 and an ML-DSA-44 key; they sign heads of more than ``above`` leaves. ``keys`` None: destroyed."""

    folder: Path
    number: int
    above: int
    vkeys: tuple[Vkey, ...]
    keys: SigningKeys | None

    @classmethod
    def create(cls, folder: Path, number: int, origin: str, *, above: int) -> KeySet:
        """Write two new seeds. A file that is there already belongs to a set that was never announced."""
        for path in _paths(folder, number):
            write(path, base64.b64encode(os.urandom(_SEED_BYTES)) + b"\n")
        return cls._loaded(folder, number, origin, above)

    @classmethod
    def from_stored(cls, folder: Path, origin: str, stored: Mapping[str, Any], *, private: bool) -> KeySet:
        """A set as ``stored`` gave it. Raises ``SignerUnavailable`` when its files are missing, loose or others."""
        vkeys = tuple(Vkey.parse(text) for text in stored["vkeys"])
        if not private:
            return cls(folder, int(stored["number"]), int(stored["above"]), vkeys, None)
        loaded = cls._loaded(folder, int(stored["number"]), origin, int(stored["above"]))
        if loaded.vkeys != vkeys:
            raise SignerUnavailable(f"the keys in {folder} are not those that the head names")
        return loaded

    @classmethod
    def _loaded(cls, folder: Path, number: int, origin: str, above: int) -> KeySet:
        ed25519, mldsa44 = _paths(folder, number)
        keys = SigningKeys(
            origin,
            Ed25519PrivateKey.from_private_bytes(_seed(ed25519)),
            MLDSA44PrivateKey.from_seed_bytes(_seed(mldsa44)),
        )
        return cls(folder, number, above, keys.vkeys, keys)

    def stored(self) -> dict[str, Any]:
        """What the head's file says of the set: nothing secret."""
        return {"number": self.number, "above": self.above, "vkeys": [str(vkey) for vkey in self.vkeys]}

    def sign(self, head: Head, timestamp: int) -> Note:
        """The head with this set's two signatures."""
        if self.keys is None:
            raise SignerUnavailable(f"the private keys of {head.origin} are destroyed")
        return self.keys.sign(head, timestamp)

    def sign_manifest(self, payload: bytes) -> tuple[str, bytes]:
        """Key id in hexadecimal and Ed25519 signature over an export's manifest (``audit.manifests.check``)."""
        if self.keys is None:
            raise SignerUnavailable("the private keys of this log are destroyed, so no export of it can be signed")
        return self.vkeys[0].key_id.hex(), self.keys.ed25519.sign(manifests.pae(payload))

    def destroy(self) -> None:
        """Overwrite and remove the private keys. On flash and copying file systems old blocks may survive."""
        for path in _paths(self.folder, self.number):
            if path.exists():
                write(path, b"\0" * 45)
                path.unlink()


def locked(state: Path) -> int:
    """The directory, ours alone: two signers over one state could sign two trees. Returns the lock's descriptor."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if state.stat().st_mode & 0o077:
        raise SignerUnavailable(f"{state} is open to others: set its mode to 0700")
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise SignerUnavailable(f"another signer uses {state}") from None
    return lock


def write(path: Path, data: bytes) -> None:
    """Replace a file so that after a crash it is the old or the new one, on disk before we return."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(f"{fresh} was written only in part")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"ed25519-{number}.key", folder / f"mldsa44-{number}.key"


def _seed(path: Path) -> bytes:
    if not path.exists():
        raise SignerUnavailable(f"the signer's state is incomplete: {path.name} missing in {path.parent}")
    if path.stat().st_mode & 0o077:
        raise SignerUnavailable(f"{path} can be read by others: set its mode to 0600")
    try:
        seed = base64.b64decode(path.read_bytes(), validate=False)
    except binascii.Error as error:
        raise SignerUnavailable(f"{path} does not hold a key") from error
    if len(seed) != _SEED_BYTES:
        raise SignerUnavailable(f"{path} does not hold a key")
    return seed
