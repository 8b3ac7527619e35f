"""Permits: an allowed decision turned into the right to deploy once, within the hour.

The secret is shown once, in the answer of the gate; the database keeps its SHA-256. A permit that leaks after its
use, or after its hour, is worth nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotPermitted, Refused
from governance.models.decision import Decision
from governance.models.permit import Permit

LIFETIME = timedelta(hours=1)
PREFIX = "cspermit_"


def _digest(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def issue(decision: Decision, *, by: Actor) -> tuple[Permit, str]:
    """A fresh permit and its secret, for a decision that allows. Must run inside the decision's transaction."""
    if not decision.allows:
        raise Refused(_("Only a decision that allows carries a permit."), code="permit.not_allowed")
    now = timezone.now()
    secret = PREFIX + secrets.token_urlsafe(32)
    permit = Permit.objects.create(
        decision=decision,
        secret_digest=_digest(secret),
        issued_at=now,
        expires_at=min(now + LIFETIME, decision.valid_until),
        issued_to=by.id,
    )
    log.append(
        Event.PERMIT_ISSUED,
        permit,
        facts={
            "decision": decision.public_id,
            "issued_to": by.id,
            "subject_digest": decision.subject_digest,
            "expires_at": permit.expires_at.isoformat(),
        },
        by=by,
    )
    return permit, secret


def present(decision: Decision, secret: str, *, environment: str) -> Permit:
    """The permit that ``secret`` opens, locked, checked and not yet used. Must run inside a transaction.

    Raises ``BadInput`` for what is no permit at all, ``NotPermitted`` for another decision's or environment's,
    ``Conflict`` for a used one, ``Refused`` for one whose time is over.
    """
    if not secret.startswith(PREFIX):
        raise BadInput(
            _("This is not a deploy permit. The gate's answer holds it once, as permit.secret."),
            code="permit.malformed",
        )
    permit = (
        Permit.objects.select_for_update(of=("self",))
        .select_related("decision__environment", "decision__version__model")
        .filter(secret_digest=_digest(secret))
        .first()
    )
    if permit is None or permit.decision_id != decision.pk:
        raise NotPermitted(_("This permit does not belong to this decision."), code="permit.unknown")
    if permit.decision.environment.slug != environment:
        raise NotPermitted(
            _("This permit is for %(right)s, not for %(wrong)s.")
            % {"right": permit.decision.environment.slug, "wrong": environment},
            code="permit.environment",
        )
    if permit.consumed_at is not None:
        raise Conflict(
            _("This permit was used at %(when)s; a permit deploys once. Ask the gate for a new one.")
            % {"when": permit.consumed_at.strftime("%Y-%m-%d %H:%M UTC")},
            code="permit.used",
        )
    if permit.expires_at <= timezone.now():
        raise Refused(
            _("This permit expired at %(when)s. Ask the gate for a new one.")
            % {"when": permit.expires_at.strftime("%Y-%m-%d %H:%M UTC")},
            code="permit.expired",
        )
    return permit


def consume(permit: Permit, *, by: Actor) -> None:
    """Use up a permit that ``present`` returned, in the same transaction."""
    assert transaction.get_connection().in_atomic_block  # noqa: S101  (the lock of present() must still be held)
    permit.consumed_at = timezone.now()
    permit.consumed_by = by.id
    permit.save(update_fields=["consumed_at", "consumed_by"])
    used = {"before": {"consumed_at": ""}, "after": {"consumed_at": permit.consumed_at.isoformat()}}
    log.append(Event.PERMIT_CONSUMED, permit, facts={"decision": permit.decision.public_id, **used}, by=by)
