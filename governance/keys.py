"""The server's key for attestations and permits: where it comes from, which one is in use, and its rotation.

It has nothing to do with the log's signer. The private half is in ``ATTESTATION_KEY`` or in a file that its owner alone
can read; the public half is a governed record, so that what a retired key signed can still be verified.
"""

from __future__ import annotations

import base64
import logging
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict, Refusal
from governance.models.attestation_key import AttestationKey
from governance.signing import NoKey, SigningKey, keys_in

logger = logging.getLogger(__name__)
#: Who announces the very first key; every later one has a person.
FIRST = Actor.system("attestation-key")
_MADE = gettext_lazy(
    "`python3 manage.py up` makes one in the state folder; or set ATTESTATION_KEY (PEM, or base64 of 32 bytes)."
)
_ANNOUNCE = """
    INSERT INTO governance_attestationkey (kid, public_key, first_used_at, announced_by, retired_by)
    VALUES (%s, %s, %s, %s, '') ON CONFLICT DO NOTHING RETURNING id
"""


class KeyUnavailable(Refusal):
    """Nothing can be signed: there is no key, or not the one that is announced."""

    status = 503


def signer() -> SigningKey:
    """The key in use; the first one is announced here. Raises ``KeyUnavailable``."""
    for _try in range(2):  # a rotation may come between reading the file and asking which key is in use
        keys = {key.kid: key for key in configured()}
        row = in_use() or _announce_first([*keys.values()][-1])
        if row.kid in keys:
            return keys[row.kid]
    raise KeyUnavailable(
        _(
            "The key of attestations that is configured (%(configured)s) is not the one that is announced (%(kid)s). "
            "Put that one back, or announce this one with `manage.py attestation_keys rotate`."
        )
        % {"configured": ", ".join(keys), "kid": row.kid},
        code="attestation.key",
    )


def in_use() -> AttestationKey | None:
    """The key that signs; None before the first."""
    return AttestationKey.objects.filter(last_used_at__isnull=True).first()


def public_key(kid: str) -> AttestationKey | None:
    """The announced key of that name, retired or not."""
    return AttestationKey.objects.filter(kid=kid).first()


def require_key() -> None:
    """Called at boot: announces the first key. Raises ``ImproperlyConfigured`` with the sentence when there is none.

    With a key that nobody announced the server starts, says so in its log, and refuses to sign: whoever has to announce
    it, after a restore for example, needs a server that runs.
    """
    try:
        configured()
    except KeyUnavailable as refusal:
        raise ImproperlyConfigured(refusal.sentence) from refusal
    try:
        signer()
    except KeyUnavailable as refusal:
        logger.critical(refusal.sentence)


def configured() -> tuple[SigningKey, ...]:
    """The private keys at hand, at least one, the newest last. Raises ``KeyUnavailable``."""
    name = "ATTESTATION_KEY" if settings.ATTESTATION_KEY else settings.ATTESTATION_KEY_FILE.name
    try:
        keys = keys_in(settings.ATTESTATION_KEY or _text_of(settings.ATTESTATION_KEY_FILE))
    except NoKey as error:
        raise KeyUnavailable(
            _("The key of attestations in %(where)s cannot be used: %(why)s.") % {"where": name, "why": error},
            code="attestation.key",
        ) from None
    if not keys:
        raise KeyUnavailable(
            _("%(where)s holds no key, so no attestation and no permit can be signed. %(made)s")
            % {"where": name, "made": _MADE},
            code="attestation.key",
        )
    return keys


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise KeyUnavailable(
                _("The key of attestations (%(where)s) can be read by others: set its mode to 0600.")
                % {"where": path.name},
                code="attestation.key",
            )
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise KeyUnavailable(
            _("There is no readable key to sign attestations and permits with. %(made)s") % {"made": _MADE},
            code="attestation.key",
        ) from None


def _announce_first(key: SigningKey) -> AttestationKey:
    with transaction.atomic():
        if not AttestationKey.objects.exists():
            _announce(key, by=FIRST)
    row = in_use()
    if row is None:
        raise KeyUnavailable(
            _("Every key of attestations is retired. Announce another with `manage.py attestation_keys rotate`."),
            code="attestation.key",
        )
    return row


def _announce(key: SigningKey, *, by: Actor) -> None:
    """Record the key with its entry, unless another process has at this moment recorded one that is in use."""
    with connection.cursor() as cursor:
        cursor.execute(_ANNOUNCE, [key.kid, key.public_key, timezone.now(), by.id])
        made = cursor.fetchone()
    if made:
        row = AttestationKey.objects.get(pk=made[0])
        facts = {"kid": key.kid, "public_key": key.public_key}
        log.append(Event.ATTESTATION_KEY_ANNOUNCED, row, facts=facts, by=by)


def rotate(*, by: Actor) -> AttestationKey:
    """Retire the key in use and announce another: the newest configured one that never was in use, or a new one in the
    file. Processes that run take it up by themselves.

    Raises ``Conflict`` when the key comes from ``ATTESTATION_KEY`` and none there is new, ``KeyUnavailable``.
    """
    with transaction.atomic():
        known = {row.kid: row for row in AttestationKey.objects.select_for_update()}
        fresh = _fresh(set(known))
        now = timezone.now()
        for row in known.values():
            if row.in_use:
                _retire(row, now, by=by)
        _announce(fresh, by=by)
        announced = AttestationKey.objects.get(kid=fresh.kid)
    if not settings.ATTESTATION_KEY:
        _write([fresh])  # what is retired is destroyed
    return announced


def _retire(row: AttestationKey, now: Any, *, by: Actor) -> None:
    row.last_used_at, row.retired_by = now, by.id
    row.save(update_fields=["last_used_at", "retired_by"])
    facts = {"kid": row.kid, "before": {"last_used_at": ""}, "after": {"last_used_at": now.isoformat()}}
    log.append(Event.ATTESTATION_KEY_RETIRED, row, facts=facts, by=by)


def _fresh(used: set[str]) -> SigningKey:
    """A key that was never in use. One that is made now is in the file, beside the old one, before it is announced."""
    try:
        keys = configured()
    except KeyUnavailable:
        if settings.ATTESTATION_KEY or settings.ATTESTATION_KEY_FILE.exists():
            raise
        keys = ()  # the file was lost: rotation is the way out
    for key in reversed(keys):
        if key.kid not in used:
            return key
    if settings.ATTESTATION_KEY:
        raise Conflict(
            _("ATTESTATION_KEY holds no new key: write the new one behind the old one, restart, and rotate again."),
            code="attestation.no_new_key",
        )
    made = SigningKey.of_seed(os.urandom(32))
    _write([*keys, made])
    return made


def _write(keys: list[SigningKey]) -> None:
    """Replace the file so that after a crash it is the old or the new one."""
    path: Path = settings.ATTESTATION_KEY_FILE
    lines = [base64.b64encode(key.private.private_bytes_raw()).decode() for key in keys]
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as target:
        target.write("\n".join([*lines, ""]))
        target.flush()
        os.fsync(target.fileno())
    fresh.replace(path)
