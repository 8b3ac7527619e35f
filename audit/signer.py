"""The signer of one log: the only holder of its private keys, with a memory of its own.

It signs a tree head only together with a proof that the tree extends the head that it signed last, and writes the new
head to disk before it answers. So a restored backup, a fork or a shortened log never gets a valid signature again,
whoever controls the database. It knows nothing of Django or of the database.
"""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from audit import manifests
from audit.merkle.checkpoint import Head, Note, Vkey, verify
from audit.merkle.proofs import ProofInvalid, verify_consistency
from audit.merkle.tree import EMPTY_ROOT
from audit.signer_keys import KeySet, SignerUnavailable, locked, write

__all__ = ["Signer", "SignerRefusal", "SignerUnavailable", "Signing"]

_HEAD = "head.json"
_SUCCESSOR = "log-"


class SignerRefusal(Exception):  # noqa: N818
    """The signer will not do this: ``rollback``, ``fork``, ``closed``, ``keys`` or ``origin`` in ``code``."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Signing(Protocol):
    """What the sequencer needs of a signer, in this process or in another."""

    @property
    def origin(self) -> str:
        """The name of the log."""

    @property
    def vkeys(self) -> tuple[Vkey, ...]:
        """The public keys of every key that it holds, the oldest first."""

    def head(self) -> tuple[Head, str]:
        """The head that was signed last and its note (empty for a new log)."""

    def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> str:
        """The note for this head. Raises ``SignerRefusal`` or ``SignerUnavailable``."""

    def rotate(self) -> tuple[Vkey, ...]:
        """Make new keys that sign beside the old ones from the next checkpoint on; the same ones when asked again."""

    def retire(self, vkeys: Iterable[str]) -> None:
        """Destroy the private halves of the oldest keys. Raises ``SignerRefusal`` for the newest ones."""

    def finish(self) -> None:
        """Destroy every private key: the head that was signed last is the log's final one."""

    def opened(self, origin: str) -> Signing:
        """The signer of another log, made with keys of its own if it is new."""


