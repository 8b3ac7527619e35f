"""One call of C2SP tlog-witness v1.0.0 and v1.1: ``POST <prefix>/add-checkpoint``. Nothing here is stored.

The witness is not trusted: what it says is verified, bounded in size and time, and every other answer is a sentence.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from audit.merkle import cosignature
from audit.merkle.checkpoint import Head, NoteInvalid, Vkey
from audit.merkle.cosignature import Cosigned
from audit.outgoing import DEADLINE, LIMIT, NotDelivered, Reply, post

#: tlog-witness: a client must not send more proof lines.
MAX_PROOF = 63
#: Seconds by which a cosignature's time may differ from our clock while it is being made.
TOLERANCE = 60
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n\Z")


class KnowsAnotherSize(Exception):  # noqa: N818
    """409: the witness saw a tree of ``size`` last, not the one that was named."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the witness saw {size} entries last")
        self.size = size


@dataclass(frozen=True, slots=True)
class Target:
    """A witness: the policy's name for it, its key and the submission prefix."""

    name: str
    vkey: Vkey
    url: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: to cosign ``note`` (of ``head``), which extends the tree of ``old`` entries by ``proof``."""

    head: Head
    note: str
    old: int
    proof: Sequence[bytes]

    def body(self) -> bytes:
        """The request's bytes: ``old <size>``, the proof in base64, an empty line, the note."""
        lines = [f"old {self.old}", *[base64.b64encode(hashed).decode() for hashed in self.proof], "", self.note]
        return "\n".join(lines).encode()


def add_checkpoint(
    target: Target, request: Request, *, deadline: float = DEADLINE, limit: int = LIMIT, not_before: int = 0
) -> Cosigned:
    """Have the checkpoint cosigned; the cosignature is verified with the key of the policy.

    ``not_before`` is the time of the newest cosignature of this witness, in seconds since 1970: it must not go back.
    Raises ``KnowsAnotherSize`` (409) or ``NotDelivered`` with the state and the sentence.
    """
    if len(request.proof) > MAX_PROOF:
        raise NotDelivered("invalid", _("The consistency proof has more than 63 hashes."))
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    reply = post(target.url.rstrip("/") + "/add-checkpoint", request.body(), headers, deadline=deadline, limit=limit)
    if reply.status == 200:
        made = _cosigned(target, request.head, reply)
        _refuse_wrong_time(made, not_before)
        return made
    if reply.status == 409:
        raise KnowsAnotherSize(_size(reply))
    raise _refusal(reply, request)


def _cosigned(target: Target, head: Head, reply: Reply) -> Cosigned:
    """The one line by the witness' own key; lines by other keys of the same witness are not ours to judge."""
    try:
        text = reply.body.decode()
        if not text.endswith("\n") or any(not line.startswith("\u2014 ") for line in text[:-1].split("\n")):
            raise NoteInvalid("the answer is not made of signature lines")
        wanted = f"\u2014 {target.vkey.name} "
        key_id = target.vkey.key_id
        own = [line for line in text[:-1].split("\n") if line.startswith(wanted) and _key_id(line) == key_id]
        if len(own) != 1:
            raise NoteInvalid(f"the answer has {len(own)} lines by this key, not one")
        return cosignature.line_of(own[0], head, [target.vkey])
    except (NoteInvalid, UnicodeDecodeError) as error:
        raise NotDelivered(
            "invalid", _("Its answer is no valid cosignature: %(problem)s.") % {"problem": error}
        ) from error


def _key_id(line: str) -> bytes:
    try:
        return base64.b64decode(line.rpartition(" ")[2])[:4]
    except ValueError:
        return b""


def _refuse_wrong_time(made: Cosigned, not_before: int) -> None:
    """A time is the point of a cosignature: one that is not about now, or goes back, is worth nothing."""
    off = made.signed_at - int(time.time())
    if off > TOLERANCE:
        sentence = _("Its cosignature is dated more than a minute in the future. Compare its clock with this server's.")
        raise NotDelivered("invalid", sentence)
    if off < -TOLERANCE:
        sentence = _("Its cosignature is dated more than a minute in the past. Compare its clock with this server's.")
        raise NotDelivered("invalid", sentence)
    if made.signed_at < not_before:
        raise NotDelivered("invalid", _("Its cosignature is dated before an earlier one of the same witness."))


def _size(reply: Reply) -> int:
    found = _SIZE.match(reply.body)
    if not found or reply.kind != "text/x.tlog.size" or int(found[1]) >= 2**63:
        raise NotDelivered("invalid", _("It answered 409 without the size that it knows (text/x.tlog.size)."))
    return int(found[1])


def _refusal(reply: Reply, request: Request) -> NotDelivered:
    sentences = {
        400: _("It finds the request malformed (400). Some witnesses refuse checkpoints with extension lines."),
        403: _("It trusts none of the keys that signed the checkpoint (403). Give it the keys of /log/vkey."),
        404: _("It does not know the log «%(origin)s» (404). Ask its operator to add the log.")
        % {"origin": request.head.origin},
        422: _(
            "It refuses the proof (422): the tree that it cosigned is not the beginning of this one. "
            "Verify the log first."
        ),
    }
    if sentence := sentences.get(reply.status):
        return NotDelivered("conflict" if reply.status == 422 else "refused", sentence)
    if 300 <= reply.status < 400:
        return NotDelivered("invalid", _("It answered with a redirect, which is not followed. Correct its address."))
    if reply.status == 429 or reply.status >= 500:
        return NotDelivered("unreachable", _("It cannot cosign now (status %(status)d).") % {"status": reply.status})
    return NotDelivered("invalid", _("It answered with status %(status)d.") % {"status": reply.status})
