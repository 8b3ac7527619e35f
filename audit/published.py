"""What lies outside this server, for the Verify page and the alerts: witnesses, timestamps, copies of checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from audit.queries import fetch
from audit.witnesses import freshness, queries
from audit.witnesses.configuration import PolicyUnusable
from audit.witnesses.freshness import Freshness
from audit.witnesses.queries import Witnessed, WitnessState

_PLACES = """
    SELECT k.kind, p.state, p.sentence, a.size, a.created_at FROM unnest(%s::text[]) AS k (kind)
    LEFT JOIN LATERAL (SELECT state, sentence FROM audit.publication
        WHERE (log_id, kind) = (%s, k.kind) ORDER BY id DESC LIMIT 1) p ON true
    LEFT JOIN LATERAL (SELECT size, created_at FROM audit.anchor c
        WHERE (c.log_id, c.kind) = (%s, k.kind) ORDER BY size DESC LIMIT 1) a ON true
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A place that gets timestamps or copies: ``kind`` is rfc3161, folder, git or webhook.

    ``state`` is working, unreachable, refused, invalid, conflict or untried; ``size`` and ``at`` (UTC) are those of the
    newest checkpoint that it took.
    """

    kind: str
    state: str
    sentence: str
    size: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Published:
    """``problem`` says why the policy cannot be followed; then no witness counts."""

    witnesses: list[WitnessState]
    places: list[Place]
    freshness: Freshness
    newest: Witnessed | None
    problem: str = ""

    @property
    def state(self) -> str:
        """``passed``, ``failed``, or ``not_required`` without witnesses."""
        if self.problem or self.freshness.ok is False:
            return "failed"
        return "passed" if self.freshness.ok else "not_required"


def of_log(log_id: int) -> Published:
    """Everything that is set up, in four queries; in none when nothing is."""
    fresh = freshness.of_log(log_id)
    try:
        return Published(queries.status(log_id), places(log_id), fresh, queries.newest_witnessed(log_id))
    except PolicyUnusable as error:
        return Published([], places(log_id), fresh, None, str(error))


def places(log_id: int) -> list[Place]:
    """The places that are set up, in a fixed order. One query, none when there are none."""
    wanted = {
        "rfc3161": settings.TIMESTAMP_URL,
        "folder": settings.CHECKPOINT_FOLDER,
        "git": settings.CHECKPOINT_GIT,
        "webhook": settings.CHECKPOINT_WEBHOOK,
    }
    kinds = [kind for kind, address in wanted.items() if address]
    if not kinds:
        return []
    return [
        Place(kind, state or "untried", sentence or "", size or 0, at)
        for kind, state, sentence, size, at in fetch(_PLACES, [kinds, log_id, log_id])
    ]
