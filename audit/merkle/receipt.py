"""The receipt of one entry: C2SP tlog-proof (``c2sp.org/tlog-proof@v1``), stored as ``.tlog-proof``.

    c2sp.org/tlog-proof@v1
    [extra <base64>]
    index <n>
    <base64 hash>...

    <checkpoint with all its signatures>

Whoever has the entry's bytes, this file and the log's key can check offline that the entry was recorded.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass

from audit.merkle import checkpoint
from audit.merkle.checkpoint import Head, NoteInvalid, Vkey, decimal, unbase64
from audit.merkle.cosignature import cosignatures
from audit.merkle.policy import Policy
from audit.merkle.proofs import ProofInvalid, verify_inclusion
from audit.merkle.tree import HASH_BYTES, leaf_hash

_FIRST = "c2sp.org/tlog-proof@v1"
#: A tree of 2^63 leaves has this height.
_MAX_HASHES = 63


class ReceiptInvalid(ValueError):  # noqa: N818
    """The receipt is malformed or does not show that the entry is in the log."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """``path`` leads from the leaf's sibling to the root's child; ``note`` is the checkpoint's exact text.

    ``extra`` is signed by nobody: whoever reads it must not trust it.
    """

    index: int
    path: tuple[bytes, ...]
    note: str
    extra: bytes = b""

    def text(self) -> str:
        """The file's content."""
        extra = [f"extra {base64.b64encode(self.extra).decode()}"] if self.extra else []
        hashes = [base64.b64encode(hashed).decode() for hashed in self.path]
        return "\n".join([_FIRST, *extra, f"index {self.index}", *hashes, "", self.note])


def parse(text: str) -> Receipt:
    """Read a receipt without verifying it. Raises ``ReceiptInvalid`` for any deviation from the format."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != _FIRST:
        raise ReceiptInvalid(f"the receipt does not begin with {_FIRST} or has no checkpoint")
    try:
        checkpoint.parse(note)
        extra = b""
        if len(lines) > 1 and lines[1].startswith("extra "):
            extra = unbase64(lines.pop(1).removeprefix("extra "), "receipt's extra data")
            if not extra:
                raise ReceiptInvalid("the receipt's extra data are empty; leave the line out")
        if len(lines) < 2 or not lines[1].startswith("index "):
            raise ReceiptInvalid("the receipt has no index")
        index = decimal(lines[1].removeprefix("index "), "receipt's index")
        path = tuple(unbase64(line, "receipt's hash") for line in lines[2:])
    except NoteInvalid as error:
        raise ReceiptInvalid(str(error)) from error
    if len(path) > _MAX_HASHES or any(len(hashed) != HASH_BYTES for hashed in path):
        raise ReceiptInvalid("the receipt's proof has too many hashes or one that has not 32 bytes")
    return Receipt(index, path, note, extra)


def verify(receipt: Receipt, entry: bytes, log_keys: Iterable[Vkey], policy: Policy | None) -> Head:
    """The head under which ``entry`` is recorded at the receipt's index, signed by every one of ``log_keys``.

    With a ``policy`` its quorum of witnesses must have cosigned too. Raises ``ReceiptInvalid``. Keys and policy come
    from the reader, never from where the receipt came from.
    """
    try:
        head = checkpoint.verify(receipt.note, log_keys)
        verify_inclusion(leaf_hash(entry), receipt.index, head.size, receipt.path, head.root)
        cosigned = cosignatures(receipt.note, policy.witness_keys) if policy else []
    except (NoteInvalid, ProofInvalid) as error:
        raise ReceiptInvalid(str(error)) from error
    if policy and not policy.satisfied(policy.names(one.vkey for one in cosigned)):
        raise ReceiptInvalid("the witnesses that cosigned the checkpoint are not the policy's quorum")
    return head