class Signer:
    """A signer in this process, over a state directory that only its user can read.

    ``state`` is made with mode 0700; keys (32-byte seeds, base64) and head with mode 0600. Without ``origin`` the
    directory must hold a log already. Raises ``SignerUnavailable`` when it is incomplete, open to others, of another
    log or in use: a signer that forgot its head must never start again from nothing.
    """

    _sets: list[KeySet]
    _last: Head
    _note: str

    def __init__(self, state: Path, origin: str = "", *, first: Signer | None = None) -> None:
        self._state = Path(state)
        self._unlock = weakref.finalize(self, os.close, locked(self._state))
        self._first, self._finished = first or self, False
        self._successors: list[Signer] = []
        self._sets: list[KeySet] = []
        self._last, self._note = Head(origin, 0, EMPTY_ROOT), ""
        try:
            self._begin(origin)
        except BaseException:
            self.close()  # a refused start must not hold the directory
            raise

    @property
    def origin(self) -> str:
        """The name of the log."""
        return self._last.origin

    @property
    def vkeys(self) -> tuple[Vkey, ...]:
        """The public keys, the oldest first and Ed25519 before ML-DSA-44."""
        return tuple(vkey for each in self._sets for vkey in each.vkeys)

    @property
    def validity(self) -> list[tuple[Vkey, int]]:
        """Each public key with the size above which it signs."""
        return [(vkey, each.above) for each in self._sets for vkey in each.vkeys]

    @property
    def finished(self) -> bool:
        """Whether the final checkpoint was signed and the keys are gone."""
        return self._finished

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
        if self._finished:
            raise SignerRefusal("closed", f"the log {self.origin} is closed with {last.size} entries")
        try:
            verify_consistency(last.size, size, last.root, root, proof)
        except ProofInvalid as error:
            raise SignerRefusal(
                "fork", f"the tree of {size} does not extend the signed tree of {last.size}: {error}"
            ) from error
        head = Head(self.origin, size, root)
        now = int(time.time())
        lines = [line for each in self._sets if each.above < size for line in each.sign(head, now).signatures]
        self._last, self._note, before = head, str(Note(head, tuple(lines))), (last, self._note)
        self._store_or_restore(before)
        return self._note

    def sign_manifest(self, payload: bytes) -> tuple[str, bytes]:
        """Key id in hexadecimal and signature of an export's manifest about a checkpoint that this signer signed."""
        try:
            manifests.check(payload, self.origin, self.vkeys)
        except manifests.ManifestInvalid as error:
            raise SignerRefusal("manifest", str(error)) from error
        # the oldest set that signs: readers who have not heard of a rotation yet know its key
        return self._sets[0].sign_manifest(payload)

    def rotate(self) -> tuple[Vkey, ...]:
        """Make a second set of keys, or give the one that was made last when there are two already.

        Raises ``SignerRefusal`` when the log is closed.
        """
        if self._finished:
            raise SignerRefusal("closed", f"the log {self.origin} is closed and gets no new keys")
        if len(self._sets) == 1:
            fresh = KeySet.create(self._state, self._sets[-1].number + 1, self.origin, above=self._last.size)
            self._sets.append(fresh)
            self._store()
        return self._sets[-1].vkeys

    def retire(self, vkeys: Iterable[str]) -> None:
        """Destroy the private halves of the oldest set, which must be exactly ``vkeys``; nothing when it is gone."""
        named = set(vkeys)
        if not named & {str(vkey) for vkey in self.vkeys}:
            return
        oldest = self._sets[0]
        if len(self._sets) < 2 or named != {str(vkey) for vkey in oldest.vkeys}:
            raise SignerRefusal("keys", "only the older of two sets of keys can be retired")
        if self._sets[1].above >= self._last.size:
            raise SignerRefusal("keys", "the newer keys have not signed anything yet")
        self._sets = self._sets[1:]
        self._store()
        oldest.destroy()

    def finish(self) -> None:
        """Destroy every private key; the public ones and the final note stay."""
        self._finished = True
        self._store()
        for each in self._sets:
            each.destroy()

    @property
    def all(self) -> list[Signer]:
        """The signers of every log of this state directory, the first log's first."""
        return [self._first, *self._first._successors]

    def opened(self, origin: str) -> Signer:
        """The signer of another log, below the first one's directory; it is made with keys of its own if it is new."""
        for known in self.all:
            if known.origin == origin:
                return known
        state = self._first._state / f"{_SUCCESSOR}{len(self.all) + 1}"
        made = Signer(state, origin, first=self._first)
        self._first._successors.append(made)
        return made

    def close(self) -> None:
        """Let another process use the state directory."""
        for successor in self._successors:
            successor.close()
        self._unlock()

    def _begin(self, origin: str) -> None:
        if not (self._state / _HEAD).exists():
            if left := sorted(path.name for path in self._state.glob("*.key")):
                raise SignerUnavailable(f"the signer's state is incomplete: {_HEAD} missing beside {', '.join(left)}")
            if not origin:
                raise SignerUnavailable(f"{self._state} holds no log")
            self._sets = [KeySet.create(self._state, 1, origin, above=0)]
            self._store()
        self._load(origin)
        successors = sorted(self._state.glob(f"{_SUCCESSOR}*"), key=lambda path: int(path.name[len(_SUCCESSOR) :]))
        for path in successors:
            self._successors.append(Signer(path, first=self))

    def _load(self, origin: str) -> None:
        try:
            stored = json.loads((self._state / _HEAD).read_text())
            head, note = Head(stored["origin"], stored["size"], bytes.fromhex(stored["root"])), stored["note"]
            finished = bool(stored["finished"])
            sets = [KeySet.from_stored(self._state, head.origin, each, private=not finished) for each in stored["keys"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SignerUnavailable(f"{self._state / _HEAD} cannot be read: {error}") from error
        if origin and head.origin != origin:
            raise SignerUnavailable(f"{self._state} belongs to the log {head.origin}, not to {origin}")
        if head.size and verify(note, [vkey for each in sets if each.above < head.size for vkey in each.vkeys]) != head:
            raise SignerUnavailable(f"{self._state / _HEAD} does not fit its own note")
        self._sets, self._last, self._note, self._finished = sets, head, note, finished

    def _store_or_restore(self, before: tuple[Head, str]) -> None:
        """What could not be written must not be remembered: a full disk may not put memory ahead of the file."""
        try:
            self._store()
        except OSError as error:
            self._last, self._note = before
            raise SignerUnavailable(f"the signer cannot write its state: {error}") from error

    def _store(self) -> None:
        stored = {
            "origin": self._last.origin,
            "size": self._last.size,
            "root": self._last.root.hex(),
            "note": self._note,
            "keys": [each.stored() for each in self._sets],
            "finished": self._finished,
        }
        write(self._state / _HEAD, json.dumps(stored).encode())
