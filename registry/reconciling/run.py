"""One look: read the record, look outside, read the record again, compare, keep what was found."""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.advisory import claimed
from audit.refusals import Conflict
from registry import findings
from registry.models import ReconcilerRun
from registry.reconciling import recording
from registry.reconciling.comparison import Comparison, compare
from registry.reconciling.observing import observe
from registry.reconciling.snapshots import Observed

#: First key of the advisory lock («reco» in ASCII): two looks at a time would both open what they find.
LOCK = 0x7265636F
#: Looks that are kept, newest first.
KEPT = 200


def reconcile(*, by: Actor) -> ReconcilerRun:
    """Compare once what runs with what is on record; ``by`` asked for it, the findings are the reconciler's.

    Nothing of a transaction is open while other servers are asked. Raises ``Conflict`` while another look goes on.
    """
    with claimed(LOCK, 0) as mine:
        if not mine:
            raise Conflict(_("The reconciler is looking right now. Load the page again."), code="reconciler.busy")
        before = recording.recorded()
        observed = observe(recording.addresses())
        after = recording.recorded()
        return _keep(compare(before, observed), compare(after, observed), observed, by=by)


@transaction.atomic
def _keep(before: Comparison, after: Comparison, observed: Observed, *, by: Actor) -> ReconcilerRun:
    """Only what differs from the record before the look *and* after it is a difference: a deployment recorded while
    we looked is in one of them only, and is judged by the next look."""
    agreed = after.agreed_with(before)
    torn = {each.key for each in (*before.differences, *after.differences)}
    settled = findings.settle(agreed, torn, at=observed.at, by=Actor.system("reconciler"))
    run = ReconcilerRun.objects.create(
        began=observed.at,
        ended=timezone.now(),
        asked_by=by.id,
        complete=agreed.complete,
        differences=len(agreed.differences),
        opened=settled.opened,
        gone=settled.gone,
        places=[asdict(place) for place in agreed.places],
        unread_servers=list(agreed.unread_servers),
        source=", ".join(each.address for each in observed.sources)[:400],
    )
    kept = ReconcilerRun.objects.values("pk")[:KEPT]
    ReconcilerRun.objects.exclude(pk__in=list(kept.values_list("pk", flat=True))).delete()
    return run
