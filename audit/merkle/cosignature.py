"""Cosignatures of witnesses: C2SP tlog-cosignature v1.1 (Ed25519, type 0x04; ML-DSA-44, type 0x06).

A cosignature says: at this time this was the largest tree of this log that the witness had seen, and it was consistent
with every tree before. It is the only clock here that the log's operator does not set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audit.merkle.checkpoint import WITNESS_ALGORITHMS, Head, NoteInvalid, Signature, Vkey, parse, parse_line


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A verified cosignature. ``signed_at`` in seconds since 1970; ``line`` as it stands in a note, with line feed."""

    vkey: Vkey
    signed_at: int
    line: str


def cosignatures(note_text: str, witnesses: Iterable[Vkey]) -> list[Cosigned]:
    """The cosignatures of ``witnesses`` on a note, in the note's order; other lines are ignored.

    The log's own signatures are not looked at (``audit.merkle.checkpoint.verify``). Raises ``NoteInvalid`` when the
    note is malformed, when a witness' line does not hold (signed-note: reject the whole note) or when one is doubled.
    """
    note = parse(note_text)
    known = {(vkey.name, vkey.key_id): vkey for vkey in witnesses}
    found = [
        _verified(line, note.head, known[line.name, line.key_id])
        for line in note.signatures
        if (line.name, line.key_id) in known
    ]
    if len({(one.vkey.name, one.vkey.key_id) for one in found}) != len(found):
        raise NoteInvalid("the note has two cosignatures of one witness")
    return found


def line_of(line: str, head: Head, witnesses: Iterable[Vkey]) -> Cosigned:
    """The cosignature in one line that a witness answered with (tlog-witness), with or without its line feed.

    Raises ``NoteInvalid`` when it is malformed, of none of ``witnesses``, or does not hold for ``head``.
    """
    signature = parse_line(line.removesuffix("\n"))
    for vkey in witnesses:
        if (vkey.name, vkey.key_id) == (signature.name, signature.key_id):
            return _verified(signature, head, vkey)
    raise NoteInvalid(f"the cosignature is by an unknown key of {signature.name}")


def _verified(line: Signature, head: Head, vkey: Vkey) -> Cosigned:
    if vkey.algorithm not in WITNESS_ALGORITHMS:
        raise NoteInvalid(f"the key of {vkey.name} is not of a type that cosigns")
    vkey.verify(line.signature, head)
    signed_at = vkey.timestamp(line.signature)
    if signed_at == 0:
        # With time 0 an ML-DSA-44 line says nothing about the largest tree, which is the statement that counts here.
        raise NoteInvalid(f"the cosignature of {vkey.name} has no time")
    return Cosigned(vkey, signed_at, line.line())
