"""What relies on a safeguard: the deployments that serve, are lawful, and would not be without it.

Computed by deciding again without the safeguard, never by comparing names: another one may cover the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils import timezone

from governance import rechecks
from governance.models.transfer import SafeguardStatus, TransferSafeguard
from governance.rechecks import Judged


@dataclass(frozen=True, slots=True)
class Reliance:
    """By reference, what would fall. ``skipped`` deployments that a safeguard touches were not decided again."""

    falling: Mapping[str, Sequence[Judged]]
    decided: int
    skipped: int


def reliance(safeguards: Sequence[TransferSafeguard], *, most: int | None = None) -> Reliance:
    """What would fall without each of ``safeguards``, by itself. ``most`` bounds how many deployments are decided
    again, newest first. A fixed number of queries. Raises ``DatabaseError`` only.
    """
    now = timezone.now()
    counting = [row for row in safeguards if row.status == SafeguardStatus.ACTIVE and row.expires_at > now]
    touched = rechecks.touched_by(counting) if counting else []
    rows = touched if most is None else touched[-most:]
    if not rows:
        return Reliance({row.reference: () for row in safeguards}, 0, 0)
    shared = rechecks.read(rows)
    judged = rechecks.judge(rows, shared)
    falling = {row.reference: rechecks.falling(row.reference, judged, shared) for row in counting}
    return Reliance(falling, len(rows), len(touched) - len(rows))
