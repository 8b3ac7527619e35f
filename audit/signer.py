"""The signer: the only holder of the log's private keys, with a memory of its own.

It signs a tree head only together with a proof that the tree extends the head that it signed last, and writes the new
head to disk before it answers. So a restored backup, a fork or a shortened log never gets a valid signature again,
whoever controls the database. It knows nothing of Django or of the database.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.merkle.checkpoint import Head, SigningKeys, Vkey, verify
from audit.merkle.proofs import ProofInvalid, verify_consistency
from audit.merkle.tree import EMPTY_ROOT

_SEED_BYTES = 32
_KEYS = ("ed25519.key", "mldsa44.key")
_HEAD = "head.json"


class SignerRefusal(Exception):  # noqa: N818
    """The signer will not sign this head: ``rollback``, ``fork``, ``proof`` or ``origin`` in ``code``."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class SignerUnavailable(Exception):  # noqa: N818
    """The signer cannot be reached or cannot read its state; nothing was signed."""


class Signing(Protocol):
    """What the sequencer needs of a signer, in this process or in another."""

    @property
    def origin(self) -> str:
        """The name of the log."""

    @property
    def vkeys(self) -> tuple[Vkey, ...]:
        """The public keys."""

    def head(self) -> tuple[Head, str]:
        """The head that was signed last and its note (empty for a new log)."""

    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str:
        """The note for this head. Raises ``SignerRefusal`` or ``SignerUnavailable``."""


class Signer:
    """A signer in this process, over a state directory that only its user can read.

    ``state`` is made with mode 0700; keys (32-byte seeds, base64) and head with mode 0600. Raises
    ``SignerUnavailable`` when the directory is incomplete, open to others, of another log or in use: a signer that
    forgot its head must never start again from nothing.
    """

    def __init__(self, state: Path, origin: str) -> None:
        self._state = Path(state)
        self._unlock = weakref.finalize(self, os.close, _locked(self._state))
        present = [name for name in (*_KEYS, _HEAD) if (self._state / name).exists()]
        if not present:
            self._create(origin)
        elif len(present) != 3:
            missing = sorted({*_KEYS, _HEAD} - set(present))
            raise SignerUnavailable(f"the signer's state is incomplete: {', '.join(missing)} missing in {self._state}")
        self._keys = SigningKeys(
            origin,
            Ed25519PrivateKey.from_private_bytes(self._seed(_KEYS[0])),
            MLDSA44PrivateKey.from_seed_bytes(self._seed(_KEYS[1])),
        )
        self._last, self._note = self._load(origin)

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._keys.origin

    @property
    def vkeys(self) -> tuple[Vkey, ...]:
        """The public keys, Ed25519 first."""
        return self._keys.vkeys

    def head(self) -> tuple[Head, str]:
        """The head that was signed last and its note (empty for a new log)."""
        return self._last, self._note

    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str:
        """Sign the head if ``proof`` shows that it extends the last one; the same head gives the same note again."""
        last = self._last
        if size < last.size:
            raise SignerRefusal("rollback", f"a tree of {size} was offered after one of {last.size} was signed")
        if size == last.size and size:
            if root != last.root:
                raise SignerRefusal("fork", f"another root for size {size} was offered than the one that was signed")
            return self._note
        try:
            verify_consistency(last.size, size, last.root, root, proof)
        except ProofInvalid as error:
            raise SignerRefusal(
                "fork", f"the tree of {size} does not extend the signed tree of {last.size}: {error}"
            ) from error
        head = Head(self.origin, size, root)
        note = str(self._keys.sign(head, int(time.time())))
        self._store(head, note)
        self._last, self._note = head, note
        return note

    def close(self) -> None:
        """Let another process use the state directory."""
        self._unlock()

    def _create(self, origin: str) -> None:
        for name in _KEYS:
            _write(self._state / name, base64.b64encode(os.urandom(_SEED_BYTES)) + b"\n")
        self._store(Head(origin, 0, EMPTY_ROOT), "")

    def _seed(self, name: str) -> bytes:
        path = self._state / name
        if path.stat().st_mode & 0o077:
            raise SignerUnavailable(f"{path} can be read by others: set its mode to 0600")
        seed = base64.b64decode(path.read_bytes())
        if len(seed) != _SEED_BYTES:
            raise SignerUnavailable(f"{path} does not hold a key")
        return seed

    def _load(self, origin: str) -> tuple[Head, str]:
        try:
            stored = json.loads((self._state / _HEAD).read_text())
            head, note = Head(stored["origin"], stored["size"], bytes.fromhex(stored["root"])), stored["note"]
        except (ValueError, KeyError, TypeError) as error:
            raise SignerUnavailable(f"{self._state / _HEAD} cannot be read: {error}") from error
        if head.origin != origin:
            raise SignerUnavailable(f"{self._state} belongs to the log {head.origin}, not to {origin}")
        if head.size and verify(note, self._keys.vkeys) != head:
            raise SignerUnavailable(f"{self._state / _HEAD} does not fit its own note")
        return head, note

    def _store(self, head: Head, note: str) -> None:
        stored = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "note": note}
        _write(self._state / _HEAD, json.dumps(stored).encode())


def _locked(state: Path) -> int:
    """The directory, ours alone: two signers over one state could sign two trees."""
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


def _write(path: Path, data: bytes) -> None:
    """Replace a file so that after a crash it is the old or the new one, on disk before we return."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
