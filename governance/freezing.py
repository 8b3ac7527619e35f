"""Freezing and lifting, and what follows at once: open promotions that it touches are decided again.

Nothing depends on that second step: every gate check, deploy and rollback collects the incidents anew. It only keeps
pages and queues from showing for a while what the gate would no longer say.
"""

from __future__ import annotations

from contextlib import suppress

from audit.actors import Actor
from audit.refusals import NotKnown
from governance import promotions
from governance.models.promotion import OPEN_STATES, Promotion
from registry import incidents
from registry.lineage import roots
from registry.models import Incident


def freeze(reference: str, *, reason: str, by: Actor) -> Incident:
    """``registry.incidents.freeze``; open promotions of what it holds go to blocked. Raises what that raises."""
    incident = incidents.freeze(reference, reason=reason, by=by)
    decide_again(incident, by=by)
    return incident


def lift(reference: str, *, reason: str, by: Actor) -> Incident:
    """``registry.incidents.lift``; what it held is decided again and needs new sign-offs."""
    incident = incidents.lift(reference, reason=reason, by=by)
    decide_again(incident, by=by)
    return incident


def decide_again(incident: Incident, *, by: Actor) -> list[int]:
    """The numbers of the open promotions that were decided anew, each in a transaction of its own."""
    held, places = set(incident.held), set[int]()
    with suppress(NotKnown):  # the root was removed since; what it had reached is on the list
        found = roots.of(incident.root)
        held.update(roots.held(found))
        places = {each.pk for each in found.environments}
    rows = Promotion.objects.filter(state__in=OPEN_STATES).select_related("version__model").order_by("pk")
    touched = [row.pk for row in rows if row.version.subject in held or row.environment_id in places]
    return promotions.refresh_all(touched, by=by)
