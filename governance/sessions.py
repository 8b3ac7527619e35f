"""Signing in, out, and proving again who one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

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
from governance import factors, passkeys, totp
from governance.accounts import renew_hash
from governance.models.session import SignInAttempt
from governance.models.user import User
from governance.passkeys import Asserted

T = TypeVar("T")
WINDOW = timedelta(minutes=15)
#: Wrong passwords for one name from one address, and for all names from one address, in a window.
TRIES_PER_NAME = 5
TRIES_PER_ADDRESS = 50
#: Wrong codes and passkeys of one person, from anywhere: with DRIFT a guess is right three times in a million.
TRIES_PER_FACTOR = 10
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


@dataclass(frozen=True, slots=True)
class Proof:
    """That a person proved who they are: when, with what, and what their own key signed, if it was asked to."""

    at: datetime
    factors: tuple[str, ...]
    asserted: Asserted | None = None


class _Unproven(Exception):  # noqa: N818
    """``why`` is for the log, the message for the person."""

    def __init__(self, sentence: str, why: str) -> None:
        super().__init__(sentence)
        self.why = why


def prove(
    user: User, password: str = "", *, code: str = "", assertion: str = "", request: HttpRequest | None = None
) -> Proof:
    """What ``user`` proved: a passkey alone, which is two factors because its holder was verified; or the password, and
    with it a second factor when they have one.

    ``code`` is of an authenticator app, ``assertion`` what a passkey answered, as JSON. Where they are not given, what
    the form's shared part posted is read, so that no form can forget it. Call it before the transaction of the change
    begins: a refusal is recorded, and must outlive the change's rollback. Raises NotPermitted, code
    ``session.reauthentication`` (password), ``session.second_factor``, ``session.throttled`` or ``session.token``.
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
    if _guessed_often(user):
        minutes = int(WINDOW.total_seconds() // 60)
        sentence = _("Too many wrong codes. Wait %(minutes)d minutes and try again.") % {"minutes": minutes}
        raise NotPermitted(sentence, code="session.throttled")
    code, assertion = (given or _posted(request, name) for given, name in ((code, "code"), (assertion, "assertion")))
    try:
        factors, asserted = _proved(user, password, code, assertion, request)
    except _Unproven as unproven:
        second = unproven.why == "second_factor"
        _refuse(user.username, address, (*keys, _guesses(user)) if second else keys, why=unproven.why)
        raise NotPermitted(str(unproven), code=f"session.{unproven.why}") from unproven
    return Proof(timezone.now(), factors, asserted)


def reauthenticate(
    user: User, password: str, *, code: str = "", assertion: str = "", request: HttpRequest | None = None
) -> datetime:
    """The moment of ``prove``; raises what it raises."""
    return prove(user, password, code=code, assertion=assertion, request=request).at


def _proved(
    user: User, password: str, code: str, assertion: str, request: HttpRequest | None
) -> tuple[tuple[str, ...], Asserted | None]:
    """The factors in the order of ``FACTORS``, and the passkey's answer. A password that is given must be right."""
    if not user.is_active or ((password or not assertion) and not user.check_password(password)):
        raise _Unproven(_("The password is wrong; nothing was signed."), "reauthentication")
    held = factors.held(user)
    given = ("password",) if password else ()
    try:
        if assertion:
            return (*given, "passkey"), passkeys.accept(user, assertion, **_where(request))
        if held.app is not None and code.strip():
            totp.accept(held.app, code)
            return (*given, "totp"), None
    except (passkeys.PasskeyRefused, totp.CodeRefused) as refused:
        raise _Unproven(str(refused), "second_factor") from refused
    if held.app is not None:
        raise _Unproven(_("Enter the code of your authenticator app too; nothing was signed."), "second_factor")
    if held:
        raise _Unproven(_("Use your passkey: the password alone is not enough; nothing was signed."), "second_factor")
    return given, None


def _where(request: HttpRequest | None) -> dict[str, str]:
    """The session and the address to which an answer was sent."""
    if request is None:
        return {"session": "", "path": ""}
    return {"session": session_of(request), "path": request.path}


def session_of(request: HttpRequest) -> str:
    """The key of the browser's session; empty where there is none."""
    return str(getattr(getattr(request, "session", None), "session_key", None) or "")


def _posted(request: HttpRequest | None, name: str) -> str:
    return request.POST.get(name, "") if request is not None else ""


def is_fresh(proven_at: datetime | None) -> bool:
    """Whether a proof of identity counts now (21 CFR 11.200(a)(1)): not older than five minutes."""
    return proven_at is not None and timedelta(0) <= timezone.now() - proven_at <= REAUTHENTICATION_COUNTS_FOR


def with_proof(
    act: Callable[[Proof | None], T],
    *,
    action: str,
    unproven: str,
    password: str,
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest,
) -> T:
    """``act`` with what the person proved, or with None when they could not prove who they are.

    Who may not do it at all is told so first, whatever the password: ``act`` refuses with the code ``unproven`` when
    only the proof was missing, and then the reason why there is none is raised in its place.
    """
    proof: Proof | None = None
    why: NotPermitted | None = None
    try:
        user.require(action)
        proof = prove(user, password, code=code, assertion=assertion, request=request)
    except NotPermitted as refusal:
        why = refusal
    try:
        return act(proof)
    except NotPermitted as refusal:
        if why is not None and refusal.code == unproven:
            raise why from refusal
        raise


def with_password(
    act: Callable[[datetime | None], T],
    *,
    action: str,
    unproven: str,
    password: str,
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest,
) -> T:
    """``with_proof`` for what needs no more of the proof than its moment."""
    return with_proof(
        lambda proof: act(proof.at if proof is not None else None),
        action=action,
        unproven=unproven,
        password=password,
        code=code,
        assertion=assertion,
        user=user,
        request=request,
    )


def _refuse(name: str, address: str, keys: tuple[str, ...], *, why: str) -> None:
    """Remember the attempt for the throttle and record it. The typed name is not kept unless it is an account's."""
    user = User.objects.filter(username=name).first()
    with transaction.atomic():
        SignInAttempt.objects.filter(at__lt=timezone.now() - WINDOW).delete()
        SignInAttempt.objects.bulk_create([SignInAttempt(key=key) for key in keys])
        throttled = _throttled(keys[:2]) or (user is not None and _guessed_often(user))
        append(
            Event.SESSION_REFUSED,
            user.subject if user is not None else "user:unknown",
            facts={"why": why, "throttled": throttled},
            private=_from(address),
            by=Actor.system("sign-in"),
        )


def _throttled(keys: tuple[str, ...]) -> bool:
    since = timezone.now() - WINDOW
    limits = zip(keys, (TRIES_PER_NAME, TRIES_PER_ADDRESS), strict=True)
    return any(SignInAttempt.objects.filter(key=key, at__gt=since).count() >= limit for key, limit in limits)


def _guessed_often(user: User) -> bool:
    """Whether too many second factors of this person were wrong, from whatever addresses: a code has six digits."""
    since = timezone.now() - WINDOW
    return SignInAttempt.objects.filter(key=_guesses(user), at__gt=since).count() >= TRIES_PER_FACTOR


def _guesses(user: User) -> str:
    return salted_hmac("countersign.second-factor", str(user.uuid), algorithm="sha256").hexdigest()


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
