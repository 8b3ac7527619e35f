"""Halting a transfer whose safeguard ended, and notifying who received the data: a to-do with an owner.

Article 6(2) of the Saudi Regulation on Personal Data Transfer outside the Kingdom, version 2.0: when the safeguards
fail, the controller halts the transfer and notifies the entities to whom the data were transferred. The order is given
for every safeguard that ended while something relied on it: whether a law asks for it is for a person to say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from governance.models.transfer import HaltState, TransferHalt, TransferSafeguard
from registry import naming
from registry.models import Deployment

HALTS = Lifecycle(
    field="state",
    transitions={
        ("open", "taken"): Event.HALT_TAKEN,
        ("taken", "taken"): Event.HALT_TAKEN,
        ("open", "done"): Event.HALT_DONE,
        ("taken", "done"): Event.HALT_DONE,
    },
)
MOST_RECIPIENTS = 200


def order(safeguard: TransferSafeguard, relied: Sequence[Deployment], *, by: Actor) -> TransferHalt:
    """Ask for the transfer to be halted, in the caller's transaction; one order for each safeguard."""
    log.require_transaction()
    halt = TransferHalt.objects.create(
        safeguard=safeguard,
        relied=[
            {"deployment": row.subject, "version": row.version.subject, "environment": row.environment.slug}
            for row in relied
        ],
        opened_at=timezone.now(),
    )
    facts = {
        "safeguard": safeguard.subject,
        "relied": len(relied),
        "deployments": [row.subject for row in relied[:200]],
    }
    log.append(Event.HALT_OPENED, halt, facts=facts, by=by)
    return halt


def find(reference: str, *, lock: bool = False) -> TransferHalt:
    """The order about the safeguard with this reference. Raises ``NotKnown``."""
    rows = TransferHalt.objects.select_related("safeguard")
    if lock:
        rows = rows.select_for_update(of=("self",))
    halt: TransferHalt | None = rows.filter(safeguard__reference=reference).first()
    if halt is None:
        raise NotKnown(
            _("Nothing has to be halted because of %(reference)s.") % {"reference": reference[:40]},
            code="halt.unknown",
        )
    return halt


@transaction.atomic
def take(reference: str, *, by: Actor) -> TransferHalt:
    """Become the owner, also of what somebody else has. Raises ``Conflict`` when it is mine already or done."""
    halt = find(reference, lock=True)
    if halt.state == HaltState.TAKEN and halt.owner == by.id:
        raise Conflict(_("This is yours already."), code="halt.taken")
    facts = {"before": {"owner": halt.owner}, "after": {"owner": by.id}}
    HALTS.transition(halt, HaltState.TAKEN, facts=facts, changes={"owner": by.id}, by=by)
    return halt


@transaction.atomic
def done(reference: str, *, reason: str, recipients: Sequence[str], by: Actor) -> TransferHalt:
    """Put on record that the transfer was halted and who was notified.

    Raises ``BadInput`` without a reason or a recipient, ``Conflict`` when it was done before.
    """
    said = naming.text(reason, field="reason", limit=4000)
    told = list(dict.fromkeys(naming.text(each, field="recipients", limit=200) for each in recipients))
    if not told or len(told) > MOST_RECIPIENTS:
        sentence = _("Name who was notified, at most %(limit)d.") % {"limit": MOST_RECIPIENTS}
        raise BadInput(sentence, code="halt.recipients", fields={"recipients": sentence})
    halt = find(reference, lock=True)
    HALTS.transition(
        halt,
        HaltState.DONE,
        facts={"notified": len(told)},
        private={"recipients": json.dumps(told, ensure_ascii=False)},
        reason=said,
        changes={"done_at": timezone.now(), "done_by": by.id, "reason": said, "recipients": told},
        by=by,
    )
    return halt
