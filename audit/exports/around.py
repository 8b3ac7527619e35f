"""What stands around the entries of a bundle: its checkpoint, who cosigned it, and earlier checkpoints it extends."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from django.utils.translation import gettext as _

from audit.entries import Checkpoint
from audit.exports.reading import rows
from audit.keyring import keyring
from audit.merkle.policy import Listed, Policy
from audit.refusals import Conflict, NotKnown
from audit.stored_tree import StoredTree
from audit.witnesses import queries as witnesses

_AT = "SELECT size, root, note, created_at FROM audit.checkpoint WHERE log_id = %s"
_COSIGNED = "SELECT max(size) FROM audit.cosignature WHERE log_id = %s AND size < %s"
_ANCHORED = "SELECT max(size) FROM audit.anchor WHERE log_id = %s AND size <= %s"
_TOKENS = "SELECT kind, token FROM audit.anchor WHERE log_id = %s AND size = %s ORDER BY kind"


def checkpoint_at(log: int, size: int) -> Checkpoint:
    """The checkpoint of this size, or the newest for 0. Raises ``Conflict`` or ``NotKnown`` when there is none."""
    if size:
        found = rows(f"{_AT} AND size = %s", [log, size])
        if not found:
            raise NotKnown(
                _("No checkpoint of size %(size)d was signed. Leave the size out to take the newest.") % {"size": size},
                code="export.no_checkpoint",
            )
    else:
        found = rows(f"{_AT} ORDER BY size DESC LIMIT 1", [log])
        if not found:
            raise Conflict(
                _("The log has no signed checkpoint yet. Look whether signer and sequencer run, and try again."),
                code="export.not_sealed",
            )
    number, root, note, created_at = found[0]
    return Checkpoint(number, bytes(root), note, created_at)


def cosigned_note(log: int, checkpoint: Checkpoint) -> str:
    """The note with the newest line of each witness under the log's own signatures."""
    lines = witnesses.lines(log, checkpoint.size)
    return checkpoint.note + "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def policy_text(log: int, checkpoint: Checkpoint) -> str:
    """A tlog-policy with the keys that sign this checkpoint and the configured witnesses: what we say, not a proof."""
    chosen = witnesses.policy() or Policy()
    keys = tuple(Listed(vkey) for vkey in keyring(rows, log).valid_at(checkpoint.size))
    told = Policy(keys, chosen.witnesses, chosen.groups, chosen.quorum)
    return "# As this server states it. Compare the keys with a copy that you got elsewhere.\n" + str(told)


def history(log: int, checkpoint: Checkpoint, previous: int) -> Iterator[tuple[str, bytes]]:
    """Earlier checkpoints with the proof that this tree extends them: of the last export, witnessed, timestamped.

    A timestamp is over the note as the log signed it, without cosignatures: the file ``.note`` beside it.
    """
    size = checkpoint.size
    anchored = rows(_ANCHORED, [log, size])[0][0]
    cosigned = None if witnesses.lines(log, size) else rows(_COSIGNED, [log, size])[0][0]
    tree = StoredTree(rows, log, size)
    for earlier in sorted({number for number in (previous, cosigned, anchored) if number and number <= size}):
        then = checkpoint_at(log, earlier)
        if earlier < size:
            yield f"history/{earlier}.checkpoint", cosigned_note(log, then).encode()
            proof = [base64.b64encode(hashed).decode() for hashed in tree.consistency(earlier)]
            yield f"history/{earlier}.consistency", ("\n".join([f"old {earlier}", *proof]) + "\n").encode()
        tokens = rows(_TOKENS, [log, earlier])
        if tokens:
            yield f"history/{earlier}.note", then.note.encode()
        for kind, token in tokens:
            yield f"history/{earlier}.{_plain(kind)}.tsr", bytes(token)


def _plain(kind: str) -> str:
    """The kind of a timestamp as part of a file's name."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in kind)[:80]
