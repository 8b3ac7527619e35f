"""Permits: an allowed decision turned into the right to deploy once, within the hour.

A permit says what it permits and is signed (``governance.permit_tokens``), so whoever has the server's public key can
verify it without asking. That it is used once only the server knows: it is shown once, in the answer of the gate, and
the database keeps its SHA-256. One that leaks after its use, or after its hour, is worth nothing.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotPermitted, Refused
from governance import keys, permit_tokens
from governance.models.decision import Decision
from governance.models.permit import Permit
from governance.permit_tokens import PREFIX as PREFIX
from governance.permit_tokens import NotAPermit, Token
from registry.models import Deployment

LIFETIME = timedelta(hours=1)


def _digest(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()


def issue(decision: Decision, *, by: Actor) -> tuple[Permit, str]:
    """A fresh permit and its text, for a decision that allows. Must run inside the decision's transaction.

    Raises ``KeyUnavailable`` when nothing can be signed: then there is no permit, and no decision.
    """
    if not decision.allows:
        raise Refused(_("Only a decision that allows carries a permit."), code="permit.not_allowed")
    key = keys.signer()
    now = timezone.now()
    expires_at = min(now + LIFETIME, decision.valid_until)
    secret = permit_tokens.write({**_bound(decision), "issued_at": _text(now), "expires_at": _text(expires_at)}, key)
    permit = Permit.objects.create(
        decision=decision,
        secret_digest=_digest(secret),
        issued_at=now,
        expires_at=expires_at,
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
            "kid": key.kid,
        },
        by=by,
    )
    return permit, secret


def _bound(decision: Decision) -> dict[str, str]:
    """What a permit of this decision is for."""
    return {
        "decision": decision.public_id,
        "version": decision.version.label,
        "digest": decision.version.digest,
        "environment": decision.environment.slug,
        "action": decision.action,
        "subject_digest": decision.subject_digest,
    }


def _text(when: datetime) -> str:
    """RFC 3339 in UTC; seconds are cut off, so that the text never lasts longer than the row."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def present(decision: Decision, secret: str, *, environment: str, digest: str = "", claimed: bool = False) -> Permit:
    """The permit that ``secret`` is, locked, checked and not yet used. Must run inside a transaction. ``claimed``: one
    that was used up ahead by ``rollouts.claim``, and of which no deployment is recorded yet, is presented too, in time.

    Raises ``BadInput`` for what is no permit at all; ``NotPermitted`` for one that was forged, altered or signed by
    another server, and for another decision's or environment's; ``Conflict`` for a used one and for another digest;
    ``Refused`` for one whose time is over, and for one that was used ahead and comes too late.
    """
    _must_be_ours(_read(secret))
    permit = (
        Permit.objects.select_for_update(of=("self",))
        .select_related("decision__environment", "decision__version__model")
        .filter(secret_digest=_digest(secret))
        .first()
    )
    if permit is None:
        raise NotPermitted(
            _("This server never issued this permit, although its signature holds. Tell whoever keeps the key."),
            code="permit.forged",
        )
    if permit.decision_id != decision.pk:
        raise NotPermitted(_("This permit does not belong to this decision."), code="permit.unknown")
    _must_be_for(permit.decision, environment, digest)
    if permit.consumed_at is not None:
        if claimed and not Deployment.objects.filter(permit_id=str(permit.pk)).exists():
            _must_be_in_time(permit)
            return permit
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


def _must_be_in_time(permit: Permit) -> None:
    """The clock may not have noted it yet: the time counts, not the note."""
    if permit.is_late(timezone.now()) or permit.lapsed_at is not None:
        raise Refused(
            _(
                "This permit was used, and its deployment had to be recorded until %(when)s. If the version serves "
                "now, take it out or go back, then ask the gate for a new permit and deploy with that."
            )
            % {"when": f"{permit.record_until:%Y-%m-%d %H:%M UTC}"},
            code="permit.lapsed",
        )


def _read(secret: str) -> Token:
    if not secret.startswith(PREFIX):
        raise BadInput(
            _("This is not a deploy permit. The gate's answer holds it once, as permit.secret."),
            code="permit.malformed",
        )
    try:
        return permit_tokens.read(secret)
    except NotAPermit:
        raise NotPermitted(
            _("No server writes such a permit: it was cut, altered or made up. Give it whole, as the gate gave it."),
            code="permit.unknown",
        ) from None


def _must_be_ours(token: Token) -> None:
    key = keys.public_key(token.told["kid"])
    if key is None:
        raise NotPermitted(
            _("This permit is signed with the key %(kid)s, which is none of this server's. Ask this server's gate.")
            % {"kid": token.told["kid"][:60]},
            code="permit.foreign_key",
        )
    if not token.signed_by(key.public_key):
        raise NotPermitted(
            _("The signature of this permit does not hold: it was altered. Give it as the gate gave it."),
            code="permit.altered",
        )


def _must_be_for(decision: Decision, environment: str, digest: str) -> None:
    if decision.environment.slug != environment:
        raise NotPermitted(
            _("This permit is for %(right)s, not for %(wrong)s.")
            % {"right": decision.environment.slug, "wrong": environment},
            code="permit.environment",
        )
    if digest and digest != decision.version.digest:
        raise Conflict(
            _("This permit is for the files %(right)s, not for %(wrong)s. Ask the gate about what is deployed.")
            % {"right": decision.version.digest, "wrong": digest},
            code="permit.digest",
        )


def consume(permit: Permit, *, by: Actor) -> None:
    """Use up a permit that ``present`` returned, in the same transaction."""
    assert transaction.get_connection().in_atomic_block  # noqa: S101  (the lock of present() must still be held)
    permit.consumed_at = timezone.now()
    permit.consumed_by = by.id
    permit.save(update_fields=["consumed_at", "consumed_by"])
    used = {"before": {"consumed_at": ""}, "after": {"consumed_at": permit.consumed_at.isoformat()}}
    log.append(Event.PERMIT_CONSUMED, permit, facts={"decision": permit.decision.public_id, **used}, by=by)
