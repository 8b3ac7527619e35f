"""API tokens: issued once, kept as a digest, checked in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.log import append
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance.access import held_by
from governance.models.roles import SCOPES, Action, Role
from governance.models.token import ApiToken, TokenUse
from governance.models.user import User

LONGEST_LIFE = timedelta(days=366)
LONGEST_GRACE = timedelta(days=7)
#: How exact «last used» is; a write for every call would cost more than the call.
USE_GRAIN = timedelta(minutes=1)
_FORM = re.compile(r"csn_(?P<identifier>[0-9a-f]{8})_(?P<secret>[A-Za-z0-9_-]{43})", re.ASCII)


class TokenRefused(Exception):  # noqa: N818  (named as the other refusals are)
    """The token proves nothing (401). ``code`` is ``token.malformed``, ``.unknown``, ``.expired`` or ``.revoked``."""

    def __init__(self, sentence: str, *, code: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token and its secret, which exists nowhere else and is shown once."""

    token: ApiToken
    secret: str


def issue(owner: User, *, label: str, scopes: Iterable[str], lifetime: timedelta, by: Actor) -> Issued:
    """A token for oneself, or (administrators) for a service account.

    Raises BadInput (label, lifetime, scopes unknown or beyond what the owner may do), NotPermitted.
    """
    _may_issue(owner, by)
    label = label.strip()
    if not 1 <= len(label) <= 100 or "\x00" in label:
        raise BadInput(_("Say what the token is for, in 1 to 100 characters."), code="token.label")
    if not timedelta(minutes=1) <= lifetime <= LONGEST_LIFE:
        raise BadInput(_("A token lives between one minute and 366 days."), code="token.lifetime")
    wanted = _scopes_for(owner, scopes)
    identifier, random = secrets.token_hex(4), secrets.token_urlsafe(32)
    secret = f"csn_{identifier}_{random}"
    now = timezone.now()
    token = ApiToken(
        identifier=identifier,
        digest=_digest(secret),
        label=label,
        scopes=wanted,
        owner=owner,
        issued_by=by.id,
        created_at=now,
        expires_at=now + lifetime,
    )
    with transaction.atomic():
        token.save(force_insert=True)
        append(
            Event.TOKEN_ISSUED,
            token,
            facts={
                "owner": owner.actor.id,
                "prefix": token.prefix,
                "scopes": wanted,
                "expires_at": token.expires_at.isoformat(timespec="seconds"),
            },
            private={"label": label},
            by=by,
        )
    return Issued(token, secret)


def revoke(token: ApiToken, *, after: timedelta = timedelta(0), reason: str = "", by: Actor) -> ApiToken:
    """End a token now, or ``after`` a grace of at most seven days.

    Raises BadInput (grace), Conflict (ended already), NotPermitted (neither its owner nor an administrator).
    """
    if not timedelta(0) <= after <= LONGEST_GRACE:
        raise BadInput(_("The grace of a revocation is at most seven days."), code="token.grace")
    with transaction.atomic():
        found = ApiToken.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=token.pk).first()
        if found is None:
            raise NotKnown(_("There is no such token."), code="token.unknown")
        if by.id != found.owner.actor.id and by.kind != "system" and Role.ADMINISTRATOR not in by.roles:
            raise NotPermitted(
                _("Only its owner or an administrator may revoke a token."), code=f"access.{Action.TOKEN_ISSUE}"
            )
        if found.state() != "usable":
            raise Conflict(_("The token %s has ended already.") % found.prefix, code="token.ended")
        found.revoked_at = timezone.now() + after
        found.save(update_fields=["revoked_at"])
        ends = found.revoked_at.isoformat(timespec="seconds")
        append(
            Event.TOKEN_REVOKED,
            found,
            facts={"prefix": found.prefix, "before": {"revoked_at": ""}, "after": {"revoked_at": ends}},
            reason=reason,
            by=by,
        )
    return found


def rotate(token: ApiToken, *, grace: timedelta, by: Actor) -> Issued:
    """A successor with the same label, scopes and length of life; the old token works until the grace ends.

    Raises what ``issue`` and ``revoke`` raise; then neither has happened.
    """
    with transaction.atomic():
        revoke(token, after=grace, by=by)
        return issue(
            token.owner, label=token.label, scopes=token.scopes, lifetime=token.expires_at - token.created_at, by=by
        )


def authenticate(secret: str) -> User:
    """The owner of the token, limited to its scopes (``User.token_scopes``).

    Raises TokenRefused with a sentence that never repeats the secret.
    """
    form = _FORM.fullmatch(secret)
    if form is None:
        raise TokenRefused(
            _("The token is malformed: it reads csn_, 8 hexadecimal digits, an underscore and 43 characters."),
            code="token.malformed",
        )
    token = ApiToken.objects.select_related("owner", "use").filter(identifier=form["identifier"]).first()
    kept = token.digest if token is not None else "0" * 64
    same = hmac.compare_digest(_digest(secret), kept)
    if token is None or not same:
        raise TokenRefused(_("The token is not known here."), code="token.unknown")
    state = token.state()
    if state != "usable":
        sentence = _("The token has expired.") if state == "expired" else _("The token was revoked.")
        raise TokenRefused(f"{sentence} {_('Issue a new one on the account page.')}", code=f"token.{state}")
    owner = token.owner
    if not owner.is_active:
        raise TokenRefused(_("The account of this token is inactive."), code="token.owner_inactive")
    _note_use(token)
    owner.token_scopes = frozenset(token.scopes)
    return owner


def _note_use(token: ApiToken) -> None:
    now = timezone.now()
    used: TokenUse | None = getattr(token, "use", None)
    if used is None or now - used.last_used_at > USE_GRAIN:
        TokenUse.objects.update_or_create(token=token, defaults={"last_used_at": now})


def _may_issue(owner: User, by: Actor) -> None:
    if not owner.is_active:
        raise Conflict(_("The account %s is inactive.") % owner.username, code="account.inactive")
    if by.kind == "system":
        return
    if owner.is_service:
        permitted = Role.ADMINISTRATOR in by.roles
        sentence = _("Tokens of a service account are issued by an administrator.")
    else:
        permitted = by.id == owner.actor.id and owner.has_perm(Action.TOKEN_ISSUE)
        sentence = _("A token is issued by the person that it acts for, signed in, and not with another token.")
    if not permitted:
        raise NotPermitted(sentence, code=f"access.{Action.TOKEN_ISSUE}")


def _scopes_for(owner: User, scopes: Iterable[str]) -> list[str]:
    wanted = sorted({str(scope) for scope in scopes})
    if not wanted:
        sentence = _("Choose at least one scope.")
        raise BadInput(sentence, code="token.scopes", fields={"scopes": sentence})
    unknown = [scope for scope in wanted if scope not in [str(known) for known in SCOPES]]
    if unknown:
        raise BadInput(
            _("%s cannot be a scope of a token: it is unknown or needs a person who signed in.") % ", ".join(unknown),
            code="token.scopes",
        )
    beyond = [scope for scope in wanted if scope not in held_by(owner)]
    if beyond:
        raise BadInput(
            _("%(owner)s may not do this themselves, so no token of theirs may: %(scopes)s.")
            % {"owner": owner.display_name, "scopes": ", ".join(beyond)},
            code="token.scopes",
        )
    return wanted


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
