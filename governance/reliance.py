"""What relies on a safeguard or a waiver: the deployments that serve, are lawful, and would not be without it.

Computed by deciding again without it, never by comparing names: another one may cover the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils import timezone

from governance import rechecks, sharing
from governance.models.transfer import SafeguardStatus, TransferSafeguard
from governance.models.waiver import Waiver
from governance.packs import versions_in_force
from governance.rechecks import Judged
from registry.models import Deployment

Falling = Callable[[str, Sequence[Judged], sharing.Shared], list[Judged]]


@dataclass(frozen=True, slots=True)
class Reliance:
    """By reference, what would fall. ``skipped`` deployments that it touches were not decided again."""

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
    return _without_each([row.reference for row in counting], touched, rechecks.falling, most)


def reliance_on_waivers(waivers: Sequence[Waiver], *, most: int | None = None) -> Reliance:
    """The same for what serves under each of ``waivers``."""
    now = timezone.now()
    in_force = versions_in_force(now) if waivers else {}
    running = [row for row in waivers if row.runs(now, in_force)]
    cases = {(row.version_id, row.environment_id) for row in running}
    serving = rechecks.serving() if running else []
    touched = [row for row in serving if (row.version_id, row.environment_id) in cases]
    return _without_each([row.reference for row in running], touched, rechecks.falling_with, most)


def _without_each(
    references: Sequence[str], touched: Sequence[Deployment], falling: Falling, most: int | None
) -> Reliance:
    rows = touched if most is None else touched[-most:]
    if not rows:
        return Reliance({}, 0, 0)
    shared = rechecks.read(rows)
    judged = rechecks.judge(rows, shared)
    return Reliance({each: falling(each, judged, shared) for each in references}, len(rows), len(touched) - len(rows))
