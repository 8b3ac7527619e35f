"""Signing in, out, and proving again who one is."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.hashers import identify_hasher
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.log import append
from audit.models.events import Event
from audit.refusals import NotPermitted
from governance.accounts import renew_hash
from governance.models.session import SignInAttempt
from governance.models.user import User

WINDOW = timedelta(minutes=15)
#: Wrong passwords for one name from one address, and for all names from one address, in a window.
TRIES_PER_NAME = 5
TRIES_PER_ADDRESS = 50
#: How long a re-authentication counts (21 CFR 11.200(a)(1), gates.md section 2).
REAUTHENTICATION_COUNTS_FOR = timedelta(minutes=5)


class SignInRefused(NotPermitted):
    """Nobody was signed in. The sentence is the same whether the name or the password was wrong."""


def sign_in(request: HttpRequest, *, username: str, password: str) -> User:
    """Open a session for the person, with an entry.

    Raises SignInRefused, code ``session.credentials`` or ``session.throttled``; both are recorded.
    """
    name, address = username.strip().lower(), _address(request)
    keys = _keys(name, address)
    if _throttled(keys):
        raise SignInRefused(_wait(), code="session.throttled")
    user = authenticate(request, username=name, password=password)
    if not isinstance(user, User):
        _refuse(name, address, keys, why="credentials")
        raise SignInRefused(_("The username or the password is wrong."), code="session.credentials")
    if identify_hasher(user.password).must_update(user.password):
        user = renew_hash(user, password)
    with transaction.atomic():
        SignInAttempt.objects.filter(key=keys[0]).delete()
        append(Event.SESSION_OPENED, user.subject, facts={"method": "password"}, private=_from(address), by=user.actor)
        login(request, user, backend="governance.access.RulesBackend")
    return user


def sign_out(request: HttpRequest) -> None:
    """End the session, with an entry. Does nothing when nobody is signed in."""
    user = request.user
    with transaction.atomic():
        if isinstance(user, User):
            append(Event.SESSION_CLOSED, user.subject, by=user.actor)
        logout(request)


def reauthenticate(user: User, password: str, *, request: HttpRequest | None = None) -> datetime:
    """The moment at which ``user`` proved again who they are; a signature carries it.

    Call it before the transaction of the change begins: a refusal is recorded, and must outlive the change's rollback.
    Raises NotPermitted, code ``session.reauthentication``, ``session.throttled`` or ``session.token``.
    """
    if user.is_service or user.token_scopes is not None:
        raise NotPermitted(
            _("This needs a person who signed in with a password: a token cannot prove who is there."),
            code="session.token",
        )
    address = _address(request) if request is not None else ""
    keys = _keys(f"again:{user.username}", address)
    if _throttled(keys):
        raise NotPermitted(_wait(), code="session.throttled")
    if not (user.is_active and user.check_password(password)):
        _refuse(user.username, address, keys, why="reauthentication")
        raise NotPermitted(_("The password is wrong; nothing was signed."), code="session.reauthentication")
    return timezone.now()


def _refuse(name: str, address: str, keys: tuple[str, str], *, why: str) -> None:
    """Remember the attempt for the throttle and record it. The typed name is not kept unless it is an account's."""
    user = User.objects.filter(username=name).first()
    with transaction.atomic():
        SignInAttempt.objects.filter(at__lt=timezone.now() - WINDOW).delete()
        SignInAttempt.objects.bulk_create([SignInAttempt(key=key) for key in keys])
        throttled = _throttled(keys)
        append(
            Event.SESSION_REFUSED,
            user.subject if user is not None else "user:unknown",
            facts={"why": why, "throttled": throttled},
            private=_from(address),
            by=Actor.system("sign-in"),
        )


def _throttled(keys: tuple[str, str]) -> bool:
    since = timezone.now() - WINDOW
    limits = zip(keys, (TRIES_PER_NAME, TRIES_PER_ADDRESS), strict=True)
    return any(SignInAttempt.objects.filter(key=key, at__gt=since).count() >= limit for key, limit in limits)


def _wait() -> str:
    return _("Too many wrong passwords. Wait %(minutes)d minutes and try again.") % {
        "minutes": int(WINDOW.total_seconds() // 60)
    }


def _keys(name: str, address: str) -> tuple[str, str]:
    """Keyed digests (HMAC-SHA-256 under the installation's secret) of name with address, and of the address."""
    pair = salted_hmac("countersign.sign-in", f"{name}\n{address}", algorithm="sha256").hexdigest()
    alone = salted_hmac("countersign.sign-in", f"\n{address}", algorithm="sha256").hexdigest()
    return pair, alone


def _address(request: HttpRequest) -> str:
    """The peer's address. Headers that a client may invent are not believed here; a proxy must rewrite the peer."""
    return str(request.META.get("REMOTE_ADDR", ""))


def _from(address: str) -> dict[str, str]:
    return {"address": address} if address else {}
