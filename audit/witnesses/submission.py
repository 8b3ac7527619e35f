"""Bringing checkpoints to the witnesses: who is due, which proof each needs, and what its answer means."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from django.utils.translation import gettext as _

from audit.merkle.cosignature import Cosigned
from audit.outgoing import DEADLINE, NotDelivered
from audit.publication import Checkpoint, Patience, Register
from audit.stored_tree import StoredTree
from audit.witnesses import configuration
from audit.witnesses.client import KnowsAnotherSize, Request, Target, add_checkpoint

#: Seconds after which a witness is asked again although the log did not grow: its time shows that nobody froze it.
FRESHNESS = 3600
_AT_ONCE = 16

_Outcome = Cosigned | KnowsAnotherSize | NotDelivered


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest cosignature of one witness: the size, and its time in seconds since 1970."""

    size: int = 0
    signed_at: int = 0


class Submission:
    """The publisher's memory of the witnesses: only how long to wait; everything else is in the database."""

    def __init__(
        self, register: Register, *, deadline: float = DEADLINE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._register, self._deadline, self._clock = register, deadline, clock
        self._patience: dict[tuple[int, str], Patience] = {}

    def push(self, checkpoint: Checkpoint) -> None:
        """Bring the checkpoint to every witness that is due, all at once: one that hangs holds up nobody else.

        Raises ``PolicyUnusable`` or ``psycopg.Error``; what a witness does wrong is stored as its state.
        """
        chosen = configuration.policy()
        if chosen is None:
            return
        asked: dict[Target, tuple[_Seen, Request]] = {}
        for target in configuration.targets(chosen):
            seen = self._seen(checkpoint, target)
            if self._is_due(checkpoint, target, seen) and (request := self._request(checkpoint, target, seen.size)):
                asked[target] = (seen, request)
        again: dict[Target, tuple[_Seen, Request]] = {}
        for target, outcome in self._ask(asked).items():
            seen, request = asked[target]
            if isinstance(outcome, KnowsAnotherSize) and self._can_prove(checkpoint, request, outcome.size):
                if retried := self._request(checkpoint, target, outcome.size):
                    again[target] = (seen, retried)
            else:
                self._settle(checkpoint, target, request, outcome)
        for target, outcome in self._ask(again).items():
            self._settle(checkpoint, target, again[target][1], outcome)

    def _ask(self, asked: dict[Target, tuple[_Seen, Request]]) -> dict[Target, _Outcome]:
        def one(target: Target) -> _Outcome:
            seen, request = asked[target]
            try:
                return add_checkpoint(target, request, deadline=self._deadline, not_before=seen.signed_at)
            except (KnowsAnotherSize, NotDelivered) as refusal:
                return refusal

        if not asked:
            return {}
        with ThreadPoolExecutor(min(len(asked), _AT_ONCE)) as pool:
            return dict(zip(asked, pool.map(one, asked), strict=True))

    def _is_due(self, checkpoint: Checkpoint, target: Target, seen: _Seen) -> bool:
        if not self._waiting(checkpoint, target).over:
            return False
        stale = checkpoint.current and time.time() - seen.signed_at >= FRESHNESS
        return checkpoint.size > seen.size or stale

    def _seen(self, checkpoint: Checkpoint, target: Target) -> _Seen:
        sql = """
            SELECT size, extract(epoch FROM signed_at)::bigint FROM audit.cosignature
            WHERE (log_id, key_name, key_id) = (%s, %s, %s) ORDER BY size DESC, signed_at DESC LIMIT 1
        """
        rows = self._register.fetch(sql, [checkpoint.log_id, target.vkey.name, target.vkey.key_id])
        return _Seen(*rows[0]) if rows else _Seen()

    def _request(self, checkpoint: Checkpoint, target: Target, old: int) -> Request | None:
        """None, and the state said, when our own tree cannot give the proof."""
        try:
            proof = StoredTree(self._register.fetch, checkpoint.log_id, checkpoint.size).consistency(old)
        except (LookupError, ValueError):
            sentence = _("The proof for it cannot be computed: the tree in the database is damaged. Verify the log.")
            self._settle(checkpoint, target, None, NotDelivered("conflict", sentence))
            return None
        return Request(checkpoint.head, checkpoint.note, old, proof)

    def _can_prove(self, checkpoint: Checkpoint, request: Request, known: int) -> bool:
        return known <= checkpoint.size and known != request.old

    def _settle(self, checkpoint: Checkpoint, target: Target, request: Request | None, outcome: _Outcome) -> None:
        patience = self._waiting(checkpoint, target)
        if isinstance(outcome, Cosigned):
            self._store(checkpoint, outcome)
            patience.worked()
            self._register.tell(checkpoint, "witness", target.name, "working")
            return
        if isinstance(outcome, KnowsAnotherSize):
            outcome = _contradiction(checkpoint, outcome.size)
        patience.failed()
        self._register.tell(checkpoint, "witness", target.name, outcome.state, outcome.sentence)

    def _store(self, checkpoint: Checkpoint, made: Cosigned) -> None:
        self._register.execute(
            "INSERT INTO audit.cosignature (log_id, size, key_name, key_id, signed_at, line)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                checkpoint.log_id,
                checkpoint.size,
                made.vkey.name,
                made.vkey.key_id,
                datetime.fromtimestamp(made.signed_at, UTC),
                made.line,
            ],
        )

    def _waiting(self, checkpoint: Checkpoint, target: Target) -> Patience:
        return self._patience.setdefault((checkpoint.log_id, target.name), Patience(self._clock))


def _contradiction(checkpoint: Checkpoint, known: int) -> NotDelivered:
    """409 that no proof of ours can answer: the witness remembers a history that this database does not have."""
    if known > checkpoint.size:
        sentence = _(
            "It has cosigned a checkpoint of %(known)d entries, more than this log has: an older database was brought "
            "back, or another server signs under this name. Verify the log first."
        )
        return NotDelivered("conflict", sentence % {"known": known})
    if known == checkpoint.size:
        sentence = _("It has cosigned another tree of %(known)d entries. Verify the log first.")
        return NotDelivered("conflict", sentence % {"known": known})
    return NotDelivered("invalid", _("It contradicts itself about the size that it saw last."))
